"""What comes over a connection, until a deadline and up to a size."""

from __future__ import annotations

import io
import math
import re
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from io import BufferedReader

    from typing_extensions import Buffer


_LINE: Final = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*)?\r?\n")


class TooMuchError(OSError):
    """More came than was allowed for."""


class MalformedError(Exception):
    """A header that others may read differently."""


class HeadReader:
    """The lines of a head, each a header by itself (RFC 9112, 5).

    The standard library's parser takes what follows any other line for the body, and a bare CR for
    the end of a line: what a proxy said of length and origin would go past it.
    """

    def __init__(self, stream: BufferedReader) -> None:
        self._stream = stream

    def readline(self, size: int) -> bytes:
        """The next; MalformedError where it isn't one, TooMuchError past ``size``."""
        line = self._stream.readline(size)
        if len(line) >= size:
            raise TooMuchError
        if not _LINE.fullmatch(line):
            raise MalformedError
        return line


class SocketReader(io.RawIOBase):
    """A connection to read from; ``TimeoutError`` past the deadline, however slowly bytes come."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._deadline_s = math.inf
        self._room = 0
        self.before_reading: Callable[[], None] | None = None
        """Called once, when more is to be read than has come already."""

    def allow(self, seconds: float, size: int) -> None:
        """From now on, until told again."""
        self._deadline_s = time.monotonic() + seconds
        self._room = size

    def allow_more(self, size: int) -> None:
        """The deadline stays."""
        self._room = size

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Buffer) -> int:
        """What is there, or the next that comes."""
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        if self._room <= 0:
            raise TooMuchError
        if self.before_reading is not None:
            before, self.before_reading = self.before_reading, None
            before()
        self._connection.settimeout(left_s)
        count = self._connection.recv_into(buffer)
        self._room -= count
        return count
