"""Tasks in the lines of a trace: the queue, retries, ends, other processes, other traces."""

from __future__ import annotations

from datetime import timezone
from typing import Any

from otel_django import names
from otel_django.cli.look import Look
from otel_django.cli.trace_tree import trace_lines
from otel_django.contracts import SpanEvent, SpanLink, SpanRow
from tests.unit.test_trace_tree import START, span

PLAIN = Look(width=100, zone=timezone.utc)
TASK = "shop.tasks.confirm"


def request(**more: Any) -> SpanRow:
    return span("root", None, "POST /checkout/", 0, 20, kind="server", **more)


def send(span_id: str, parent: str | None, start_ms: float, **attributes: Any) -> SpanRow:
    told = {names.CELERY_TASK_NAME: TASK, **attributes}
    return span(span_id, parent, f"send {TASK}", start_ms, 1, kind="producer", attributes=told)


def run(
    span_id: str,
    parent: str | None,
    start_ms: float,
    duration_ms: float = 30,
    attributes: dict[str, Any] | None = None,
    **more: Any,
) -> SpanRow:
    told = {
        names.CELERY_TASK_NAME: TASK,
        names.CELERY_TASK_STATE: "SUCCESS",
        names.CELERY_WORKER: "celery@shop",
        **(attributes or {}),
    }
    return span(
        span_id,
        parent,
        f"process {TASK}",
        start_ms,
        duration_ms,
        **{"kind": "consumer", "local_root": True, "attributes": told, **more},
    )


def test_a_task_stands_below_what_sent_it_after_its_wait_in_the_queue() -> None:
    waited = {names.CELERY_TASK_QUEUE_WAIT: 0.12}
    spans = [
        request(),
        send("s1", "root", 10),
        run("p1", "s1", 130, attributes=waited),
        send("s2", "p1", 150),
        run("p2", "s2", 171, attributes={names.CELERY_TASK_QUEUE_WAIT: 0.02}),
    ]
    assert trace_lines(spans, PLAIN) == [
        f"09:21:03  POST /checkout/  20 ms, 201 ms with tasks{'':33}4bf92f3577b34da6",
        f"└─ send {TASK}                 1.0 ms  ▏",
        "   ├─ (waited)                             120 ms  ░░░░░░░░░░░░░",
        f"   └─ process {TASK}            30 ms              ███▉      celery@shop",
        f"      └─ send {TASK}           1.0 ms                ▏",
        "         ├─ (waited)                        20 ms                 ░░",
        f"         └─ process {TASK}      30 ms                   ███",
    ]


def test_a_retry_says_why_and_which_it_is() -> None:
    told = {
        names.CELERY_TASK_STATE: "RETRY",
        names.CELERY_TASK_RETRY_REASON: "orders.payment.BankBusy: come back later",
    }
    busy = {names.EXCEPTION_TYPE: "orders.payment.BankBusy"}
    event = SpanEvent(names.EXCEPTION_EVENT, START, busy)
    spans = [
        request(),
        send("s1", "root", 10),
        run("p1", "s1", 12, attributes=told, events=(event,)),
        send("s2", "p1", 20, **{names.CELERY_TASK_RETRIES: 1}),
        run("p2", "s2", 1020, attributes={names.CELERY_TASK_RETRIES: 1}),
    ]
    lines = trace_lines(spans, PLAIN)
    assert lines[2].endswith("RETRY, celery@shop")
    assert not lines[3].endswith("retry 1")
    assert lines[4].endswith("retry 1")
    assert lines[5] == "      └─ ↻ BankBusy: come back later"
    assert "✗" not in "".join(lines)


def test_a_task_that_failed_says_its_state_and_its_exception() -> None:
    event = SpanEvent(names.EXCEPTION_EVENT, START, {names.EXCEPTION_TYPE: "smtplib.SMTPException"})
    failed = {names.CELERY_TASK_STATE: "FAILURE"}
    spans = [
        request(),
        send("s1", "root", 10),
        run("p1", "s1", 12, attributes=failed, events=(event,), status="error"),
    ]
    lines = trace_lines(spans, PLAIN)
    assert "✗ process" in lines[2]
    assert lines[2].endswith("FAILURE, celery@shop")
    assert lines[3].endswith("✗ SMTPException")
    (header,) = trace_lines(
        [run("p1", None, 0, attributes={names.CELERY_TASK_STATE: "REVOKED"})], PLAIN
    )[:1]
    assert f"process {TASK}  REVOKED" in header


