"""One process's sums in a file that the other processes of the host read.

    header   magic, version, header's size, length that is published, start (ns)
    entries  header, key, then (for a series) a slot

An entry says what a metric is, or is a series of a metric before it; a later entry for the same
series replaces an earlier one. Entries are only added, and the published length grows when all of
them is there. A slot is overwritten in place: between a generation at its end, written before the
value, and one at its start, written after it. They differ while it is being written, and for good
if the writer is killed just then: the value's words are then old or new ones.

The file is mapped, since a writer that gives up the interpreter lock for each series would wait
for it each time. Its blocks are allocated first: touching a page that a full disk has no room for
kills the process.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_django.metric_points import Metric, NumberPoint, Scope
from otel_django.metrics.point_bytes import as_attributes, pack_attributes, pack_point

if TYPE_CHECKING:
    from pathlib import Path

    from otel_django.metric_points import Attributes, Kind, Point

MAGIC: Final = b"otdjsums"
VERSION: Final = 2
HEADER: Final = struct.Struct("<8sIIQQ")
_PUBLISHED_AT: Final = 16
_ENTRY: Final = struct.Struct("<BxxxIIIQ")
_SLOT: Final = struct.Struct("<II")
_GENERATION: Final = struct.Struct("<I")
_TAIL: Final = 8
_METRIC, _SERIES, _NOTE = 1, 2, 3
FIRST_SIZE: Final = 1 << 16
LARGEST_STEP: Final = 1 << 20
MAX_SIZE: Final = 64 << 20
SERIES_PER_PAUSE: Final = 32
NOW_KINDS: Final = frozenset({"gauge", "up_down_counter"})
"""What is true now, and gone with its process."""


class FileError(Exception):
    """Not a file of ours, or one that is harmed."""


class MetricKey(NamedTuple):
    """What makes a metric another one."""

    role: str
    name: str
    kind: Kind
    unit: str
    bounds: tuple[float, ...]
    scope: Scope

    @classmethod
    def of(cls, role: str, metric: Metric) -> MetricKey:
        """The key of a role's metric."""
        return cls(role, metric.name, metric.kind, metric.unit, metric.bounds, metric.scope)

    @property
    def named(self) -> tuple[str, str, str]:
        """What makes it another one to those who read."""
        return self.role, self.scope.name, self.name

    def metric(self, description: str, points: tuple[Point, ...]) -> Metric:
        """The metric with these points."""
        return Metric(
            *(self.name, self.unit, description, self.kind, points),
            bounds=self.bounds,
            scope=self.scope,
        )

    def pack(self, description: str) -> bytes:
        """As the key of a file's entry."""
        scope = self.scope
        return json.dumps(
            [
                *(self.role, self.name, self.kind, self.unit, self.bounds),
                [scope.name, scope.version, scope.schema_url, scope.attributes],
                description,
            ],
            separators=(",", ":"),
        ).encode()

    @classmethod
    def unpack(cls, data: bytes) -> tuple[MetricKey, str]:
        """The key and the description."""
        role, name, kind, unit, bounds, scope, description = json.loads(data)
        maker, version, schema_url, attributes = scope
        made_in = Scope(maker, version, schema_url, as_attributes(attributes))
        return cls(role, name, kind, unit, tuple(bounds), made_in), description


class Entry(NamedTuple):
    """A series as it was read: ``value`` is empty where there is none any more."""

    metric: int
    attributes: bytes
    created_ns: int
    value: bytes


@dataclass(slots=True)
class Content:
    """What was read of a file: metrics with their description and the time they were made known,
    the last entry of each series, and the names that are noted.
    """

    start_ns: int
    metrics: list[tuple[MetricKey, str, int]] = field(default_factory=list)
    series: dict[tuple[int, bytes], Entry] = field(default_factory=dict)
    noted: frozenset[str] = frozenset()


# --- writing


def _round_up(size: int) -> int:
    return (size + 7) & ~7


def _entry(kind: int, metric: int, key: bytes, slot: bytes, created_ns: int) -> bytes:
    padded = key.ljust(_round_up(len(key)), b"\0")
    return _ENTRY.pack(kind, metric, len(key), len(slot), created_ns) + padded + slot


def _slot(value: bytes, capacity: int, generation: int) -> bytes:
    """``capacity`` bytes for the value, between generations."""
    head = _SLOT.pack(generation, len(value))
    return head + value.ljust(capacity, b"\0") + _GENERATION.pack(generation).ljust(_TAIL, b"\0")


