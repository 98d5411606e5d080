"""One segment file of the spool: appended to at the end, read anywhere."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from otel_django.file_lock import BINARY, CLOEXEC
from otel_django.pipeline.spool_format import HEADER_SIZE, Header, is_intact, unpack_header
from otel_django.private_folder import NOFOLLOW, PRIVATE_FILE, give_to_owner_above

_FLAGS = NOFOLLOW | CLOEXEC | BINARY


class Place(NamedTuple):
    """Where a record stands, up to ``end``, and how many items it has."""

    segment: int
    offset: int
    end: int
    items: int


class StoredRecord(NamedTuple):
    """A record read back."""

    place: Place
    payload: bytes


class Segment:
    """``size`` bytes on disk, ``items`` of them not yet done. Opened when first used."""

    __slots__ = ("_fd", "items", "number", "path", "size", "writable")

    def __init__(self, folder: Path, number: int, *, size: int = 0, writable: bool = False) -> None:
        self.path = folder / f"{number:08d}.seg"
        self.number = number
        self.size = size
        self.items = 0
        self.writable = writable
        self._fd: int | None = None

    def create(self) -> None:
        """Make the file; OSError where there is one already, or the disk refuses."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | _FLAGS
        self._fd = os.open(self.path, flags, PRIVATE_FILE)
        give_to_owner_above(self.path)

    def _open(self) -> int:
        if self._fd is None:
            self._fd = os.open(self.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _FLAGS)
        return self._fd

    @property
    def exists(self) -> bool:
        """The open file still has a name: nobody deleted it."""
        return self._fd is not None and os.fstat(self._fd).st_nlink > 0

    def append(self, record: bytes, items: int) -> Place:
        """Write a record; OSError when the disk refuses, and then nothing of it is left.

        Where even cutting it off again fails, ``writable`` is False from then on.
        """
        fd = self._open()
        view = memoryview(record)
        try:
            while view:
                view = view[os.write(fd, view) :]
        except OSError:
            self._cut_off(fd)
            raise
        place = Place(self.number, self.size, self.size + len(record), items)
        self.size = place.end
        self.items += items
        return place

    def _cut_off(self, fd: int) -> None:
        try:
            os.ftruncate(fd, self.size)
        except OSError:
            self.writable = False

    def header(self, offset: int) -> Header | None:
        """The header at ``offset``, None where none can be read."""
        return unpack_header(self._bytes(offset, HEADER_SIZE))

    def place(self, offset: int, header: Header) -> Place:
        """The place of the record that has this header."""
        return Place(self.number, offset, offset + HEADER_SIZE + header.length, header.items)

    def payload(self, offset: int, header: Header) -> bytes | None:
        """The payload of the record at ``offset``, None when it is torn or harmed."""
        payload = self._bytes(offset + HEADER_SIZE, header.length)
        return payload if is_intact(header, payload) else None

    def places(self, offset: int) -> Iterator[Place]:
        """Every record from ``offset`` on, by its header, up to the first that can't be read."""
        while offset < self.size and (header := self.header(offset)) is not None:
            place = self.place(offset, header)
            yield place
            offset = place.end

    def _bytes(self, offset: int, length: int) -> bytes:
        """What is there; less, or nothing, where the file is short or gone."""
        try:
            fd = self._open()
            os.lseek(fd, offset, os.SEEK_SET)
            return os.read(fd, length)
        except OSError:
            return b""

    def close(self) -> None:
        """Close the file; reading opens it again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        self.writable = False

    def delete(self) -> None:
        """Close and remove the file."""
        self.close()
        with contextlib.suppress(OSError):
            self.path.unlink()
