"""One directory of the spool: segments that are appended to, and replayed from the head.

Layout, all files 0600 in a directory 0700:
    lock            locked by the process that writes or replays the directory
    head            where replay goes on: segment and offset, overwritten in place
    00000001.seg    records, see ``spool_format``

Nothing is fsync'ed: what was appended survives the death of the process, SIGKILL included, but not
a power cut. A crash between sending and moving the head sends a record again (at least once).
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from otel_django.errors import SpoolError
from otel_django.file_lock import BINARY, CLOEXEC, let_go, try_lock
from otel_django.pipeline.spool_format import HEAD_SIZE, pack_head, pack_record, unpack_head
from otel_django.pipeline.spool_segment import Place, Segment, StoredRecord
from otel_django.private_folder import NOFOLLOW, PRIVATE_FILE, give_to_owner_above

LOCK: Final = "lock"
HEAD: Final = "head"
SEGMENT_NAME: Final = re.compile(r"(\d{8})\.seg")
_FLAGS: Final = NOFOLLOW | CLOEXEC | BINARY


class SpoolDirectory:
    """Owned by this process through its lock. Not for several threads at once.

    ``items`` wait; ``lost_items`` counts what was found torn, harmed or gone (a record whose
    header can't be read counts as one).
    """

    def __init__(self, path: Path, lock_fd: int) -> None:
        self.path = path
        self.items = 0
        self.lost_items = 0
        self._lock_fd: int | None = lock_fd
        self._head_fd: int | None = None
        self._segments: dict[int, Segment] = {}  # in order
        self._head = (1, 0)
        self._done: dict[tuple[int, int], int] = {}  # (segment, offset) → end

    @property
    def size_bytes(self) -> int:
        """Bytes of all segments."""
        return sum(segment.size for segment in self._segments.values())

    # --- coming and going

    @classmethod
    def create(cls, root: Path, name: str) -> SpoolDirectory:
        """Make it under a hidden name, locked, then give it its own: nobody sees it half made."""
        hidden, path = root / f".new-{name}", root / name
        hidden.mkdir(mode=0o700)
        lock_fd = os.open(hidden / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, PRIVATE_FILE)
        try:
            if not try_lock(lock_fd):
                raise SpoolError("the new spool directory is locked by another process")
            hidden.rename(path)
        except BaseException:
            os.close(lock_fd)
            raise
        made = cls(path, lock_fd)
        made._write_head()
        for one in (path, path / LOCK, path / HEAD):
            give_to_owner_above(one)
        return made

    @classmethod
    def adopt(cls, path: Path) -> SpoolDirectory | None:
        """Take over a directory whose process is gone; None when it is alive, or not ours."""
        if not _is_own_directory(path):
            return None
        try:
            lock_fd = os.open(path / LOCK, os.O_RDWR | getattr(os, "O_NONBLOCK", 0) | _FLAGS)
        except OSError:
            return None
        try:
            # A path that was replaced meanwhile belongs to whoever replaced it.
            if _is_regular(lock_fd) and try_lock(lock_fd) and _is_same(lock_fd, path / LOCK):
                adopted = cls(path, lock_fd)
                adopted._load()
                return adopted
        except OSError:
            pass
        os.close(lock_fd)
        return None

    def close(self) -> None:
        """Let go; an empty directory is removed, another one can be adopted from now on."""
        if self._lock_fd is not None and self.is_empty:
            self._remove()
        if self._lock_fd is not None:
            let_go(self._lock_fd)
            self._lock_fd = None
        self.abandon()

    def abandon(self) -> None:
        """Close the files only: in a forked child they are the parent's."""
        for segment in self._segments.values():
            segment.close()
        for fd in (self._head_fd, self._lock_fd):
            if fd is not None:
                os.close(fd)
        self._head_fd = self._lock_fd = None

    def _remove(self) -> None:
        for name in (HEAD, LOCK):
            with contextlib.suppress(OSError):
                (self.path / name).unlink()
        with contextlib.suppress(OSError):
            self.path.rmdir()

    @property
    def is_empty(self) -> bool:
        """Nothing waits: what is done is deleted at once."""
        return not self._segments

    # --- writing

    def append(self, signal: str, items: int, payload: bytes, segment_bytes: int) -> Place:
        """Add a record; OSError when the disk refuses, and then nothing of it is left."""
        record = pack_record(signal, items, payload)
        segment = self._writable(len(record), segment_bytes)
        try:
            place = segment.append(record, items)
        except OSError:
            if not segment.size:
                self._delete(segment)
            raise
        self.items += items
        return place

    def _writable(self, size: int, segment_bytes: int) -> Segment:
        last = self._segments[max(self._segments)] if self._segments else None
        if last is not None and last.writable:
            if last.size + size <= segment_bytes and last.exists:
                return last
            last.close()
        number = self._head[0] if last is None else last.number + 1
        segment = Segment(self.path, number, writable=True)
        segment.create()
        self._segments[number] = segment
        return segment

    # --- reading

    def peek(self, max_items: int, max_bytes: int) -> list[StoredRecord]:
        """The oldest waiting records, within both limits but at least one; [] when empty.

        What can't be read is counted in ``lost_items`` and passed over.
        """
        found: list[StoredRecord] = []
        items = size = 0
        for record in self._records():
            items += record.place.items
            size += len(record.payload)
            if found and (items > max_items or size > max_bytes):
                break
            found.append(record)
            if items >= max_items or size >= max_bytes:
                break
        self._move_head()
        return found

    def _records(self) -> Iterator[StoredRecord]:
        number, offset = self._head
        while (segment := self._segments.get(number)) is not None:
            if offset >= segment.size:
                number, offset = self._after(number), 0
            elif (end := self._done.get((number, offset))) is not None:
                offset = end
            else:
                record, offset = self._read(segment, offset)
                if record is not None:
                    yield record

    def _read(self, segment: Segment, offset: int) -> tuple[StoredRecord | None, int]:
        """The record at ``offset``, None when it is lost, and the offset behind it."""
        header = segment.header(offset)
        if header is None:
            return None, self._give_up_rest(segment, offset)
        place = segment.place(offset, header)
        payload = segment.payload(offset, header)
        if payload is not None:
            return StoredRecord(place, payload), place.end
        self.lost_items += place.items
        self._mark_done(place)
        return None, place.end

    def _give_up_rest(self, segment: Segment, offset: int) -> int:
        """Nothing behind ``offset`` can be found in this segment: its items are lost."""
        start = self._head[1] if segment.number == self._head[0] else 0
        before = sum(
            place.items
            for place in segment.places(start)
            if place.offset < offset and (place.segment, place.offset) not in self._done
        )
        missing = max(segment.items - before, 0)
        self.lost_items += max(missing, 1)
        self.items -= missing
        segment.items -= missing
        segment.writable = False
        self._done[segment.number, offset] = segment.size
        return segment.size

    def done(self, place: Place) -> None:
        """A record was delivered, or is given up: it won't be read again."""
        at = (place.segment, place.offset)
        if place.segment in self._segments and at not in self._done and at >= self._head:
            self._mark_done(place)
            self._move_head()

    def _mark_done(self, place: Place) -> None:
        segment = self._segments[place.segment]
        items = min(place.items, segment.items)
        segment.items -= items
        self.items -= items
        self._done[place.segment, place.offset] = place.end

    def _move_head(self) -> None:
        """Pass over what is done; delete segments that are done as a whole."""
        number, offset = self._head
        while (segment := self._segments.get(number)) is not None:
            if offset >= segment.size:
                self._delete(segment)
                number, offset = self._after(number), 0
            elif (number, offset) in self._done:
                offset = self._done.pop((number, offset))
            else:
                break
        if (number, offset) != self._head:
            self._head = (number, offset)
            self._write_head()

    def _after(self, number: int) -> int:
        return min((other for other in self._segments if other > number), default=number + 1)

    def _delete(self, segment: Segment) -> None:
        del self._segments[segment.number]
        segment.delete()

    # --- files

    def _load(self) -> None:
        """Find the segments of the process that is gone."""
        found = {}
        for entry in os.scandir(self.path):
            match = SEGMENT_NAME.fullmatch(entry.name)
            if match and entry.is_file(follow_symlinks=False):
                size = entry.stat(follow_symlinks=False).st_size
                found[int(match[1])] = Segment(self.path, int(match[1]), size=size)
        head = self._read_head()
        numbers = sorted(found)
        if numbers and head[0] not in found:
            head = (min([n for n in numbers if n > head[0]], default=numbers[0]), 0)
        for number in numbers:
            if number < head[0]:
                found[number].delete()
            else:
                self._segments[number] = found[number]
                offset = head[1] if number == head[0] else 0
                found[number].items = sum(place.items for place in found[number].places(offset))
                self.items += found[number].items
        self._head = head
        self._move_head()

    def _read_head(self) -> tuple[int, int]:
        try:
            fd = self._open_head()
            os.lseek(fd, 0, os.SEEK_SET)
            return unpack_head(os.read(fd, HEAD_SIZE)) or (0, 0)
        except OSError:
            return (0, 0)

    def _write_head(self) -> None:
        """Best effort: with an older head, records are sent again."""
        with contextlib.suppress(OSError):
            fd = self._open_head()
            os.lseek(fd, 0, os.SEEK_SET)
            os.write(fd, pack_head(*self._head))

    def _open_head(self) -> int:
        if self._head_fd is None:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NONBLOCK", 0) | _FLAGS
            self._head_fd = os.open(self.path / HEAD, flags, PRIVATE_FILE)
        return self._head_fd


def _is_own_directory(path: Path) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    own = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
    return stat.S_ISDIR(found.st_mode) and own


def _is_regular(fd: int) -> bool:
    return stat.S_ISREG(os.fstat(fd).st_mode)


def _is_same(fd: int, path: Path) -> bool:
    return os.path.samestat(os.fstat(fd), path.lstat())
