"""A trace as rows: order, folding, own times, the critical path, what doesn't fit together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from otel_django import log_record, names
from otel_django.contracts import LogRow, SpanEvent, SpanRow
from otel_django.viewer.waterfall import Row, Waterfall
from otel_django.viewer.waterfall_drawing import lines, script_data, window_of

MS = 1_000_000
SHOP = {names.SERVICE_NAME: "shop"}
MAIL = {names.SERVICE_NAME: "mail"}
STATEMENT = 'SELECT "p"."id" FROM "p" WHERE "p"."id" = %s'


def span(
    span_id: str, parent: str | None, start_ms: float, ms: float, name: str = "", **more: Any
) -> SpanRow:
    given: dict[str, Any] = {
        "kind": "internal",
        "status": "unset",
        "resource": SHOP,
        "local_root": parent is None,
        **more,
    }
    return SpanRow(
        trace_id="1" * 32,
        span_id=span_id,
        parent_id=parent,
        name=name or span_id,
        service=given["resource"][names.SERVICE_NAME],
        start_ns=int(start_ms * MS),
        duration_ns=int(ms * MS),
        **given,
    )


def query(span_id: str, parent: str, start_ms: float, ms: float = 1) -> SpanRow:
    attributes = {names.DB_SYSTEM_NAME: "sqlite", names.DB_QUERY_TEXT: STATEMENT}
    return span(
        span_id, parent, start_ms, ms, "SELECT p of shop", kind="client", attributes=attributes
    )


def exception(at_ms: float, message: str = "no address") -> SpanEvent:
    attributes = {names.EXCEPTION_TYPE: "ValueError", names.EXCEPTION_MESSAGE: message}
    return SpanEvent(names.EXCEPTION_EVENT, int(at_ms * MS), attributes)


def log(span_id: str, at_ms: float, event: str, level: int = log_record.INFO) -> LogRow:
    return LogRow(
        key="1:1",
        time_ns=int(at_ms * MS),
        severity_number=level,
        level="info",
        event=event,
        logger="shop",
        service="shop",
        span_id=span_id,
    )


def tree(spans: Sequence[SpanRow], logs: Sequence[LogRow] = ()) -> list[str]:
    rows = Waterfall(spans, logs).rows
    return [f"{'  ' * row.depth}{row.label}" for row in rows]


def row(spans: Sequence[SpanRow], label: str, logs: Sequence[LogRow] = ()) -> Row:
    [found] = [row for row in Waterfall(spans, logs).rows if row.label == label]
    return found


def test_rows_stand_below_their_parents_in_the_order_they_began() -> None:
    spans = [
        span("b", "root", 5, 2),
        span("root", None, 0, 10),
        span("c", "a", 2, 1),
        span("a", "root", 1, 3),
    ]
    assert tree(spans) == ["root", "  a", "    c", "  b"]
    assert [row.below for row in Waterfall(spans).rows] == [3, 1, 0, 0]


def test_own_time_is_that_in_which_no_child_ran() -> None:
    spans = [
        span("root", None, 0, 10),
        span("a", "root", 1, 4),
        span("b", "root", 3, 4),  # at the same time as a
        span("c", "root", 9, 5),  # ends after its parent
    ]
    fall = Waterfall(spans)
    assert fall.own_ns(fall.root) == 3 * MS
    assert fall.own_ns(fall.known["c"]) == 5 * MS


def test_the_critical_path_is_what_was_waited_for_and_sums_up_to_the_duration() -> None:
    spans = [
        span("root", None, 0, 10),
        span("fast", "root", 1, 2),
        span("slow", "root", 1, 6),
        query("q", "slow", 2, 4),
        span("later", "root", 8, 9, "send mail", kind="producer"),  # goes on after its parent
    ]
    fall = Waterfall(spans)
    assert fall.path == {"root": 4 * MS, "slow": 2 * MS, "q": 4 * MS}
    assert fall.spent() == [("code", 6 * MS), ("database", 4 * MS)]
    assert [each.label for each in fall.rows if each.critical] == [
        "root",
        "slow",
        "SELECT p of shop",
    ]


def test_leaves_alike_are_folded_into_one_row_with_the_line_that_repeats_them() -> None:
    told = {
        names.DB_QUERY_SUMMARY: "SELECT p",
        names.DB_QUERY_TEXT: STATEMENT.replace("%s", "?"),
        names.N_PLUS_ONE_COUNT: 4,
        names.N_PLUS_ONE_DURATION: 0.004,
        names.CODE_FILE_PATH: "catalogue/views.py",
        names.CODE_LINE_NUMBER: 42,
    }
    spans = [
        span("root", None, 0, 10, events=(SpanEvent(names.N_PLUS_ONE_EVENT, 9 * MS, told),)),
        *(query(f"q{number}", "root", 1 + number) for number in range(4)),
        span("view", "root", 2, 0.5),
    ]
    fall = Waterfall(spans)
    folded = fall.rows[1]
    assert (folded.kind, folded.count, folded.below) == ("repeats", 4, 4)
    assert (folded.duration_ns, folded.mark) == (4 * MS, "N+1 catalogue/views.py:42")
    assert fall.repeats[0].span_ids == ("q0", "q1", "q2", "q3")
    assert [line.row.label for line in lines(fall, window_of(fall), ())] == [
        "root",
        "SELECT p of shop",
        "view",
    ]
    assert len(list(lines(fall, window_of(fall), {"q0"}))) == 7


def test_leaves_that_failed_or_have_something_below_are_not_folded() -> None:
    spans = [
        span("root", None, 0, 10),
        *(query(f"q{number}", "root", 1 + number) for number in range(3)),
        span("bad", "root", 5, 1, "SELECT p of shop", status="error"),
    ]
    logs = [log("q1", 2, "slow disk")]
    kinds = [each.kind for each in Waterfall(spans, logs).rows]
    assert kinds == ["span", "span", "span", "log", "span", "span"]


def test_a_task_shows_what_it_waited_in_its_queue_and_where_it_ran() -> None:
    attributes = {
        names.CELERY_TASK_NAME: "shop.tasks.confirm",
        names.CELERY_TASK_QUEUE_WAIT: 0.3,
        names.MESSAGING_DESTINATION_NAME: "mail",
        names.CELERY_WORKER: "celery@worker-2",
    }
    spans = [
        span("root", None, 0, 10),
        span("send", "root", 5, 1, kind="producer"),
        span("run", "send", 320, 95, kind="consumer", resource=MAIL, attributes=attributes),
    ]
    assert tree(spans) == ["root", "  send", "    waited 300 ms in queue mail", "    run"]
    waited = row(spans, "waited 300 ms in queue mail")
    assert (waited.start_ns, waited.duration_ns) == (20 * MS, 300 * MS)
    assert row(spans, "run").mark == "mail, celery@worker-2"


def test_an_exception_stands_where_it_was_told_first() -> None:
    spans = [
        span("root", None, 0, 10, status="error", events=(exception(9),)),
        span("view", "root", 1, 7, status="error", events=(exception(7),)),
    ]
    assert tree(spans) == ["root", "  view", "    ValueError: no address"]


def test_log_records_stand_where_they_were_written_and_not_what_spans_say_anyway() -> None:
    spans = [span("root", None, 0, 10), span("a", "root", 1, 2), span("b", "root", 5, 2)]
    logs = [
        log("root", 3, "cart emptied"),
        log("gone", 4, "of a span that isn't here"),
        log("root", 9, names.REQUEST_FINISHED),
        log("b", 6, "again"),
        log("b", 6.5, "again"),
    ]
    assert tree(spans, logs) == [
        "root",
        "  a",
        "  cart emptied",
        "  of a span that isn't here",
        "  b",
        "    again ×2",
    ]


def test_spans_without_their_parent_stand_at_the_top_and_say_so() -> None:
    spans = [span("root", None, 0, 10), span("lost", "gone", 3, 2), span("c", "lost", 4, 1)]
    assert tree(spans) == ["root", "lost", "  c"]
    assert row(spans, "lost").mark == "its caller isn't here"


def test_a_trace_whose_root_has_not_come_has_its_first_span_as_root() -> None:
    spans = [span("b", "gone", 3, 2), span("a", "gone", 1, 1)]
    fall = Waterfall(spans)
    assert fall.root.span_id == "a"
    assert [each.label for each in fall.rows] == ["a", "b"]


def test_spans_that_are_their_own_ancestors_are_all_there() -> None:
    spans = [
        span("root", None, 0, 10),
        span("self", "self", 1, 1),
        span("a", "b", 2, 1),
        span("b", "a", 3, 1),
    ]
    assert tree(spans) == ["root", "self", "a", "  b"]
    assert row(spans, "a").mark == "is its own ancestor"
    assert Waterfall([span("x", "x", 0, 1)]).path == {"x": MS}


def test_clocks_that_differ_are_drawn_as_they_came_with_a_word() -> None:
    spans = [
        span("root", None, 100, 10),
        span("call", "root", 101, 5, kind="client"),
        span("early", "call", 90, 3, kind="server", resource=MAIL),
        span("late", "call", 200, 3, kind="server", resource=MAIL),
    ]
    fall = Waterfall(spans)
    assert (fall.start_ns, fall.length_ns) == (90 * MS, 113 * MS)
    assert row(spans, "early").mark == "mail, clocks differ: 11 ms before its caller"
    assert row(spans, "late").mark == "mail, clocks differ: 94 ms after its caller"


def test_a_chain_of_thousands_of_spans_is_a_trace_like_any_other() -> None:
    count = 6_000
    spans = [span("0", None, 0, 1)]
    spans += [span(str(number), str(number - 1), 0, 1) for number in range(1, count)]
    fall = Waterfall(spans)
    assert (len(fall.rows), fall.rows[-1].depth, fall.rows[0].below) == (
        count,
        count - 1,
        count - 1,
    )


def test_a_script_gets_all_rows_with_texts_that_recur_once() -> None:
    spans = [span("root", None, 0, 10), *(query(f"q{n}", "root", n) for n in range(1, 6))]
    fall = Waterfall(spans)
    data = script_data(fall, window_of(fall), {"q1"})
    assert len(data["rows"]) == 7
    assert data["open"] == [1]
    assert data["texts"].count("SELECT p of shop") == 1
    assert data["length"] == 10 * MS


def test_the_drawing_can_be_as_wide_as_one_span() -> None:
    spans = [
        span("root", None, 0, 100),
        span("a", "root", 10, 20),
        span("b", "a", 10, 10),
        span("c", "root", 50, 1),
    ]
    fall = Waterfall(spans)
    drawn = {line.row.label: line.bars for line in lines(fall, window_of(fall, "a"), ())}
    assert drawn == {
        "root": [("0.000", "100.000")],
        "a": [("0.000", "100.000")],
        "b": [("0.000", "50.000")],
        "c": [],
    }
