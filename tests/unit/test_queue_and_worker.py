"""The queue is bounded and loses nothing that it took; the worker passes everything on."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.trace import INVALID_SPAN, get_current_span

from otel_django import guard
from otel_django.clock import SYSTEM_CLOCK
from otel_django.pipeline.drops import Drops
from otel_django.pipeline.lanes import Lane
from otel_django.pipeline.worker import LINGER_S, Worker


@dataclass
class Item:
    """Stands for a span: the queue asks only for its size."""

    number: int
    _large_bytes: int = 0


@dataclass
class ListSink:
    """A sink that keeps what it gets; ``delay_s`` makes it slow."""

    delay_s: float = 0.0
    items: list[Item] = field(default_factory=list)
    spilled: list[Item] = field(default_factory=list)
    flushes: int = 0
    closed: bool = False
    threads: set[str] = field(default_factory=set)

    def accept(self, batch: Sequence[Any]) -> None:
        self.threads.add(threading.current_thread().name)
        if self.delay_s:
            time.sleep(self.delay_s)
        self.items.extend(batch)

    def spill(self, batch: Sequence[Any]) -> None:
        self.spilled.extend(batch)

    def hold(self) -> None: ...

    def poll(self, now_s: float) -> float | None:
        return None

    def flush(self, deadline_s: float) -> bool:
        self.flushes += 1
        return True

    def close(self, deadline_s: float) -> None:
        self.closed = True

    def after_fork(self) -> None:
        self.items.clear()


def make(sink: ListSink, drops: Drops | None = None, **options: Any) -> Worker:
    settings: dict[str, Any] = {
        "delay_s": 0.01,
        "batch_size": 64,
        "max_bytes": 16 << 20,
        "max_items": None,
        "drops": drops or Drops(),
        "clock": SYSTEM_CLOCK,
        "on_fork": lambda: None,
    }
    made = {**settings, **options}
    clock = made.pop("clock")
    return Worker([Lane("traces", [sink], **made)], drops=made["drops"], clock=clock)


def put(worker: Worker, items: Sequence[Item]) -> None:
    for item in items:
        worker.lanes[0].put(item)


def numbers(*lists: list[Item]) -> list[int]:
    return sorted(item.number for items in lists for item in items)


def test_no_thread_runs_before_the_first_span_and_none_after_shutdown() -> None:
    others = set(threading.enumerate())
    sink = ListSink()
    worker = make(sink)
    assert set(threading.enumerate()) <= others
    put(worker, [Item(1)])
    assert worker.flush(5)
    (thread,) = set(threading.enumerate()) - others
    assert sink.threads == {"otel_django"}
    assert worker.shutdown(5)
    thread.join(5)
    assert not thread.is_alive()
    assert sink.closed


def test_flush_hands_on_everything_put_before_it_in_order() -> None:
    sink = ListSink()
    worker = make(sink, delay_s=60.0)
    put(worker, [Item(number) for number in range(1000)])
    assert worker.flush(5)
    assert [item.number for item in sink.items] == list(range(1000))
    assert sink.flushes == 1
    worker.shutdown(5)


def test_shutdown_loses_nothing_that_waits() -> None:
    sink = ListSink()
    worker = make(sink, delay_s=60.0)
    put(worker, [Item(number) for number in range(500)])
    assert worker.shutdown(5)
    assert numbers(sink.items) == list(range(500))


def test_shutdown_keeps_to_its_deadline_when_a_sink_hangs() -> None:
    worker = make(ListSink(delay_s=5.0))
    put(worker, [Item(1)])
    time.sleep(0.1)
    start = time.monotonic()
    assert not worker.shutdown(0.3)
    assert time.monotonic() - start < 2


def test_what_comes_while_the_worker_sleeps_wakes_it() -> None:
    sink = ListSink()
    worker = make(sink)
    for number in range(5):
        put(worker, [Item(number)])
        deadline = time.monotonic() + 5
        while len(sink.items) <= number and time.monotonic() < deadline:
            time.sleep(0.005)
        assert len(sink.items) == number + 1
    worker.shutdown(5)


def test_a_full_queue_spills_and_every_item_arrives_exactly_once() -> None:
    sink = ListSink(delay_s=0.002)
    drops = Drops()
    worker = make(sink, drops, max_items=128)
    threads = [
        threading.Thread(
            target=put, args=(worker, [Item(start + number) for number in range(5000)])
        )
        for start in range(0, 20_000, 5000)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worker.shutdown(20)
    assert numbers(sink.items, sink.spilled) == list(range(20_000))
    assert sink.spilled
    assert drops.snapshot() == {}


def test_long_texts_count_against_the_byte_budget() -> None:
    sink = ListSink(delay_s=1.0)
    worker = make(sink, max_bytes=4 << 20)
    put(worker, [Item(number, _large_bytes=1 << 20) for number in range(20)])
    held = sum(item._large_bytes for item in worker.lanes[0].queue._items)
    assert held <= 2 << 20
    assert worker.shutdown(30)
    assert numbers(sink.items, sink.spilled) == list(range(20))


class BrokenSink(ListSink):
    def accept(self, batch: Sequence[Any]) -> None:
        raise RuntimeError("broken")

    def spill(self, batch: Sequence[Any]) -> None:
        raise RuntimeError("broken")


def test_a_broken_sink_never_reaches_the_putting_thread() -> None:
    guard.set_strict(False)
    try:
        drops = Drops()
        worker = make(BrokenSink(), drops, max_items=16, batch_size=16)
        put(worker, [Item(number) for number in range(200)])
        assert worker.shutdown(5)
    finally:
        guard.set_strict(True)


def test_P1_a_forked_child_starts_empty_with_a_thread_of_its_own() -> None:
    import os

    sink = ListSink()
    worker: Worker
    worker = make(sink, delay_s=60.0, on_fork=lambda: worker.after_fork())  # noqa: PLW0108 - made first
    put(worker, [Item(number) for number in range(10)])
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            put(worker, [Item(99)])
            worker.flush(5)
            os.write(writer, repr(numbers(sink.items)).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    assert os.read(reader, 1000) == b"[99]"
    os.close(reader)
    assert worker.shutdown(5)
    assert numbers(sink.items) == list(range(10))


@pytest.mark.parametrize("waiting", [0, 5])
def test_flush_says_no_when_time_runs_out(waiting: int) -> None:
    worker = make(ListSink(delay_s=1.0))
    put(worker, [Item(number) for number in range(waiting)])
    assert worker.flush(0.1) is (waiting == 0)
    worker.shutdown(5)


def test_what_ends_after_the_shutdown_is_counted_and_holds_nobody_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    drops = Drops()
    worker = make(ListSink(), drops)
    put(worker, [Item(1)])
    worker.shutdown(5)
    put(worker, [Item(number) for number in range(1000)])
    assert drops.snapshot() == {("traces", "shutdown"): 1000}
    assert len(worker.lanes[0].queue) == 0
    assert len(caplog.records) == 1
    start = time.monotonic()
    assert worker.flush(5)
    assert time.monotonic() - start < 1


def test_the_thread_traces_nothing_and_is_nobodys_child() -> None:
    seen: list[tuple[bool, bool]] = []

    class Looking(ListSink):
        def accept(self, batch: Sequence[Any]) -> None:
            seen.append((is_instrumentation_enabled(), get_current_span() is INVALID_SPAN))

    worker = make(Looking())
    put(worker, [Item(1)])
    assert worker.flush(5)
    worker.shutdown(5)
    assert seen == [(False, True)]


@dataclass
class ForwardClock:
    """The system's, put forward by ``ahead_s``."""

    ahead_s: float = 0.0

    def now_ns(self) -> int:
        return SYSTEM_CLOCK.now_ns()

    def monotonic_s(self) -> float:
        return SYSTEM_CLOCK.monotonic_s() + self.ahead_s