def metric_entry(key: MetricKey, description: str, made_ns: int) -> bytes:
    """The entry of a metric: series refer to it by its number in the file."""
    return _entry(_METRIC, 0, key.pack(description), b"", made_ns)


def series_entry(metric: int, attributes: bytes, value: bytes, created_ns: int) -> bytes:
    """The entry of a series of the file's metric with that number."""
    return _entry(_SERIES, metric, attributes, _slot(value, _round_up(len(value)), 1), created_ns)


def note_entry(names: Sequence[str]) -> bytes:
    """The entry of names that are noted."""
    return _entry(_NOTE, 0, json.dumps(names).encode(), b"", 0)


def header(published: int, start_ns: int) -> bytes:
    """The first bytes of a file."""
    return HEADER.pack(MAGIC, VERSION, HEADER.size, published, start_ns)


class _Series:
    """Where a series lies, and what was written there last."""

    __slots__ = ("at", "capacity", "created_ns", "generation", "measure", "seen")

    def __init__(self, at: int, capacity: int, measure: object, created_ns: int) -> None:
        self.at = at
        self.capacity = capacity
        self.generation = 1
        self.measure = measure
        self.created_ns = created_ns
        self.seen = 0


class _KnownMetric:
    __slots__ = ("number", "series")

    def __init__(self, number: int) -> None:
        self.number = number
        self.series: dict[Attributes, _Series] = {}


def _measure(point: Point) -> object:
    """Another one whenever something was measured. (Collected gauges all have the time of now.)"""
    if isinstance(point, NumberPoint):
        return (point.value, point.exemplars[-1].time_ns) if point.exemplars else point.value
    return point.count


class HostFile:
    """Writes one process's sums into the open file ``fd``, which it owns. Not thread-safe."""

    def __init__(self, fd: int, start_ns: int, pause: Callable[[], object]) -> None:
        """Raises OSError where there is no room."""
        self._fd: int | None = fd
        self._pause = pause
        self._mapped: mmap.mmap
        self._size = 0
        self._metrics: dict[MetricKey, _KnownMetric] = {}
        self._round = 0
        self._grow(FIRST_SIZE)
        self._end = HEADER.size
        self._mapped[: HEADER.size] = header(self._end, start_ns)

    def write(self, metrics: Sequence[tuple[str, Metric]], now_ns: int) -> None:
        """Take over what has changed; each metric comes with its role.

        Raises:
            OSError: there is no room for a new series; others may not have been written.
        """
        self._round += 1
        left = SERIES_PER_PAUSE
        for role, metric in metrics:
            known = self._known(role, metric, now_ns)
            for point in metric.points:
                self._write_point(known, point, now_ns)
                left -= 1
                if not left:
                    self._pause()
                    left = SERIES_PER_PAUSE
        self._take_away_what_is_no_more()
        self._let_go_of_memory()

    def _known(self, role: str, metric: Metric, now_ns: int) -> _KnownMetric:
        key = MetricKey.of(role, metric)
        known = self._metrics.get(key)
        if known is None:
            self._append(metric_entry(key, metric.description, now_ns))
            known = self._metrics[key] = _KnownMetric(len(self._metrics))
        return known

    def _write_point(self, known: _KnownMetric, point: Point, now_ns: int) -> None:
        measure = _measure(point)
        series = known.series.get(point.attributes)
        if series is not None and series.measure == measure:
            series.seen = self._round
            return
        value = pack_point(point)
        if series is None or len(value) > series.capacity:
            created_ns = now_ns if series is None else series.created_ns
            # A value that outgrows its slot once will do so again (exemplars, finer buckets).
            capacity = _round_up(len(value) if series is None else 2 * len(value))
            slot = _slot(value, capacity, 1)
            key = pack_attributes(point.attributes)
            end = self._append(_entry(_SERIES, known.number, key, slot, created_ns))
            series = known.series[point.attributes] = _Series(
                end - len(slot), capacity, measure, created_ns
            )
        else:
            self._overwrite(series, value)
            series.measure = measure
        series.seen = self._round

    def _overwrite(self, series: _Series, value: bytes) -> None:
        series.generation = generation = (series.generation + 1) & 0xFFFFFFFF
        at, mapped = series.at, self._mapped
        body = at + _SLOT.size
        _GENERATION.pack_into(mapped, body + series.capacity, generation)
        mapped[at + 4 : body + len(value)] = _GENERATION.pack(len(value)) + value
        _GENERATION.pack_into(mapped, at, generation)

    def _take_away_what_is_no_more(self) -> None:
        for key, known in self._metrics.items():
            if key.kind in NOW_KINDS:
                for series in known.series.values():
                    if series.seen != self._round and series.measure is not None:
                        self._overwrite(series, b"")
                        series.measure = None

    def _append(self, entry: bytes) -> int:
        """Add ``entry``, then publish it; where it ends."""
        end = self._end + len(entry)
        if end > self._size:
            self._grow(min(2 * self._size, self._size + LARGEST_STEP) + len(entry))
        self._mapped[self._end : end] = entry
        struct.pack_into("<Q", self._mapped, _PUBLISHED_AT, end)
        self._end = end
        return end

    def _grow(self, size: int) -> None:
        size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        if size > MAX_SIZE:
            raise OSError(f"a process has more series than {MAX_SIZE >> 20} MiB hold")
        if self._fd is None:
            raise OSError("the file was closed")
        _allocate(self._fd, self._size, size)
        grown = mmap.mmap(self._fd, size)
        if self._size:
            self._mapped.close()
        self._mapped = grown
        self._size = size

    def _let_go_of_memory(self) -> None:
        """The pages stay in the system's cache, and count no more as this process's."""
        if hasattr(mmap, "MADV_DONTNEED") and self._size > FIRST_SIZE:
            self._mapped.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Let go of the file, and with it of the lock."""
        self._mapped.close()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def is_at(self, path: Path) -> bool:
        """Nobody has taken it away, or put another one in its place."""
        try:
            return self._fd is not None and os.path.samestat(os.fstat(self._fd), path.stat())
        except OSError:
            return False


def _allocate(fd: int, old: int, new: int) -> None:
    """Have the disk keep room, or raise OSError."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, old, new - old)
        return
    zeros = bytes(1 << 16)
    while old < new:
        old += os.pwrite(fd, zeros[: new - old], old)


