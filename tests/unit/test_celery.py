"""Celery's publishes and runs, with a worker in this process and a broker in its memory."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from celery import Celery, chain, chord, group, shared_task
from celery.beat import ScheduleEntry, Scheduler
from celery.contrib.testing.worker import start_worker
from celery.exceptions import Ignore, Reject
from celery.schedules import schedule
from celery.signals import before_task_publish, setup_logging
from kombu import Exchange, Queue
from opentelemetry import baggage, context
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    set_span_in_context,
)

from otel_django import names
from otel_django.instrumentation.celery_message import (
    BEAT_ENTRY,
    EXECUTION,
    REQUEST_ID,
    SENT_AT,
    broker_attributes,
    destination,
    timestamp,
)
from otel_django.testing import Captured, CapturedSpan, capture
from otel_django.tracing import request_id
from otel_django.tracing.current import get_context, reset_context, set_context

app = Celery("unit", broker="memory://", backend="cache+memory://", set_as_current=False)
app.conf.update(
    task_default_queue="unit",
    broker_transport_options={"polling_interval": 0.01},
)

seen: list[Any] = []


@app.task(name="unit.add")
def add(a: int, b: int) -> int:
    return a + b


@app.task(name="unit.total")
def total(values: list[int]) -> int:
    return sum(values)


@app.task(name="unit.fail")
def fail() -> None:
    raise ValueError("no such order, password=hunter2")


@app.task(name="unit.return_unstorable")
def return_unstorable() -> object:
    return object()


class Expected(Exception):
    """An outcome that a task announces."""


@app.task(name="unit.fail_as_expected", throws=(Expected,))
def fail_as_expected() -> None:
    raise Expected("sold out")


@app.task(name="unit.retry", bind=True, max_retries=1, default_retry_delay=0)
def retry(self: Any) -> str:
    if self.request.retries:
        return "done"
    try:
        raise ConnectionError("gateway away, password=hunter2")
    except ConnectionError as exc:
        raise self.retry(exc=exc) from exc


@app.task(name="unit.reject")
def reject() -> None:
    raise Reject("not mine", requeue=False)


@app.task(name="unit.ignore")
def ignore() -> None:
    raise Ignore


@app.task(name="unit.note")
def note() -> None:
    seen.append((request_id.current(), dict(baggage.get_all()), get_context()))


@pytest.fixture(scope="module")
def worker() -> Iterator[None]:
    """A worker on a thread of this process, which leaves the process's logging alone."""

    def leave_logging_alone(**_: Any) -> None:
        pass

    setup_logging.connect(leave_logging_alone, weak=False)
    try:
        with start_worker(app, pool="threads", perform_ping_check=False, shutdown_timeout=20):
            yield
    finally:
        setup_logging.disconnect(leave_logging_alone)


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


def run_through(captured: Captured, *names_: str) -> None:
    """Wait until a span of each name has ended."""
    wait_for(lambda: {span.name for span in captured.spans} >= set(names_))


def tree(span: CapturedSpan) -> list[Any]:
    return [span.name, *[tree(child) for child in span.children]]


def test_C5_a_run_is_the_child_of_its_publish_and_both_follow_the_conventions(worker: None) -> None:
    with capture() as captured:
        result = add.apply_async((1, 2), priority=3)
        run_through(captured, "process unit.add")
    sent = captured.one("send unit.add")
    processed = captured.one("process unit.add")
    assert (sent.kind, processed.kind) == ("PRODUCER", "CONSUMER")
    assert sent.children == [processed]
    common = {
        "celery.task.name": "unit.add",
        "messaging.system": "memory",
        "messaging.destination.name": "unit",
        "messaging.message.id": result.id,
        "celery.task.priority": 3,
    }
    assert sent.attributes == {
        **common,
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
    }
    attributes = dict(processed.attributes)
    assert 0 <= attributes.pop("celery.task.queue_wait") < 20
    assert attributes.pop("celery.worker")
    assert attributes == {
        **common,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "celery.task.state": "SUCCESS",
    }
    assert processed.status == "UNSET"