def test_a_task_that_was_lost_says_by_what() -> None:
    told = {names.CELERY_TASK_STATE: "FAILURE", names.ERROR_TYPE: "WorkerLostError"}
    spans = [
        request(),
        send("s1", "root", 10),
        run("p1", "s1", 12, attributes=told, status="error"),
    ]
    assert trace_lines(spans, PLAIN)[2].endswith("WorkerLostError, FAILURE, celery@shop")


def test_a_part_that_came_later_says_what_began_it() -> None:
    told = {names.CELERY_TASK_QUEUE_WAIT: 4.5, names.CELERY_TASK_RETRIES: 2}
    lines = trace_lines([run("p1", "s1", 0, attributes=told)], PLAIN, "POST /checkout/")
    assert lines[1] == (
        "… of trace 4bf92f3577b34da6, begun by POST /checkout/; waited 4.50 s; retry 2; celery@shop"
    )


def test_a_task_from_another_trace_names_it() -> None:
    link = SpanLink("1a2b3c4d5e6f708192a3b4c5d6e7f809", "ab" * 8)
    of_beat = run("p1", None, 0, attributes={names.CELERY_BEAT_ENTRY: "restock"}, links=(link,))
    lines = trace_lines([of_beat], PLAIN, "send shop.tasks.restock")
    assert lines[1] == "… from beat's restock, trace 1a2b3c4d5e6f7081; celery@shop"
    lines = trace_lines([run("p1", None, 0, links=(link,))], PLAIN, "POST /checkout/")
    assert lines[1] == "… from trace 1a2b3c4d5e6f7081, begun by POST /checkout/; celery@shop"


def test_another_service_is_named_where_it_begins() -> None:
    spans = [
        request(),
        send("s1", "root", 10),
        run("p1", "s1", 12, service="mail", attributes={names.CELERY_WORKER: "celery@mail"}),
        span("q", "p1", "SELECT letter", 13, service="mail"),
    ]
    lines = trace_lines(spans, PLAIN)
    assert lines[2].endswith("mail, celery@mail")
    assert "mail" not in lines[3]


def test_tasks_of_djangos_framework_look_alike() -> None:
    link = SpanLink("1a2b3c4d5e6f708192a3b4c5d6e7f809", "ab" * 8)
    told = {
        names.DJANGO_TASK_NAME: "shop.tasks.confirm",
        names.DJANGO_TASK_STATUS: "FAILED",
        names.DJANGO_TASK_ATTEMPT: 2,
        names.DJANGO_TASK_QUEUE_WAIT: 0.25,
    }
    task = span(
        "p",
        None,
        f"process {TASK}",
        kind="consumer",
        status="error",
        attributes=told,
        links=(link,),
    )
    header, origin = trace_lines([task], PLAIN)
    assert f"process {TASK}  FAILED" in header
    assert origin == "… from trace 1a2b3c4d5e6f7081; waited 250 ms; attempt 2"


def test_a_command_shows_the_code_it_ended_with() -> None:
    ends = {
        code: trace_lines(
            [span("c", None, "command sync", 0, 9, attributes={names.PROCESS_EXIT_CODE: code})],
            PLAIN,
        )[0]
        for code in (0, 3)
    }
    assert "command sync  9.0 ms" in ends[0]
    assert "command sync  exit 3  9.0 ms" in ends[3]


def test_hostile_words_about_tasks_are_inert_text() -> None:
    evil = "\x1b[2J\x07\u202egnp.exe\r\n" + "x" * 10_000
    told = dict.fromkeys(
        (
            names.CELERY_TASK_NAME,
            names.CELERY_TASK_STATE,
            names.CELERY_TASK_RETRY_REASON,
            names.CELERY_WORKER,
            names.CELERY_BEAT_ENTRY,
            names.CELERY_TASK_QUEUE_WAIT,
        ),
        evil,
    )
    root = run("p1", None, 0, attributes=told, links=(SpanLink(evil, evil),))
    below = run("p2", "p1", 1, attributes={**told, names.CELERY_TASK_STATE: "RETRY"}, service=evil)
    for line in trace_lines([root, below], PLAIN, evil):
        assert line.isprintable()
        assert len(line) <= 140
