"""A process that may be killed at any moment: what it holds is on disk first, then sent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

from otel_django.clock import SYSTEM_CLOCK
from otel_django.pipeline.drops import Drops
from otel_django.pipeline.lanes import Lane
from otel_django.pipeline.spool import Spool
from otel_django.pipeline.worker import Worker
from otel_django.tracing import samplers
from otel_django.tracing.local_trace import KeepPolicy
from otel_django.tracing.span import Span
from tests.delivery_kit import encode, files_below, make_sender, numbers, run_until, soon
from tests.sender_kit import Scripted, block, received, scripted
from tests.tracing_kit import Collected

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from otel_django.pipeline.retry import Verdict
    from tests.stub_collector import StubCollector


class Interrupted(Scripted):
    """Something else happens while a request is under way."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__()
        self.happens = happens

    def send(self, body: bytes, deadline_s: float, on_wait: Callable[[], object]) -> Verdict:
        self.happens()
        return super().send(body, deadline_s, on_wait)


def test_the_batch_in_flight_is_on_disk_before_its_answer_comes(spool_dir: Path) -> None:
    found: list[bool] = []

    def killed_soon() -> None:
        sender.hold()
        found.append(bool(files_below(spool_dir)))
        assert sender.status().backlog_items == 3

    script = Interrupted(killed_soon)
    sender, clock = scripted(spool_dir, script)
    sender.accept([1, 2, 3])
    assert found == [True]
    assert numbers(script.sent) == [1, 2, 3]
    assert sender.status().backlog_items == 0  # the answer came after all: not sent again
    sender.close(clock.now_s + 1)
    assert files_below(spool_dir) == []


def test_what_comes_then_goes_to_disk_first_and_leaves_with_the_next_turn(spool_dir: Path) -> None:
    script = Scripted()
    sender, clock = scripted(spool_dir, script)
    sender.hold()
    sender.accept([1, 2])
    assert script.sent == []
    assert sender.status().backlog_items == 2
    sender.poll(clock.now_s)
    assert numbers(script.sent) == [1, 2]
    sender.accept([3])
    assert numbers(script.sent) == [1, 2, 3]


def test_a_worker_keeps_its_queue_and_what_its_thread_has_in_hand(
    collector: StubCollector, spool_dir: Path
) -> None:
    spans = block(60)
    collector.set_mode("hang")
    worker = make_worker(collector.endpoint, spool_dir)
    for number in spans[:50]:
        worker.lanes[0].put(Numbered(number))
    time.sleep(0.1)  # the thread is sending these
    for number in spans[50:]:
        worker.lanes[0].put(Numbered(number))
    worker.keep_all()
    assert kept_items(spool_dir) == 60
    collector.set_mode("ok")
    worker.shutdown(5)
    heir = make_sender(collector.endpoint, spool_dir)
    run_until(heir, lambda: files_below(spool_dir) == [])
    assert sorted(received(collector, spans)) == list(spans)
    heir.close(soon())


class Numbered:
    """Stands for a span."""

    _large_bytes = 0

    def __init__(self, number: int) -> None:
        self.number = number


def make_worker(endpoint: str, spool_dir: Path) -> Worker:
    sender = make_sender(
        endpoint, spool_dir, encoder=lambda batch: encode(item.number for item in batch)
    )
    drops = Drops()
    lane = Lane(
        "traces",
        [sender],
        delay_s=0.01,
        batch_size=512,
        max_bytes=1 << 20,
        max_items=None,
        drops=drops,
        on_fork=lambda: None,
    )
    return Worker([lane], drops=drops, clock=SYSTEM_CLOCK)


def kept_items(spool_dir: Path) -> int:
    """How many spans the segments on disk hold."""
    return sum(path.read_bytes().count(b"span ") for path in spool_dir.glob("traces-*/*.seg"))


def test_many_small_orphans_are_delivered_without_waiting_between_them(
    collector: StubCollector, spool_dir: Path
) -> None:
    spans = block(100)
    for number in spans:
        orphan = Spool(spool_dir, max_bytes=1 << 20)
        orphan.append(encode([number]), 1)
        orphan.close()
    sender = make_sender(collector.endpoint, spool_dir, adopt_every_s=60.0)
    run_until(sender, lambda: files_below(spool_dir) == [])
    assert sorted(received(collector, spans)) == list(spans)
    sender.close(soon())


# --- the root that another process tells of


def kept_for_errors() -> Collected:
    return Collected("traceidratio", 0.5, KeepPolicy(errors=True, slow=False, slow_s=1.0))


def begun(collected: Collected) -> Span:
    parent = SpanContext(2**56, 7, True, TraceFlags(2))  # a trace that the ratio drops
    root = collected.tracer.begin_local_root("process", SpanKind.CONSUMER, {}, parent)
    assert isinstance(root, Span)
    return root


def test_a_relinquished_root_is_not_told_but_what_waited_for_it_is() -> None:
    collected = kept_for_errors()
    root = begun(collected)
    collected.tracer.begin("early", SpanKind.INTERNAL, {}, root).end()
    late = collected.tracer.begin("late", SpanKind.INTERNAL, {}, root)
    assert collected.spans == []
    root.relinquish()
    late.end()
    root.end()
    assert [span.name for span in collected.spans] == ["early", "late"]
    for span in collected.spans:
        assert samplers.ot_members(span._export_state)["th"] == "0"


def test_without_keep_only_the_root_is_missing() -> None:
    collected = Collected()
    root = collected.tracer.begin_local_root("process", SpanKind.CONSUMER, {})
    assert isinstance(root, Span)
    collected.tracer.begin("step", SpanKind.INTERNAL, {}, root).end()
    root.relinquish()
    assert [span.name for span in collected.spans] == ["step"]
