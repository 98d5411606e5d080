"""Each signal has its own queue, sinks and counts; one thread serves them all."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from otel_django.clock import SYSTEM_CLOCK
from otel_django.pipeline.drops import Drops
from otel_django.pipeline.lanes import Lane
from otel_django.pipeline.otlp_logs import encode_request
from otel_django.pipeline.worker import Worker
from tests.delivery_kit import make_sender
from tests.sender_kit import block, received
from tests.unit.test_otlp_logs import make_record
from tests.unit.test_queue_and_worker import Item, ListSink, numbers

if TYPE_CHECKING:
    from otel_django.contracts import Sink
    from tests.stub_collector import StubCollector


def make_lane(signal: str, sink: Sink, drops: Drops, **options: Any) -> Lane:
    settings: dict[str, Any] = {
        "delay_s": 0.01,
        "batch_size": 64,
        "max_bytes": 16 << 20,
        "max_items": None,
        "on_fork": lambda: None,
    }
    return Lane(signal, [sink], drops=drops, **{**settings, **options})


class Two:
    """A worker with lanes of spans and log records, and a sink that is only polled."""

    def __init__(self, **options: Any) -> None:
        self.drops = Drops()
        self.spans, self.records, self.polled = ListSink(), ListSink(), Polled()
        self.traces = make_lane("traces", self.spans, self.drops, **options.pop("traces", {}))
        self.logs = make_lane("logs", self.records, self.drops, **options.pop("logs", {}))
        self.worker = Worker(
            (self.traces, self.logs), [self.polled], drops=self.drops, clock=SYSTEM_CLOCK
        )


class Polled(ListSink):
    """Counts how often it was asked."""

    polls = 0
    wish_s: float | None = None
    held = False

    def poll(self, now_s: float) -> float | None:
        self.polls += 1
        return self.wish_s

    def hold(self) -> None:
        self.held = True


def until(wanted: Callable[[], bool], timeout_s: float = 5.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not wanted():
        assert time.monotonic() < end_s
        time.sleep(0.005)


def test_each_signal_goes_to_its_own_sinks_on_one_thread() -> None:
    two = Two()
    for number in range(200):
        two.traces.put(Item(number))
        two.logs.put(Item(1000 + number))
    assert two.worker.flush(5)
    assert numbers(two.spans.items) == list(range(200))
    assert numbers(two.records.items) == list(range(1000, 1200))
    assert two.spans.threads == two.records.threads == {"otel_django"}
    assert two.polled.flushes == 1
    assert two.worker.shutdown(5)
    assert two.spans.closed
    assert two.records.closed
    assert two.polled.closed


def test_a_lane_waits_as_long_as_its_own_delay_says() -> None:
    two = Two(logs={"delay_s": 60.0})
    two.logs.put(Item(1))
    time.sleep(0.05)
    two.traces.put(Item(2))  # wakes the thread, though the logs' lane has a minute
    until(lambda: numbers(two.spans.items) == [2])
    two.logs.put(Item(3))
    time.sleep(0.05)
    assert two.records.items == []
    for number in range(64):  # a batch doesn't wait
        two.logs.put(Item(number))
    until(lambda: len(two.records.items) == 66)
    assert two.worker.shutdown(5)


def test_hurry_ends_all_waiting() -> None:
    two = Two(traces={"delay_s": 60.0}, logs={"delay_s": 60.0})
    two.traces.put(Item(1))
    two.logs.put(Item(2))
    time.sleep(0.05)
    two.worker.hurry()
    until(lambda: len(two.spans.items) == len(two.records.items) == 1)
    two.worker.shutdown(5)


def test_what_is_only_polled_is_asked_when_it_wishes_and_when_woken() -> None:
    two = Two()
    two.worker.wake()
    until(lambda: two.polled.polls > 0)
    time.sleep(0.05)
    asked = two.polled.polls
    time.sleep(0.05)
    assert two.polled.polls == asked
    two.polled.wish_s = 0.01
    two.worker.wake()
    until(lambda: two.polled.polls > asked + 5)
    two.worker.shutdown(5)


def test_what_is_only_polled_is_closed_though_nothing_was_ever_queued() -> None:
    two = Two()
    assert two.worker.shutdown(5)
    assert two.polled.closed


def test_losses_are_counted_by_signal() -> None:
    two = Two()
    two.traces.put(Item(1))
    two.worker.shutdown(5)
    for number in range(10):
        two.logs.put(Item(number))
    for number in range(5):
        two.traces.put(Item(number))
    assert two.drops.snapshot() == {("logs", "shutdown"): 10, ("traces", "shutdown"): 5}


def test_a_full_queue_of_one_signal_leaves_the_other_alone() -> None:
    two = Two(logs={"max_items": 16, "batch_size": 16})
    two.records.delay_s = 0.2
    two.traces.put(Item(1))
    for number in range(200):
        two.logs.put(Item(number))
    assert two.records.spilled
    assert two.spans.spilled == []
    two.worker.shutdown(5)
    assert numbers(two.records.items, two.records.spilled) == list(range(200))


def test_keep_all_puts_every_signal_on_disk() -> None:
    two = Two(traces={"delay_s": 60.0}, logs={"delay_s": 60.0})
    two.traces.put(Item(1))
    two.logs.put(Item(2))
    two.worker.keep_all()
    assert numbers(two.spans.spilled, two.spans.items) == [1]
    assert numbers(two.records.spilled, two.records.items) == [2]
    assert two.polled.held
    two.worker.shutdown(5)


def test_P1_a_forked_child_starts_with_empty_lanes() -> None:
    two = Two(traces={"delay_s": 60.0}, logs={"delay_s": 60.0})
    two.traces.put(Item(1))
    two.logs.put(Item(2))
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            two.worker.after_fork()
            two.logs.put(Item(99))
            two.worker.flush(5)
            os.write(writer, repr([numbers(two.spans.items), numbers(two.records.items)]).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    assert os.read(reader, 1000) == b"[[], [99]]"
    os.close(reader)
    assert two.worker.shutdown(5)
    assert numbers(two.records.items) == [2]


class HangingTransport:
    """Waits for an answer until it may go on."""

    destination = "hanging"

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.waiting = threading.Event()

    def prepare(self) -> None: ...

    def close(self) -> None: ...

    def after_fork(self) -> None: ...

    def send(self, body: bytes, deadline_s: float, on_wait: Callable[[], object]) -> Any:
        from otel_django.pipeline.retry import Outcome, Verdict

        self.waiting.set()
        while not self.go_on.wait(0.05):
            on_wait()
        return Verdict(Outcome.DELIVERED)


def test_while_one_receiver_hangs_the_others_items_are_on_disk_and_leave_afterwards(
    collector: StubCollector, spool_dir: Path
) -> None:
    drops = Drops()
    hanging = HangingTransport()
    records = make_sender(
        "http://unused/", spool_dir, transport=hanging, encoder=encode_request, signal="logs"
    )
    spans = block(50)
    sender = make_sender(collector.endpoint, spool_dir, encoder=_encode_numbers)
    lanes = make_lane("traces", sender, drops), make_lane("logs", records, drops)
    worker = Worker(lanes, drops=drops, clock=SYSTEM_CLOCK)
    lanes[1].put(make_record())
    assert hanging.waiting.wait(5)
    for number in spans:
        lanes[0].put(Item(number))
    until(lambda: len(list(spool_dir.glob("traces-*/*.seg"))) == 1)
    until(lambda: len(lanes[0].queue) == 0)
    assert received(collector, spans) == []  # no request within the other's
    hanging.go_on.set()
    until(lambda: sorted(received(collector, spans)) == list(spans))
    assert worker.shutdown(5)
    assert drops.snapshot() == {}


def _encode_numbers(batch: Sequence[Item]) -> bytes:
    from tests.delivery_kit import encode

    return encode(item.number for item in batch)


@pytest.mark.parametrize("mode", ["ok", "unavailable"])
def test_log_records_reach_the_receiver_once(
    collector: StubCollector, spool_dir: Path, mode: str
) -> None:
    drops = Drops()
    path = collector.base_endpoint + "/v1/logs"
    sender = make_sender(path, spool_dir, encoder=encode_request, signal="logs", drops=drops)
    lane = make_lane("logs", sender, drops)
    worker = Worker([lane], drops=drops, clock=SYSTEM_CLOCK)
    collector.set_mode(mode)
    before = len(collector.raw_bodies("logs"))
    for number in range(600):
        lane.put(make_record(body=f"{mode} {number}"))
    if mode == "unavailable":
        until(lambda: list(spool_dir.glob("logs-*/*.seg")) != [])
        collector.set_mode("ok")
    assert worker.flush(5)
    assert sorted(bodies(collector.raw_bodies("logs")[before:])) == sorted(
        f"{mode} {number}" for number in range(600)
    )
    worker.shutdown(5)
    assert drops.snapshot() == {}


def bodies(requests: Sequence[bytes]) -> list[str]:
    return [
        record.body.string_value
        for request in requests
        for resource in ExportLogsServiceRequest.FromString(request).resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]