def test_a_chain_is_one_trace_and_says_whose_child_each_task_is(worker: None) -> None:
    with capture() as captured:
        result = chain(add.s(1, 2), add.s(3))()
        wait_for(lambda: len(captured.find("process unit.add")) == 2)
    first = captured.roots[0]
    assert tree(first) == [
        "send unit.add",
        ["process unit.add", ["send unit.add", ["process unit.add"]]],
    ]
    last = captured.find("process unit.add")[-1]
    assert last.attributes["messaging.message.id"] == result.id
    assert last.attributes["celery.task.parent_id"] == result.parent.id
    assert last.attributes["celery.task.root_id"] == result.parent.id


def test_a_chord_is_sent_by_the_member_that_completes_it(worker: None) -> None:
    with capture() as captured:
        chord([add.s(1, 1), add.s(2, 2)])(total.s())
        run_through(captured, "process unit.total")
    members = captured.find("process unit.add")
    groups = {member.attributes["celery.task.group_id"] for member in members}
    assert len(members) == 2
    assert len(groups) == 1
    assert [tree(span) for member in members for span in member.children] == [
        ["send unit.total", ["process unit.total"]]
    ]


def test_a_group_is_sent_side_by_side(worker: None) -> None:
    with capture() as captured:
        group(add.s(1, 1), add.s(2, 2))()
        wait_for(lambda: len(captured.find("process unit.add")) == 2)
    assert [tree(root) for root in captured.roots] == [["send unit.add", ["process unit.add"]]] * 2


def test_a_failure_is_recorded_with_its_type_and_without_secrets(worker: None) -> None:
    with capture() as captured:
        fail.delay()
        run_through(captured, "process unit.fail")
    span = captured.one("process unit.fail")
    assert span.status == "ERROR"
    assert span.attributes["error.type"] == "ValueError"
    assert span.attributes["celery.task.state"] == "FAILURE"
    (event,) = span.events
    assert event.attributes["exception.type"] == "ValueError"
    assert "no such order" in event.attributes["exception.message"]
    assert 'raise ValueError("no such order' in event.attributes["exception.stacktrace"]
    assert "hunter2" not in str(event.attributes["exception.message"])


def test_a_result_that_cannot_be_stored_is_a_failure(worker: None) -> None:
    with capture() as captured:
        return_unstorable.delay()
        run_through(captured, "process unit.return_unstorable")
    span = captured.one("process unit.return_unstorable")
    assert span.status == "ERROR"
    assert span.attributes["celery.task.state"] == "FAILURE"
    assert span.attributes["error.type"].endswith("EncodeError")


def test_an_expected_failure_is_no_error(worker: None) -> None:
    with capture() as captured:
        fail_as_expected.delay()
        run_through(captured, "process unit.fail_as_expected")
    span = captured.one("process unit.fail_as_expected")
    assert span.status == "UNSET"
    assert span.attributes["celery.task.state"] == "FAILURE"
    assert span.attributes["error.type"].endswith("Expected")
    assert span.events == ()


def test_a_retry_is_published_by_the_run_that_failed(worker: None) -> None:
    with capture() as captured:
        retry.delay()
        wait_for(lambda: len(captured.find("process unit.retry")) == 2)
    assert tree(captured.roots[0]) == [
        "send unit.retry",
        ["process unit.retry", ["send unit.retry", ["process unit.retry"]]],
    ]
    first, second = captured.find("process unit.retry")
    assert first.attributes["celery.task.state"] == "RETRY"
    assert first.status == "UNSET"
    assert first.attributes["celery.task.retry.reason"].startswith("ConnectionError: gateway away")
    assert "hunter2" not in str(first.attributes)
    assert [event.name for event in first.events] == ["exception"]
    assert second.attributes["celery.task.retries"] == 1
    assert second.attributes["celery.task.state"] == "SUCCESS"


@pytest.mark.parametrize(("task", "state"), [(reject, "REJECTED"), (ignore, "IGNORED")])
def test_rejecting_and_ignoring_end_the_span(worker: None, task: Any, state: str) -> None:
    with capture() as captured:
        task.delay()
        run_through(captured, f"process {task.name}")
    span = captured.one(f"process {task.name}")
    assert span.attributes["celery.task.state"] == state
    assert span.status == "UNSET"


