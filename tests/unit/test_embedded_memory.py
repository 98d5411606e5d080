"""What is remembered of slices that have ended: the same answers, sooner, within bounds."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from otel_django.backends import embedded_memory, embedded_metrics, embedded_session
from otel_django.backends.embedded import EmbeddedReader
from otel_django.backends.embedded_memory import Memory, size_bytes
from otel_django.backends.embedded_metrics import EmbeddedMetricReader
from otel_django.backends.embedded_timeline import EmbeddedTimelineReader
from otel_django.contracts import MetricQuery
from otel_django.store.metric_writer import MetricWriter
from otel_django.store.writer import StoreWriter
from tests.store_metrics import counter, histogram, of
from tests.store_spans import Losses, SpanSource
from tests.unit.test_embedded_reader import SteppedClock
from tests.unit.test_store_retention import keep_house

MINUTE = 60 * 10**9
HOUR = 60 * MINUTE


class Site:
    """A day of requests and metrics, in slices of two hours."""

    def __init__(self, path: Path, losses: Losses) -> None:
        self.path = path
        self.clock = SteppedClock()
        self.source = SpanSource()
        self.spans = StoreWriter(
            path, retention_hours=24, max_mb=64, drops=losses, clock=self.clock
        )
        self.metrics = MetricWriter(self.spans.file, drops=losses, clock=self.clock)
        self.took = 0

    def live(self, minutes: int) -> None:
        """A request and a point every ten of them."""
        for _ in range(0, minutes, 10):
            now_ns = self.clock.now_ns()
            self.took += 1
            self.source.request("/a/", start=now_ns - MINUTE, duration_ms=self.took)
            self.spans.accept(self.source.take())
            self.metrics.take([of(histogram((self.took, 2 * self.took, 0), now_ns))])
            self.clock.s += 600
        keep_house(self.spans, self.clock)

    def told(self, since_ns: int, until_ns: int) -> tuple[Any, ...]:
        """What pages ask for."""
        reader, timeline = EmbeddedReader(self.path), EmbeddedTimelineReader(self.path)
        metrics = EmbeddedMetricReader(self.path)
        times = (since_ns, until_ns)
        return (
            reader.endpoints(*times),
            reader.statements(*times),
            timeline.requests(*times, 7 * MINUTE),
            timeline.requests(*times, 2 * HOUR, kind="requests"),
            timeline.courses(*times, HOUR),
            metrics.list_metrics(),
            *(
                metrics.read(MetricQuery("request.duration", *times, step_ns=step * MINUTE))
                for step in (1, 30, 120, 360)
            ),
        )


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """Empty, in place of the process's own."""
    return remember(monkeypatch, Memory())


def remember(monkeypatch: pytest.MonkeyPatch, memory: Memory) -> Memory:
    for module in (embedded_session, embedded_metrics):
        monkeypatch.setattr(module, "MEMORY", memory)
    return memory


@pytest.fixture
def site(path: Path, losses: Losses) -> Iterator[Site]:
    made = Site(path, losses)
    made.live(17 * 60)
    yield made
    made.metrics.release()
    made.spans.close(time.monotonic() + 1)
    assert losses.counts == {}


def test_what_is_remembered_is_what_would_be_read(
    site: Site, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns = site.clock.now_ns()
    ranges = [
        (now_ns - length, now_ns - back)
        for length, back in (
            (20 * HOUR, 0),
            (20 * HOUR, 0),
            (16 * HOUR + 7 * MINUTE, 0),
            (9 * HOUR + MINUTE, 3 * HOUR + 11 * MINUTE),
            (40 * HOUR, 30 * HOUR),
            (HOUR, 0),
        )
    ]
    remembered = [site.told(*times) for times in ranges]
    assert memory._bytes > 10_000
    remember(monkeypatch, Memory(0))
    assert remembered == [site.told(*times) for times in ranges]
    assert remembered[0][0][0].count == 17 * 6


def test_an_ended_slice_is_read_once(site: Site, memory: Memory) -> None:
    now_ns = site.clock.now_ns()
    times = (now_ns - 20 * HOUR, now_ns)
    before = site.told(*times)
    with closing(sqlite3.connect(site.path, isolation_level=None)) as connection:
        for table in ("endpoint", "long_endpoint", "statement", "long_statement"):
            connection.execute(f"DELETE FROM {table}_2")
        connection.execute("DELETE FROM two_hours_2")
    assert site.told(*times)[:5] == before[:5]


def test_what_is_written_meanwhile_is_told_at_once(site: Site, memory: Memory) -> None:
    """Also when slices end and others begin."""
    for _ in range(3):
        now_ns = site.clock.now_ns()
        (endpoint,) = site.told(now_ns - 23 * HOUR, now_ns)[0]
        newest = site.told(now_ns - 3 * HOUR, now_ns)[6].series[0].points[-1]
        assert endpoint.count == site.took
        assert newest.counts[0] == site.took
        site.live(50)


def test_points_that_came_hours_late_stay_when_their_slice_has_ended(
    site: Site, memory: Memory
) -> None:
    """As from a Collector that could not send for long."""
    late_ns = site.clock.now_ns() - 5 * HOUR
    for minute in range(5):
        site.metrics.take([of(counter(minute, late_ns + minute * MINUTE))])
    ranges = [(late_ns - HOUR, late_ns + HOUR), (late_ns - 20 * HOUR, late_ns + 10 * HOUR)]
    for _ in range(3):
        for since_ns, until_ns in ranges * 2:
            query = MetricQuery("orders.placed", since_ns, until_ns)
            (late,) = EmbeddedMetricReader(site.path).read(query).series
            assert [point.time_ns for point in late.points] == [
                late_ns + minute * MINUTE for minute in range(5)
            ]
        site.live(2 * 60)


def test_what_is_dropped_is_told_no_longer(site: Site, memory: Memory) -> None:
    now_ns = site.clock.now_ns()
    before = site.told(now_ns - 20 * HOUR, now_ns)[0][0].count
    with closing(sqlite3.connect(site.path, isolation_level=None)) as connection:
        connection.execute("UPDATE slice SET dropping = 1 WHERE id <= 2")
    assert site.told(now_ns - 20 * HOUR, now_ns)[0][0].count < before


def test_the_oldest_make_room_and_what_is_too_large_is_not_kept() -> None:
    memory = Memory(8_000)
    for number in range(100):
        memory.put(number, f"answer {number}", 900)
        assert memory._bytes <= 8_000
    assert memory.get(99) == "answer 99"
    assert memory.get(91) is None
    memory.put("large", "a thousandth", 1_001)
    assert memory.get("large") is None


def test_one_who_finds_it_in_use_does_without() -> None:
    memory = Memory()
    with memory._lock:
        memory.put("asked", "answer", 10)
        assert memory.get("asked") is None
    memory.put("asked", "answer", 10)
    assert memory.get("asked") == "answer"


def test_many_threads_leave_it_within_its_bounds() -> None:
    memory = Memory(10_000)

    def use(thread: int) -> None:
        for number in range(2_000):
            memory.put((thread, number % 50), number, 100 + number % 900)
            memory.get((thread, (number * 7) % 50))

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert memory._bytes == sum(size for _, size in memory._answers.values())
    assert memory._bytes <= 10_000


def test_long_texts_count_for_what_they_take() -> None:
    assert size_bytes([("x" * 10**6, 1)]) > 10**6
    assert embedded_memory.MOST_BYTES < 2**25
