"""HTTP/1.1 as bytes: the head of a request, and an incremental parser of responses (RFC 9112)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_CHUNK_SIZE: Final = re.compile(rb"[0-9a-fA-F]{1,15}")
MAX_HEAD: Final = 64 << 10
MAX_BODY: Final = 1 << 20


class WireError(ValueError):
    """The peer doesn't speak HTTP/1.x."""


@dataclass
class Response:
    """Header names in lower case; ``body`` holds at most 1 MiB of what came."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def request_head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """The request line and headers; line breaks in values become spaces."""
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{_one_line(name)}: {_one_line(value)}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "replace")


def _one_line(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ")


class ResponseParser:
    """Feed it what arrives until ``complete``; b"" stands for the end of the stream.

    ``started`` is False as long as no byte came. ``reusable`` says, once complete, whether the
    connection may carry another request. ``tunnel``: the answer to a CONNECT, which ends with its
    head when it is a 2xx. A body is complete once ``max_body`` bytes of it are there.
    """

    def __init__(self, *, tunnel: bool = False, max_body: int = MAX_BODY) -> None:
        self._tunnel = tunnel
        self._max_body = max_body
        self._response: Response | None = None
        self.started = False
        self.complete = False
        self.reusable = False
        self._buffer = bytearray()
        self._body = bytearray()
        self._left: int | None = None  # of the body or the chunk; None: until the stream ends
        self._chunked = False
        self._in_trailer = False
        self._keep_alive = False

    @property
    def response(self) -> Response:
        """The answer, once its head has come."""
        if self._response is None:
            raise WireError("no answer came")
        return self._response

    def feed(self, data: bytes) -> None:
        """Take bytes; WireError when they make no sense."""
        if not data:
            self._end_of_stream()
            return
        self.started = True
        self._buffer += data
        while self._response is None and self._take_head():
            pass
        if self._response is not None and not self.complete:
            self._take_chunks() if self._chunked else self._take_body()

    def _end_of_stream(self) -> None:
        if self._response is None or self._chunked or self._left is not None:
            raise WireError("the connection was closed before the answer was complete")
        self._finish(reusable=False)

    def _take_head(self) -> bool:
        """Parse a head; True when it was an interim response and another one follows."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD or not b"HTTP/1.".startswith(bytes(self._buffer[:7])):
                raise WireError("the answer isn't HTTP/1.1")
            return False
        status_line, *lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        version, status = _status(status_line)
        if 100 <= status < 200:
            return True
        headers = dict(_header(line) for line in lines)
        self._response = Response(status, headers)
        self._frame(version, status, headers)
        return False

    def _frame(self, version: str, status: int, headers: dict[str, str]) -> None:
        connection = headers.get("connection", "").lower()
        self._keep_alive = version == "HTTP/1.1" and "close" not in connection
        if status in (204, 304) or (self._tunnel and status < 300):
            self._left = 0
        elif headers.get("transfer-encoding", "").lower().endswith("chunked"):
            self._chunked = True
            self._left = 0
        elif (length := headers.get("content-length", "").split(",")[0].strip()).isdigit():
            self._left = int(length[:15])

    def _take_body(self) -> None:
        wanted = len(self._buffer) if self._left is None else min(self._left, len(self._buffer))
        self._keep(wanted)
        if self._left is not None:
            self._left -= wanted
            if self._left == 0:
                self._finish(reusable=self._keep_alive)

    def _take_chunks(self) -> None:
        while self._buffer and not self.complete:
            if self._left:
                wanted = min(self._left, len(self._buffer))
                self._keep(wanted)
                self._left -= wanted
                continue
            end = self._buffer.find(b"\r\n")
            if end < 0:
                if len(self._buffer) > MAX_HEAD:
                    raise WireError("a chunk's head doesn't end")
                return
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 2]
            self._chunk_line(line)

    def _chunk_line(self, line: bytes) -> None:
        if self._in_trailer:
            if not line:
                self._finish(reusable=self._keep_alive)
        elif line:  # an empty one ends the chunk before
            size = line.split(b";")[0].strip()
            if not _CHUNK_SIZE.fullmatch(size):
                raise WireError("a chunk without a size")
            self._left = int(size, 16)
            self._in_trailer = self._left == 0

    def _keep(self, count: int) -> None:
        self._body += self._buffer[: min(count, self._max_body - len(self._body))]
        del self._buffer[:count]
        if len(self._body) >= self._max_body:
            self._finish(reusable=False)

    def _finish(self, *, reusable: bool) -> None:
        self.response.body = bytes(self._body)
        self.reusable = reusable and not self._buffer
        self.complete = True


def _status(line: str) -> tuple[str, int]:
    version, _, rest = line.partition(" ")
    code = rest[:3]
    if not version.startswith("HTTP/1.") or not (code.isascii() and code.isdigit()):
        raise WireError("the answer isn't HTTP/1.1")
    return version, int(code)


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()