def test_request_id_and_baggage_are_current_in_the_task_and_nothing_else_of_the_sender(
    worker: None,
) -> None:
    seen.clear()
    with capture():
        token = set_context(
            baggage.set_baggage(
                "tenant",
                "a",
                context.set_value(
                    "private",
                    "x",
                    context.set_value(request_id.CONTEXT_KEY, "req-1", get_context()),
                ),
            )
        )
        try:
            note.delay()
        finally:
            reset_context(token)
        wait_for(lambda: seen)
    own_id, carried, current = seen[0]
    assert own_id == "req-1"
    assert carried == {"tenant": "a"}
    assert "private" not in current


def test_the_wait_in_the_queue_leaves_the_countdown_out(worker: None) -> None:
    with capture() as captured:
        add.apply_async((1, 2), countdown=1.2)
        run_through(captured, "process unit.add")
    sent, processed = captured.one("send unit.add"), captured.one("process unit.add")
    assert sent.attributes["celery.task.countdown"] == 1.2
    assert processed.start_ns - sent.start_ns > 1.1e9
    assert processed.attributes["celery.task.queue_wait"] < (
        (processed.start_ns - sent.start_ns) / 1e9 - 1.0
    )
    assert processed.parent_span_id == sent.span_id


def test_a_late_run_begins_a_trace_that_links_to_the_publish(worker: None) -> None:
    with capture(celery_link_after_s=0.5) as captured:
        add.apply_async((1, 2), countdown=0.8)
        run_through(captured, "process unit.add")
    sent, processed = captured.one("send unit.add"), captured.one("process unit.add")
    assert processed.parent_span_id is None
    assert processed.trace_id != sent.trace_id
    assert processed.links == (sent.trace_id,)


def test_from_beat_each_run_is_a_trace_of_its_own(worker: None) -> None:
    scheduler = Scheduler(app, lazy=True)
    entry = ScheduleEntry("every night", "unit.add", schedule=schedule(60), args=(1, 2), app=app)
    with capture() as captured:
        scheduler.apply_async(entry, advance=False)
        run_through(captured, "process unit.add")
    sent, processed = captured.one("send unit.add"), captured.one("process unit.add")
    assert sent.attributes["celery.beat.entry"] == "every night"
    assert processed.attributes["celery.beat.entry"] == "every night"
    assert processed.parent_span_id is None
    assert processed.links == (sent.trace_id,)


def test_an_eager_task_is_part_of_what_runs_it() -> None:
    with capture() as captured:
        add.apply((1, 2))
    span = captured.one("process unit.add")
    assert span.kind == SpanKind.INTERNAL.name
    assert span.attributes["celery.task.eager"] is True
    assert span.attributes["celery.task.state"] == "SUCCESS"
    assert "messaging.system" not in span.attributes


def test_C1_a_failing_publish_ends_its_span_and_is_not_current_afterwards() -> None:
    dead = Celery("dead", broker="amqp://127.0.0.1:1", set_as_current=False)
    dead.conf.update(task_publish_retry=False, broker_transport_options={"max_retries": 0})
    before = get_context()
    with capture() as captured:
        inside = get_context()
        with pytest.raises(Exception, match="refused"):
            dead.send_task("unit.add", (1, 2))
        assert get_context() is inside
        add.apply((1, 2))
    assert get_context() is before
    sent, later = captured.one("send unit.add"), captured.one("process unit.add")
    assert sent.status == "ERROR"
    assert sent.attributes["error.type"].endswith("OperationalError")
    assert later.parent_span_id == sent.parent_span_id


def test_C1_an_unregistered_name_is_published_like_any_other() -> None:
    with capture() as captured:
        inside = get_context()
        app.send_task("elsewhere.unknown", queue="nobody")
        assert get_context() is inside
        add.apply((1, 2))
    sent, later = captured.one("send elsewhere.unknown"), captured.one("process unit.add")
    assert sent.status == "UNSET"
    assert sent.attributes["messaging.destination.name"] == "nobody"
    assert later.parent_span_id == sent.parent_span_id


def headers_of(publish: Callable[[], Any]) -> dict[str, Any]:
    """What ``publish`` puts into its message's headers, seen after everybody else."""
    found: list[dict[str, Any]] = []

    def look(*, headers: dict[str, Any], **_: Any) -> None:
        found.append(dict(headers))

    before_task_publish.connect(look, weak=False)
    try:
        publish()
    finally:
        before_task_publish.disconnect(look)
    return found[0]