# --- reading


def read_content(fd: int, wait: Callable[[], object]) -> Content:
    """All that is published; ``wait`` is called where a value is just being written.

    Raises:
        FileError: it isn't a file of ours, or is harmed.
        OSError: it can't be read.
    """
    head = os.pread(fd, HEADER.size, 0)
    if len(head) < HEADER.size:
        raise FileError("too short")
    magic, version, size, published, start_ns = HEADER.unpack(head)
    if magic != MAGIC or version != VERSION or size != HEADER.size:
        raise FileError("not a file of sums")
    data = _read(fd, size, published - size)
    content = Content(start_ns)
    try:
        for entry_kind, metric, key, created_ns, at, slot_size in _entries(data):
            if entry_kind == _METRIC:
                content.metrics.append((*MetricKey.unpack(key), created_ns))
            elif entry_kind == _SERIES and metric < len(content.metrics):
                slot = memoryview(data)[at : at + slot_size]
                value = _settled(fd, slot, size + at, wait)
                content.series[metric, key] = Entry(metric, key, created_ns, value)
            elif entry_kind == _NOTE:
                content.noted = frozenset(json.loads(key))
            else:
                raise FileError("an unknown entry")
    except (struct.error, ValueError, TypeError) as error:
        raise FileError("harmed") from error
    return content


def _read(fd: int, offset: int, length: int) -> bytes:
    if not 0 <= length <= MAX_SIZE:
        raise FileError("harmed")
    data = os.pread(fd, length, offset)
    while len(data) < length:
        more = os.pread(fd, length - len(data), offset + len(data))
        if not more:
            raise FileError("torn")
        data += more
    return data


def _entries(data: bytes) -> Iterator[tuple[int, int, bytes, int, int, int]]:
    """Kind, metric, key, creation, offset and size of the slot."""
    offset = 0
    while offset < len(data):
        kind, metric, key_size, slot_size, created_ns = _ENTRY.unpack_from(data, offset)
        offset += _ENTRY.size
        slot_at = offset + _round_up(key_size)
        yield kind, metric, data[offset : offset + key_size], created_ns, slot_at, slot_size
        offset = slot_at + slot_size
        if offset > len(data):
            raise FileError("torn")


ATTEMPTS: Final = 20


def _settled(fd: int, slot: memoryview, offset: int, wait: Callable[[], object]) -> bytes:
    """The slot's value once nobody is writing it; or as it is, when its writer was killed."""
    for _ in range(ATTEMPTS):
        generation, used = _SLOT.unpack_from(slot)
        if generation == _GENERATION.unpack_from(slot, len(slot) - _TAIL)[0]:
            break
        wait()
        slot = memoryview(os.pread(fd, len(slot), offset))
    if used > len(slot) - _SLOT.size - _TAIL:
        raise FileError("harmed")
    return bytes(slot[_SLOT.size : _SLOT.size + used])
