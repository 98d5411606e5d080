"""``span``: a block of the site's own as a span."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading
from decimal import Decimal

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from otel_django import current_trace_id, guard, span
from otel_django.names import ERROR_TYPE, EXCEPTION_EVENT
from otel_django.testing import capture
from otel_django.tracing import current
from otel_django.tracing.redaction import MASK
from otel_django.tracing.tracer import DroppedSpan


def run(code: str) -> str:
    """What a process of its own prints."""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return ended.stdout.strip()


def test_a_block_is_a_span_below_the_current_one() -> None:
    with capture() as captured:
        before = trace.get_current_span()
        with span("checkout.pay", order_id=7, **{"order.total": 12}) as outer:
            assert trace.get_current_span() is outer
            with span("checkout.charge") as inner:
                inner.set_attribute("provider", "acme")
            with span("checkout.mail"):
                pass
        assert trace.get_current_span() is before

    (pay,) = captured.roots
    assert (pay.name, pay.kind, pay.status) == ("checkout.pay", "INTERNAL", "UNSET")
    assert pay.attributes == {"order_id": 7, "order.total": 12}
    assert [child.name for child in pay.children] == ["checkout.charge", "checkout.mail"]
    assert pay.children[0].attributes == {"provider": "acme"}


def test_outside_any_trace_it_is_the_first_span_of_its_own() -> None:
    def work() -> None:
        assert current_trace_id() is None
        with span("import"), span("row"):
            pass
        assert current_trace_id() is None

    with capture() as captured:
        contextvars.Context().run(work)

    (root,) = captured.roots
    assert (root.name, root.parent_span_id) == ("import", None)
    assert [child.name for child in root.children] == ["row"]


def test_attributes_may_have_any_name_and_are_made_plain_and_safe() -> None:
    with capture() as captured, span("x", name="n", self="s", total=Decimal("1.5"), password="p"):
        pass
    assert captured.one("x").attributes == {
        "name": "n",
        "self": "s",
        "total": "1.5",
        "password": MASK,
    }


def test_an_exception_is_recorded_once_and_goes_on() -> None:
    refused = ValueError("card refused, password=hunter2")
    with capture() as captured:
        with pytest.raises(ValueError, match="card") as caught, span("pay"):
            raise refused
        assert caught.value is refused
    pay = captured.one("pay")
    assert pay.status == "ERROR"
    assert pay.attributes == {ERROR_TYPE: "ValueError"}
    (event,) = pay.events
    assert event.name == EXCEPTION_EVENT
    assert "hunter2" not in f"{event.attributes}{pay.status_description}"


def test_an_exception_that_is_caught_inside_is_no_failure() -> None:
    with capture() as captured, span("pay"), pytest.raises(ValueError, match="x"):
        raise ValueError("x")
    assert (captured.one("pay").status, captured.one("pay").events) == ("UNSET", ())


@pytest.mark.parametrize("broken_off", [asyncio.CancelledError(), GeneratorExit()])
def test_to_be_broken_off_is_no_failure(broken_off: BaseException) -> None:
    with capture() as captured, pytest.raises(type(broken_off)), span("pay"):
        raise broken_off
    assert (captured.one("pay").status, captured.one("pay").events) == ("UNSET", ())


def test_what_the_block_says_of_itself_counts(caplog: pytest.LogCaptureFixture) -> None:
    with capture() as captured:
        with span("ended") as ended:
            ended.end()
        with span("renamed") as renamed:
            renamed.update_name("pay")
            renamed.set_status(StatusCode.ERROR, "refused")
    assert [one.name for one in captured.roots] == ["ended", "pay"]
    assert captured.one("pay").status_description == "refused"
    assert caplog.records == []


def test_below_a_trace_that_is_not_recorded_nothing_is() -> None:
    with capture() as captured:
        dropped = DroppedSpan(trace.SpanContext(7, 7, is_remote=False))
        token = current.attach(dropped)
        with span("pay") as given, span("inner"):
            assert trace.get_current_span() is given is dropped
        assert trace.get_current_span() is dropped
        current.detach(token)
    assert captured.spans == []


def test_the_same_object_serves_one_block_after_another() -> None:
    block = span("again")
    with capture() as captured:
        for _ in range(2):
            with block:
                pass
    assert [one.name for one in captured.roots] == ["again", "again"]


def test_tasks_that_run_together_have_their_own_current_span() -> None:
    async def step(number: int) -> None:
        with span(f"step {number}") as own:
            for _ in range(3):
                await asyncio.sleep(0)
                assert trace.get_current_span() is own
            with span(f"part {number}"):
                await asyncio.sleep(0)

    async def work() -> None:
        with span("all"):
            await asyncio.gather(*(step(number) for number in range(5)))

    with capture() as captured:
        asyncio.run(work())
    (root,) = captured.roots
    assert [child.name for child in root.children] == [f"step {number}" for number in range(5)]
    for number, child in enumerate(root.children):
        assert [part.name for part in child.children] == [f"part {number}"]


def test_a_thread_goes_on_in_the_context_it_is_given() -> None:
    def work() -> None:
        with span("in thread"):
            pass

    with capture() as captured, span("outer"):
        copied = contextvars.copy_context()
        for target in (lambda: copied.run(work), work):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
        instrumented = hasattr(threading.Thread.start, "__wrapped__")

    # Python 3.14 without the interpreter lock gives new threads a copy by itself, and so does
    # OpenTelemetry's instrumentor of threading where it is installed.
    inherits = instrumented or bool(getattr(sys.flags, "thread_inherit_context", 0))
    assert len(captured.one("outer").children) == 1 + inherits
    assert len(captured.find("in thread")) == 2


def test_a_fault_of_the_provider_leaves_the_block_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken:
        def get_tracer(self, *args: object) -> None:
            raise OSError

    monkeypatch.setattr(guard, "_strict", False)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", Broken())
    before = guard.faults().get("span.provider", 0)
    with span("x") as given:
        given.set_attribute("a", 1)
    assert guard.faults()["span.provider"] == before + 1


NOTHING_TRACED = """
import sys
from otel_django import span, traced