def test_the_message_says_who_sent_it_and_when() -> None:
    with capture() as captured:
        headers = headers_of(lambda: app.send_task("unit.x", queue="nobody"))
    sent = captured.one("send unit.x")
    assert headers["traceparent"] == f"00-{sent.trace_id}-{sent.span_id}-03"
    assert abs(headers[SENT_AT] - sent.start_ns / 1e9) < 5
    assert EXECUTION not in headers
    assert BEAT_ENTRY not in headers


def test_headers_of_an_earlier_run_are_not_repeated() -> None:
    old = {
        EXECUTION: "1-2",
        BEAT_ENTRY: "every night",
        REQUEST_ID: "req-0",
        "tracestate": "old=1",
        SENT_AT: 1.0,
        "mine": "kept",
    }
    with capture():
        headers = headers_of(lambda: app.send_task("unit.x", queue="nobody", headers=old))
    assert headers["mine"] == "kept"
    assert headers[SENT_AT] > 1.0
    assert not {EXECUTION, BEAT_ENTRY, REQUEST_ID, "tracestate"} & set(headers)


def test_separate_eager_tasks_of_a_test_are_units_of_their_own() -> None:
    with capture() as captured:
        for _ in range(12):
            add.apply((1, 2))
    assert len(captured.roots) == 12
    assert len({root.trace_id for root in captured.roots}) == 12


def test_the_ids_of_a_run_never_go_out_with_what_it_sends_again() -> None:
    """Even where the message it runs came from a process that isn't observed."""
    with capture():
        headers = headers_of(
            lambda: app.send_task("unit.x", queue="nobody", headers={EXECUTION: "1" * 48})
        )
    assert EXECUTION not in headers


def test_another_librarys_wrapper_around_ours_makes_no_second_span(worker: None) -> None:
    task = app.tasks["unit.add"]
    with capture():
        pass
    built = task.__trace__

    def theirs(*args: Any, **kwargs: Any) -> Any:
        return built(*args, **kwargs)

    task.__trace__ = theirs
    try:
        with capture() as captured:
            add.delay(1, 2)
            run_through(captured, "process unit.add")
    finally:
        task.__trace__ = built
    assert len(captured.find("process unit.add")) == 1


def test_what_sentry_puts_into_the_headers_is_left_and_does_not_hide_ours(worker: None) -> None:
    """It adds a mapping of headers among the headers, and members of the baggage."""
    theirs: dict[str, Any] = {
        "sentry-trace": "1" * 32,
        "baggage": "sentry-trace_id=11,stale=1",
        "headers": {"sentry-trace": "1" * 32, "baggage": "sentry-trace_id=11"},
    }
    with capture() as captured:
        token = set_context(baggage.set_baggage("tenant", "a", get_context()))
        try:
            headers = headers_of(lambda: add.apply_async((1, 2), headers=theirs))
        finally:
            reset_context(token)
        run_through(captured, "process unit.add")
    assert headers["baggage"] == "tenant=a,sentry-trace_id=11"
    assert headers["headers"] == theirs["headers"]
    assert captured.one("send unit.add").children == [captured.one("process unit.add")]


def test_a_sampled_out_publish_tells_the_worker_so(worker: None) -> None:
    left_out = NonRecordingSpan(SpanContext(5, 6, True, TraceFlags(0)))
    with capture() as captured:
        token = set_context(set_span_in_context(left_out, context.Context()))
        try:
            headers = headers_of(lambda: add.delay(1, 2))
        finally:
            reset_context(token)
        assert headers["traceparent"].startswith(f"00-{5:032x}-")
        assert headers["traceparent"].endswith("-00")
        add.delay(1, 2)
        run_through(captured, "process unit.add")
    assert len(captured.find("process unit.add")) == 1


def test_protocol_1_is_traced_as_well(worker: None) -> None:
    old = Celery("unit", broker="memory://", backend="cache+memory://", set_as_current=False)
    old.conf.update(task_default_queue="unit", task_protocol=1)
    with capture() as captured:
        result = old.send_task("unit.add", (1, 2), countdown=0.01)
        run_through(captured, "process unit.add")
    sent, processed = captured.one("send unit.add"), captured.one("process unit.add")
    assert sent.children == [processed]
    assert sent.attributes["messaging.message.id"] == result.id
    assert processed.attributes["celery.task.queue_wait"] >= 0


