"""When a trace is shown: not before its tasks where they are about to run, never held for long."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from otel_django import names
from otel_django.cli.trace_assembly import MAX_TRACES, TraceAssembly
from otel_django.contracts import SpanRow
from tests.unit.test_trace_tree import START, span
from tests.unit.test_trace_tree_tasks import request, run, send


def given(assembly: TraceAssembly, now_s: float) -> list[list[str]]:
    return [[each.span_id for each in spans] for spans in assembly.whole(now_s)]


def delayed(span_id: str, parent: str, seconds: float) -> SpanRow:
    eta = datetime.fromtimestamp(START / 1e9, timezone.utc) + timedelta(seconds=seconds)
    return send(span_id, parent, 0, **{names.CELERY_TASK_ETA: eta.isoformat()})


def test_a_trace_is_given_once_when_its_root_has_come_and_it_is_quiet() -> None:
    assembly = TraceAssembly()
    assembly.add([span("a", "root", "child")], 0.0)
    assert given(assembly, 5.0) == []
    assembly.add([span("root", None, "root"), span("a", "root", "child")], 5.0)
    assert given(assembly, 5.2) == []
    assert given(assembly, 5.4) == [["a", "root"]]
    assert given(assembly, 60.0) == []


def test_spans_whose_root_never_comes_are_given_in_the_end() -> None:
    assembly = TraceAssembly()
    assembly.add([span("a", "root", "child")], 0.0)
    assert given(assembly, 9.0) == []
    assert given(assembly, 10.0) == [["a"]]


def test_traces_that_wait_are_bounded() -> None:
    assembly = TraceAssembly()
    for index in range(MAX_TRACES + 5):
        assembly.add([span("a", "root", "child", trace_id=f"{index:032x}")], 0.0)
    assert len(given(assembly, 0.0)) == 5


def test_a_trace_waits_for_the_task_it_has_sent_and_holds_up_no_other() -> None:
    assembly = TraceAssembly()
    assembly.add([request(), send("s1", "root", 1)], 0.0)
    assembly.add([span("other", None, "GET /", trace_id="b" * 32)], 0.0)
    assert given(assembly, 0.5) == [["other"]]
    assembly.add([run("p1", "s1", 500), send("s2", "p1", 510)], 1.0)
    assert given(assembly, 2.5) == []
    assembly.add([run("p2", "s2", 900)], 2.5)
    assert given(assembly, 2.9) == [["root", "s1", "p1", "s2", "p2"]]


def test_without_a_worker_the_request_is_shown_after_two_seconds() -> None:
    assembly = TraceAssembly()
    assembly.add([request(), send("s1", "root", 1)], 0.0)
    assert given(assembly, 1.9) == []
    assert given(assembly, 2.0) == [["root", "s1"]]


def test_a_chain_without_end_is_held_for_six_seconds_at_most() -> None:
    assembly = TraceAssembly()
    assembly.add([request(), send("s0", "root", 1)], 0.0)
    for second in range(1, 7):
        before, after = f"s{second - 1}", f"s{second}"
        assembly.add([run(f"p{second}", before, 1), send(after, f"p{second}", 2)], float(second))
        assert given(assembly, second + 0.2) == []
    assert len(given(assembly, 6.3)[0]) == 14


def test_a_long_task_is_a_part_of_its_own_that_is_not_held() -> None:
    assembly = TraceAssembly()
    assembly.add([request(), send("s1", "root", 1)], 0.0)
    assert given(assembly, 2.0) == [["root", "s1"]]
    assembly.add([run("p1", "s1", 1, 8_000)], 9.0)
    assert given(assembly, 9.3) == [["p1"]]


def test_tasks_that_come_later_are_parts_apart() -> None:
    assembly = TraceAssembly()
    assembly.add([request(), send("s1", "root", 1), send("s2", "root", 2)], 0.0)
    assert given(assembly, 2.0) == [["root", "s1", "s2"]]
    query = span("q", "p2", "SELECT")
    assembly.add([query, run("p1", "s1", 1, 8_000), run("p2", "s2", 1, 8_000)], 9.0)
    assert given(assembly, 9.3) == [["p1"], ["p2", "q"]]


def test_a_task_that_ends_before_the_request_waits_for_it_a_while() -> None:
    assembly = TraceAssembly()
    assembly.add([run("p1", "s1", 5)], 0.0)
    assert given(assembly, 1.0) == []
    assembly.add([request(), send("s1", "root", 1)], 1.0)
    assert given(assembly, 1.3) == [["p1", "root", "s1"]]


def test_a_request_that_ends_long_after_its_task_does_not_wait_for_it() -> None:
    assembly = TraceAssembly()
    assembly.add([run("p1", "s1", 5)], 0.0)
    assert given(assembly, 2.0) == [["p1"]]
    assembly.add([request(), send("s1", "root", 1)], 9.0)
    assert given(assembly, 9.3) == [["root", "s1"]]


def test_a_short_delay_is_waited_for_and_a_long_one_is_not() -> None:
    assembly = TraceAssembly()
    assembly.add([request(), delayed("s1", "root", 1.5)], 0.0)
    assert given(assembly, 3.4) == []
    assert len(given(assembly, 3.6)) == 1
    assembly = TraceAssembly()
    assembly.add([request(), delayed("s1", "root", 30)], 0.0)
    assert len(given(assembly, 0.3)) == 1
    assembly.add([run("p1", "s1", 30_000)], 30.0)
    assert given(assembly, 30.3) == [["p1"]]


def test_sends_whose_task_begins_another_trace_or_never_came_off_are_not_waited_for() -> None:
    failed = span("s1", "root", "send x", kind="producer", status="error")
    of_django = span("s2", "root", "send y", kind="producer")
    of_beat = send("s3", "root", 1, **{names.CELERY_BEAT_ENTRY: "restock"})
    assembly = TraceAssembly()
    assembly.add([request(), failed, of_django, of_beat], 0.0)
    assert len(given(assembly, 0.3)) == 1