@traced
def numbers():
    got = yield 1
    return got

@traced("x", a=1)
def double(value):
    return 2 * value

with span("pay", order=7) as s:
    s.set_attribute("a", 1)
    s.set_attributes({"b": 2})
    s.add_event("e", {"c": 3}, timestamp=4)
    s.add_link(None)
    s.update_name("n")
    s.set_status(None, "d")
    s.record_exception(ValueError("x"), escaped=True)
    s.end()
    assert not s.is_recording()
steps = numbers()
assert next(steps) == 1 and double(4) == 8
try:
    steps.send(5)
except StopIteration as stop:
    assert stop.value == 5
try:
    with span("pay"):
        raise KeyError
except KeyError:
    pass
print([name for name in sys.modules if name.partition(".")[0] in ("opentelemetry", "asyncio")])
print(s.get_span_context().is_valid)
"""


def test_where_nobody_traces_nothing_of_opentelemetry_is_loaded() -> None:
    assert run(NOTHING_TRACED).splitlines() == ["[]", "False"]


ANOTHER_PROVIDER = """
import asyncio
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from otel_django import span, traced

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))

with span("too early"):
    pass
trace.set_tracer_provider(provider)

@traced
def fail():
    raise ValueError("x")

with provider.get_tracer("theirs").start_as_current_span("request"):
    with span("pay", order_id=7) as pay:
        pay.set_attribute("b", 2)
        try:
            fail()
        except ValueError:
            pass
    try:
        with span("cancelled"):
            raise asyncio.CancelledError
    except asyncio.CancelledError:
        pass
ids = {one.context.span_id: one.name for one in exporter.get_finished_spans()}
for one in exporter.get_finished_spans():
    parent = ids[one.parent.span_id] if one.parent else None
    print(one.name, parent, one.status.status_code.name, len(one.events), sorted(one.attributes))
"""


def test_another_tracer_provider_is_served_through_the_api() -> None:
    assert run(ANOTHER_PROVIDER).splitlines() == [
        "fail pay ERROR 1 ['code.function.name']",
        "pay request UNSET 0 ['b', 'order_id']",
        "cancelled request UNSET 0 []",
        "request None UNSET 0 []",
    ]