@pytest.mark.parametrize("sent_at", [float("-inf"), float("nan"), -1e300])
def test_a_time_of_sending_that_is_none_says_no_wait(worker: None, sent_at: float) -> None:
    def overwrite(*, headers: dict[str, Any], **_: Any) -> None:
        headers[SENT_AT] = sent_at

    before_task_publish.connect(overwrite, weak=False)
    try:
        with capture() as captured:
            add.delay(1, 2)
            run_through(captured, "process unit.add")
    finally:
        before_task_publish.disconnect(overwrite)
    processed = captured.one("process unit.add")
    assert processed.attributes["celery.task.state"] == "SUCCESS"
    assert "celery.task.queue_wait" not in processed.attributes


def test_after_uninstalling_nothing_is_added(worker: None) -> None:
    with capture():
        pass
    headers = headers_of(lambda: app.send_task("unit.x", queue="nobody"))
    assert "traceparent" not in headers
    assert SENT_AT not in headers


def test_a_shared_task_of_the_current_app_is_traced() -> None:
    @shared_task(name="unit.shared")
    def shared() -> int:
        return 1

    with capture() as captured:
        shared.apply()
    assert captured.one("process unit.shared").attributes["celery.task.state"] == "SUCCESS"


def test_publishing_from_several_threads_keeps_the_spans_apart(worker: None) -> None:
    with capture() as captured:
        threads = [
            threading.Thread(target=lambda: [add.delay(1, 2) for _ in range(20)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_for(lambda: len(captured.find("process unit.add")) == 80)
    assert all(len(sent.children) == 1 for sent in captured.find("send unit.add"))


def test_celery_is_not_imported_for_our_sake() -> None:
    script = (
        "import django, json, sys\n"
        "django.setup()\n"
        "from otel_django import bootstrap\n"
        "print(json.dumps([bootstrap.runtime() is not None, 'celery' in sys.modules]))\n"
        "import celery, celery.app.base\n"
        "print(json.dumps(hasattr(celery.Celery.send_task, '__wrapped__')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "OTEL_DJANGO_ENABLED": "true",
            "PATH": "",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert [json.loads(line) for line in done.stdout.splitlines()] == [[True, False], True]


def test_where_a_message_goes() -> None:
    topics = Exchange("topics", type="topic")
    paid = Queue("paid", topics, routing_key="order.#")
    assert destination("", "celery", [paid]) == "celery"
    assert destination("topics", "order.paid", [paid]) == "order.paid"
    assert destination("topics", "order.#", [paid]) == "paid"
    assert destination(topics, "order.#", [paid]) == "paid"
    assert destination("topics", "order.#") == "order.#"
    assert destination(Exchange("all", type="fanout"), "", [paid]) == "all"
    assert destination(None, None, None) == ""


def test_brokers_by_the_names_of_the_conventions() -> None:
    rabbit = Celery("r", broker="amqp://user:secret@mq.example:5673/vhost", set_as_current=False)
    assert broker_attributes(rabbit) == {
        names.MESSAGING_SYSTEM: "rabbitmq",
        names.SERVER_ADDRESS: "mq.example",
        names.SERVER_PORT: 5673,
    }
    redis = Celery("s", broker="redis://:secret@cache.example/2", set_as_current=False)
    assert broker_attributes(redis) == {
        names.MESSAGING_SYSTEM: "redis",
        names.SERVER_ADDRESS: "cache.example",
        names.SERVER_PORT: 6379,
    }
    files = Celery("f", broker="filesystem://", set_as_current=False)
    assert broker_attributes(files) == {names.MESSAGING_SYSTEM: "filesystem"}


def test_times_of_messages() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    assert timestamp(moment) == moment.timestamp()
    assert timestamp(moment.isoformat()) == moment.timestamp()
    assert timestamp("2026-01-02T03:04:05Z") == moment.timestamp()
    assert timestamp("2026-01-02T03:04:05") == moment.timestamp()
    assert timestamp((moment + timedelta(hours=2)).astimezone(timezone(timedelta(hours=5)))) == (
        moment.timestamp() + 7200
    )
    assert timestamp("tomorrow") is None
    assert timestamp(None) is None