def wakes_of(worker: Worker) -> list[Lane]:
    """Every time that an item has woken the worker from now on."""
    woken: list[Lane] = []
    lane = worker.lanes[0]
    wake = lane.on_wake

    def counted(woken_for: Lane) -> None:
        woken.append(woken_for)
        wake(woken_for)

    lane.on_wake = counted
    return woken


def arrived(sink: ListSink, count: int) -> bool:
    deadline = time.monotonic() + 5
    while len(sink.items) < count and time.monotonic() < deadline:
        time.sleep(0.005)
    return len(sink.items) == count


def test_after_work_the_worker_looks_by_the_clock_and_no_item_wakes_it() -> None:
    sink = ListSink()
    worker = make(sink, delay_s=0.1)
    put(worker, [Item(0)])
    assert arrived(sink, 1)
    woken = wakes_of(worker)
    for number in range(1, 4):
        put(worker, [Item(number)])
        assert arrived(sink, number + 1)
    assert woken == []
    worker.shutdown(5)


def test_long_after_work_the_first_item_wakes_the_worker_again() -> None:
    sink, clock = ListSink(), ForwardClock()
    worker = make(sink, delay_s=0.1, clock=clock)
    put(worker, [Item(0)])
    assert arrived(sink, 1)
    clock.ahead_s = LINGER_S
    deadline = time.monotonic() + 5
    while not worker.lanes[0].queue.idle and time.monotonic() < deadline:
        time.sleep(0.005)
    woken = wakes_of(worker)
    put(worker, [Item(1)])
    assert arrived(sink, 2)
    assert len(woken) == 1
    worker.shutdown(5)


def test_a_sink_wakes_a_new_thread_where_the_one_that_lingered_failed() -> None:
    class FailingClock(ForwardClock):
        fails = False

        def monotonic_s(self) -> float:
            if self.fails and threading.current_thread().name == "otel_django":
                raise OSError
            return super().monotonic_s()

    asked = threading.Event()

    class Asked(ListSink):
        def poll(self, now_s: float) -> float | None:
            asked.set()
            return None

    sink, clock = Asked(), FailingClock()
    worker = make(sink, delay_s=0.1, clock=clock)
    guard.set_strict(False)
    try:
        put(worker, [Item(0)])
        assert arrived(sink, 1)
        clock.fails = True
        deadline = time.monotonic() + 5
        while worker._thread is not None and time.monotonic() < deadline:
            time.sleep(0.005)
    finally:
        guard.set_strict(True)
    clock.fails = False
    asked.clear()
    worker.notice()
    assert asked.wait(5)
    worker.shutdown(5)


def test_a_batch_wakes_the_worker_while_it_lingers() -> None:
    sink = ListSink()
    worker = make(sink, delay_s=60.0, batch_size=8)
    put(worker, [Item(0)])
    assert worker.flush(5)
    put(worker, [Item(number) for number in range(1, 10)])
    assert arrived(sink, 10)
    worker.shutdown(5)
