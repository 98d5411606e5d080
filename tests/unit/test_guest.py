"""Our instrumentation on a tracer provider of the SDK's that was there first."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from opentelemetry.context import attach, detach, set_value
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, use_span

from otel_django import conf, names
from otel_django.bootstrap.guest import GuestRuntime
from otel_django.tracing import current, in_charge
from otel_django.tracing.current import SUPPRESS_KEY
from otel_django.tracing.span import Span

if TYPE_CHECKING:
    from otel_django.tracing.provider import TracerProvider as OwnProvider

pytestmark = pytest.mark.usefixtures("migrated")


class Site:
    """A site's own provider with our instrumentation as its guest."""

    def __init__(self, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.host = TracerProvider(
            resource=Resource({"service.name": "theirs"}), shutdown_on_exit=False, **options
        )
        self.host.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.runtime = GuestRuntime(replace(conf.from_django(), strict=True), self.host)
        self.tracer = self.host.get_tracer("theirs")

    @property
    def provider(self) -> OwnProvider:
        return self.runtime.provider

    def spans(self, name: str | None = None) -> list[ReadableSpan]:
        found = self.exporter.get_finished_spans()
        return [span for span in found if name is None or span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.spans(name)
        return span


def made(**options: Any) -> Iterator[Site]:
    site = Site(**options)
    site.runtime.install()
    try:
        yield site
    finally:
        site.runtime.uninstall()


@pytest.fixture
def site() -> Iterator[Site]:
    yield from made()


def query(text: str = "SELECT 1") -> None:
    with connection.cursor() as cursor:
        cursor.execute(text)


def id_of(span: ReadableSpan) -> int:
    return int(span.get_span_context().span_id)  # type: ignore[union-attr]


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


@pytest.fixture(autouse=True)
def connected() -> None:
    connection.ensure_connection()


# --- parents


def test_a_request_and_its_queries_leave_through_the_host(site: Site) -> None:
    Client().get("/user/")
    Client().get("/plain/")
    assert [span.name for span in site.spans()] == ["GET /user/", "GET /plain/"]
    assert {span.resource.attributes["service.name"] for span in site.spans()} == {"theirs"}


def test_a_users_span_in_a_request_is_its_child_and_has_the_queries_below_it(site: Site) -> None:
    with site.provider.tracer("ours").start_as_current_span("request") as request:
        query("SELECT 2")
        with site.tracer.start_as_current_span("work") as work:
            query("SELECT 3")
            cache.get("key")
    assert parent_of(site.one("work")) == request.get_span_context().span_id
    below_work = {
        span.name for span in site.spans() if parent_of(span) == work.get_span_context().span_id
    }
    assert below_work == {"SELECT", "get default"}
    assert len({span.context.trace_id for span in site.spans()}) == 1


def test_queries_below_a_users_span_outside_any_request_are_its_children(site: Site) -> None:
    with site.tracer.start_as_current_span("job") as job:
        query()
    assert parent_of(site.one("SELECT")) == job.get_span_context().span_id


def test_a_span_from_before_has_the_queries_below_it_too() -> None:
    host = TracerProvider(shutdown_on_exit=False)
    span = host.get_tracer("early").start_span("early")
    runtime = GuestRuntime(conf.from_django(), host)
    runtime.install()
    try:
        with use_span(span):
            stand_in = current.recording_span()
        assert stand_in is not None
        assert stand_in.get_span_context() == span.get_span_context()
    finally:
        runtime.uninstall()


def test_a_query_outside_everything_has_no_span(site: Site) -> None:
    query()
    assert site.spans() == []


def test_a_query_below_a_span_that_has_ended_or_where_tracing_is_suppressed_has_none(
    site: Site,
) -> None:
    span = site.tracer.start_span("over")
    span.end()
    with use_span(span):
        query()
    with site.tracer.start_as_current_span("quiet"):
        token = attach(set_value(SUPPRESS_KEY, True))
        query()
        detach(token)
    assert [span.name for span in site.spans()] == ["over", "quiet"]


@pytest.mark.parametrize(
    ("outer", "inner"), [(SpanKind.SERVER, SpanKind.INTERNAL), (SpanKind.INTERNAL, SpanKind.SERVER)]
)
def test_a_request_below_a_span_of_the_hosts_is_its_child(
    site: Site, outer: SpanKind, inner: SpanKind
) -> None:
    with site.tracer.start_as_current_span("around", kind=outer) as around:
        Client().get("/plain/")
    request = site.one("GET /plain/")
    assert parent_of(request) == around.get_span_context().span_id
    assert request.kind is inner


# --- the local trace


def test_repeated_statements_are_told_on_the_hosts_root_span(site: Site) -> None:
    with site.tracer.start_as_current_span("job"):
        for number in range(6):
            with site.tracer.start_as_current_span("step"):
                query(f"SELECT name FROM test_site_author WHERE id = {number}")
    job = site.one("job")
    (event,) = job.events
    assert event.name == names.N_PLUS_ONE_EVENT
    assert (event.attributes or {})[names.N_PLUS_ONE_COUNT] == 6
    assert (job.attributes or {})[names.N_PLUS_ONE_COUNT] == 6


def test_statements_below_users_spans_count_for_the_request_around_them(site: Site) -> None:
    tracer = site.provider.tracer("ours")
    root = tracer.begin_local_root("request", SpanKind.SERVER, {})
    with use_span(root, end_on_exit=True):
        for number in range(3):
            query(f"SELECT name FROM test_site_author WHERE id = {number}")
            with site.tracer.start_as_current_span("step"):
                query(f"SELECT name FROM test_site_author WHERE id = {number}")
    assert [event.name for event in site.one("request").events] == [names.N_PLUS_ONE_EVENT]
    assert not any(span.events for span in site.spans("step"))


def test_spans_of_the_host_that_end_twice_count_once(site: Site) -> None:
    span = site.tracer.start_span("twice")
    span.end()
    span.end()
    assert len(site.spans()) == 1


# --- the host decides


class Choosy(Sampler):
    """Leaves out ``/plain/``; records ``job`` without sampling it."""

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Any = None,
        trace_state: Any = None,
    ) -> SamplingResult:
        if name == "job":
            return SamplingResult(Decision.RECORD_ONLY, attributes)
        path = (attributes or {}).get(names.URL_PATH)
        return SamplingResult(
            Decision.DROP if path == "/plain/" else Decision.RECORD_AND_SAMPLE, attributes
        )

    def get_description(self) -> str:
        return "choosy"


def test_the_hosts_sampler_decides_on_requests() -> None:
    for site in made(sampler=Choosy()):
        Client().get("/plain/")
        Client().get("/user/")
        assert [span.name for span in site.spans()] == ["GET /user/"]


def test_nothing_is_recorded_below_what_the_host_left_out() -> None:
    for site in made(sampler=ALWAYS_OFF):
        Client().get("/user/")
        with site.tracer.start_as_current_span("dropped"):
            query()
        assert site.spans() == []


def test_nothing_is_recorded_below_what_is_recorded_only() -> None:
    for site in made(sampler=Choosy()):
        with site.tracer.start_as_current_span("job") as job:
            assert job.is_recording()
            assert current.recording_span() is None


class Counting(IdGenerator):
    """1, 2, 3…"""

    def __init__(self) -> None:
        self.last = 0

    def generate_span_id(self) -> int:
        self.last += 1
        return self.last

    generate_trace_id = generate_span_id


def test_ids_are_of_the_hosts_making() -> None:
    for site in made(id_generator=Counting()):
        Client().get("/plain/")
        context = site.one("GET /plain/").get_span_context()
        assert context is not None
        assert (context.trace_id, context.span_id) == (1, 2)
        assert context.trace_flags == 1  # and not "random"


def test_the_hosts_limits_hold() -> None:
    for site in made(span_limits=SpanLimits(max_span_attributes=3, max_span_attribute_length=4)):
        with site.tracer.start_as_current_span("job"):
            query()
        attributes = site.one("SELECT").attributes or {}
        assert len(attributes) == 3
        assert all(len(value) <= 4 for value in attributes.values() if isinstance(value, str))


def test_no_limit_is_no_limit() -> None:
    unset = SpanLimits.UNSET
    for site in made(span_limits=SpanLimits(max_span_attributes=unset, max_events=unset)):
        assert site.runtime.settings.span_limits.attributes > 1_000_000
        Client().get("/plain/")
        assert site.one("GET /plain/").attributes


class Noting(SpanProcessor):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.told.append(f"start {span.name}")
        span.set_attribute("tenant", "a")

    def _on_ending(self, span: Any) -> None:
        self.told.append(f"ending {span.name}")

    def on_end(self, span: ReadableSpan) -> None:
        self.told.append(f"end {span.name}")

    def shutdown(self) -> None:
        self.told.append("shutdown")

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        self.told.append("flush")
        return False


def test_the_hosts_processors_are_told_of_our_spans_once_as_of_its_own(site: Site) -> None:
    noting = Noting()
    site.host.add_span_processor(noting)
    with site.tracer.start_as_current_span("job"):
        query()
    inside = ["start SELECT", "ending SELECT", "end SELECT"]
    assert noting.told == ["start job", *inside, "ending job", "end job"]
    assert (site.one("SELECT").attributes or {})["tenant"] == "a"


# --- flush, end, fork


def test_a_flush_is_the_hosts_and_our_end_does_not_end_it(site: Site) -> None:
    noting = Noting()
    site.host.add_span_processor(noting)
    assert site.runtime.flush() is False
    site.runtime.shutdown()
    assert noting.told == ["flush", "flush"]


class Hanging(SpanProcessor):
    def __init__(self) -> None:
        self.released = threading.Event()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self.released.wait(60)


def test_a_host_that_does_not_keep_to_the_time_cannot_hang_our_end() -> None:
    host = TracerProvider(shutdown_on_exit=False)
    hanging = Hanging()
    host.add_span_processor(hanging)
    settings = replace(conf.from_django(), shutdown_timeout_s=0.05)
    GuestRuntime(settings, host).shutdown()
    assert not hanging.released.is_set()
    hanging.released.set()


def test_a_forked_child_begins_parts_of_its_own_with_ids_of_its_own(site: Site) -> None:
    with site.tracer.start_as_current_span("job"):
        before = current.recording_span()
        assert before is not None
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                site.runtime.after_fork()
                root = site.provider.tracer("ours").begin("x", SpanKind.INTERNAL, {}, before)
                fine = root._local is not before._local and root._local.root is root
                os.write(writing, f"{root._context[1]} {int(fine)}".encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        theirs, parts = os.read(reading, 100).split()
        own = site.provider.tracer("ours").begin("x", SpanKind.INTERNAL, {}, before)
    assert parts == b"1"
    assert int(theirs) != own._context[1]
    os.close(reading)
    os.close(writing)


# --- on and off


def test_uninstalled_the_hosts_spans_are_left_alone(site: Site) -> None:
    site.runtime.uninstall()
    with site.tracer.start_as_current_span("job") as job:
        query()
        assert current.recording_span() is None
        assert not any("otel_django" in name for name in vars(job))
    assert [span.name for span in site.spans()] == ["job"]


def test_nothing_of_ours_is_started_for_a_guest(site: Site) -> None:
    Client().get("/user/")
    assert not any(site.runtime.sinks.values())
    assert not any("otel_django" in thread.name for thread in threading.enumerate())


def test_metrics_and_logs_are_left_to_the_host_only_where_it_has_providers_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from opentelemetry._logs import _internal as logs_state
    from opentelemetry.metrics import _internal as metrics_state
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk.metrics import MeterProvider

    settings = replace(
        conf.from_django(),
        strict=True,
        metrics_exporters=("otlp",),
        logs_exporters=("otlp",),
    )
    host = TracerProvider(shutdown_on_exit=False)
    monkeypatch.setattr(metrics_state, "_METER_PROVIDER", None)
    monkeypatch.setattr(logs_state, "_LOGGER_PROVIDER", None)
    assert sending(GuestRuntime(settings, host)) == {"metrics", "logs"}
    monkeypatch.setattr(metrics_state, "_METER_PROVIDER", MeterProvider(shutdown_on_exit=False))
    assert sending(GuestRuntime(settings, host)) == {"logs"}
    monkeypatch.setattr(logs_state, "_LOGGER_PROVIDER", LoggerProvider(shutdown_on_exit=False))
    assert sending(GuestRuntime(settings, host)) == set()


def sending(runtime: GuestRuntime) -> set[str]:
    return {signal for signal, sinks in runtime.sinks.items() if sinks}


def test_only_the_sdks_provider_can_be_a_host() -> None:
    class Theirs:
        """Another implementation of the API."""

    host = TracerProvider(shutdown_on_exit=False)
    assert in_charge.as_host(host) is host
    assert in_charge.as_host(GuestRuntime(conf.from_django(), host).provider) is None
    assert in_charge.as_host(Theirs()) is None
    assert in_charge.as_host(None) is None


def test_our_spans_are_readable_by_the_hosts_exporters(site: Site) -> None:
    Client().get("/raises-404/")
    span: Sequence[ReadableSpan] = site.spans()
    assert isinstance(span[0], Span)
    assert '"service.name": "theirs"' in span[0].to_json()
