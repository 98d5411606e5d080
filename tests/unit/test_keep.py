"""``OTEL_DJANGO_KEEP`` holds spans back within bounds, and decides for those that come late."""

from __future__ import annotations

import os

import pytest
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

from otel_django.tracing import samplers
from otel_django.tracing.local_trace import MAX_HELD_SPANS, KeepPolicy
from otel_django.tracing.span import Span
from tests.tracing_kit import Collected

EXTRA = 7


class Keeping:
    """A provider that keeps errors and counts what it couldn't hold."""

    def __init__(self, sampler: str, ratio: float = 0.5) -> None:
        self.lost = 0
        self.collected = Collected(
            sampler, ratio, KeepPolicy(errors=True, slow=False, slow_s=1.0), on_drop=self._count
        )
        self.tracer = self.collected.tracer

    def _count(self, count: int) -> None:
        self.lost += count

    def root(self, trace_id: int) -> Span:
        # The rightmost 56 bits decide: all ones are kept by any ratio, zeros by none.
        parent = SpanContext(trace_id, 7, True, TraceFlags(2))
        root = self.tracer.begin_local_root("root", SpanKind.SERVER, {}, parent)
        assert isinstance(root, Span)
        return root

    def children(self, root: Span, count: int) -> None:
        for _ in range(count):
            self.tracer.begin("child", SpanKind.INTERNAL, {}, root).end()


def thresholds(collected: Collected) -> list[str | None]:
    states = [span._export_state or span._context[4] for span in collected.spans]
    return [samplers.ot_members(state).get("th") for state in states]


SAMPLED, DROPPED = 2**56 - 1, 2**56


def test_a_sampled_trace_beyond_the_bound_leaves_with_the_heads_probability() -> None:
    keeping = Keeping("traceidratio")
    root = keeping.root(SAMPLED)
    keeping.children(root, MAX_HELD_SPANS + EXTRA)
    assert thresholds(keeping.collected) == ["8"] * EXTRA
    root.fail("ValueError")
    root.end()
    found = thresholds(keeping.collected)
    assert found[EXTRA:] == ["0"] * (MAX_HELD_SPANS + 1)
    assert keeping.lost == 0


def test_a_dropped_trace_beyond_the_bound_loses_spans_only_if_it_is_kept_and_says_so() -> None:
    keeping = Keeping("traceidratio")
    root = keeping.root(DROPPED)
    keeping.children(root, MAX_HELD_SPANS + EXTRA)
    root.fail("ValueError")
    root.end()
    assert len(keeping.collected.spans) == MAX_HELD_SPANS + 1
    assert keeping.lost == EXTRA
    unremarkable = keeping.root(DROPPED)
    keeping.children(unremarkable, MAX_HELD_SPANS + EXTRA)
    unremarkable.end()
    assert len(keeping.collected.spans) == MAX_HELD_SPANS + 1
    assert keeping.lost == EXTRA


def test_a_late_span_of_a_kept_trace_says_that_it_was_kept_with_certainty() -> None:
    keeping = Keeping("traceidratio")
    root = keeping.root(DROPPED)
    late = keeping.tracer.begin("late", SpanKind.INTERNAL, {}, root)
    root.fail("ValueError")
    root.end()
    late.end()
    assert thresholds(keeping.collected) == ["0", "0"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_send_what_the_head_dropped() -> None:
    keeping = Keeping("always_off")
    root = keeping.root(DROPPED)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        keeping.tracer.begin("in the child", SpanKind.INTERNAL, {}, root).end()
        failed = keeping.tracer.begin("failed", SpanKind.INTERNAL, {}, root)
        failed.fail("ValueError")
        failed.end()
        os.write(write, ",".join(span.name for span in keeping.collected.spans).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    assert os.read(read, 1000) == b"failed"
    os.close(read)
