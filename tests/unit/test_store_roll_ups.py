"""What the store sums up while it is written, as pages read it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanContext, SpanKind

from otel_django import names
from otel_django.backends import embedded_log_search, embedded_log_summary
from otel_django.backends.embedded import EmbeddedReader
from otel_django.backends.embedded_edges import EmbeddedEdgeReader
from otel_django.backends.embedded_errors import EmbeddedErrorReader
from otel_django.backends.embedded_log_summary import EmbeddedLogSummaryReader
from otel_django.backends.embedded_releases import EmbeddedReleaseReader
from otel_django.backends.embedded_timeline import EmbeddedTimelineReader
from otel_django.contracts import LogQuery
from otel_django.roll_ups import Facet
from otel_django.store import roll_up_schema, schema
from otel_django.store.fingerprint import kind_of, text_of
from otel_django.store.writer import LogWriter, StoreWriter
from otel_django.tracing.span import Span
from tests.store_logs import RESOURCES, record
from tests.store_spans import MS, Losses, SpanSource, remote_parent

MINUTE = 60_000_000_000
HOUR = 60 * MINUTE
NOW = time.time_ns() // HOUR * HOUR + 7 * MINUTE
"""Seven minutes into an hour, so that ranges begin and end between half hours."""
TRACEBACK = """Traceback (most recent call last):
  File "django/core/handlers/base.py", line 199, in _get_response
    response = wrapped_callback(request)
  File "orders/views.py", line {line}, in checkout
    charge(card)
  File "json/decoder.py", line 355, in raw_decode
    raise JSONDecodeError
shop.Refused: {message}
"""


@pytest.fixture
def spans(path: Path, losses: Losses) -> Iterator[StoreWriter]:
    made = StoreWriter(path, retention_hours=24, max_mb=64, drops=losses)
    yield made
    made.close(time.monotonic() + 1)
    assert losses.counts == {}


@pytest.fixture
def logs(spans: StoreWriter, losses: Losses) -> LogWriter:
    return LogWriter(spans.file, drops=losses)


@pytest.fixture
def source() -> SpanSource:
    return SpanSource()


def refused(
    message: str = "card 4711 refused", line: int = 42, type_name: str = "shop.Refused"
) -> dict[str, Any]:
    return {
        names.EXCEPTION_TYPE: type_name,
        names.EXCEPTION_MESSAGE: message,
        names.EXCEPTION_STACKTRACE: TRACEBACK.format(line=line, message=message),
    }


def failed(source: SpanSource, start: int = NOW, **keywords: Any) -> Span:
    """A request that tells of an exception in an event."""
    span = source.request("/checkout/", status=500, start=start)
    span._events = [_event(start, refused(**keywords))]
    return span


def remote(span: Span) -> SpanContext:
    """A span as another process knows it."""
    context: Any = span._context
    return remote_parent(context[0], context[1])


def _event(time_ns: int, attributes: dict[str, Any]) -> Any:
    from opentelemetry.sdk.trace import Event

    return Event(names.EXCEPTION_EVENT, attributes, time_ns)


class TestTimeline:
    def test_steps_are_counted_also_where_nothing_was(
        self, path: Path, spans: StoreWriter, source: SpanSource
    ) -> None:
        for minutes in (0, 0, 3):
            source.request(start=NOW - minutes * MINUTE, duration_ms=100)
        source.request(start=NOW, status=500, duration_ms=100)
        spans.accept(source.take())
        answer = EmbeddedTimelineReader(path).requests(NOW - 4 * MINUTE, NOW, MINUTE)
        assert [(each.count, each.errors) for each in answer.moments] == [
            (0, 0),
            (1, 0),
            (0, 0),
            (0, 0),
            (3, 1),
        ]
        assert answer.moments[0].p95_ns is None
        assert answer.total.count == 4
        assert answer.total.p50_ns == pytest.approx(100 * MS, rel=0.13)
        assert answer.moments[-1].start_ns == NOW

    @pytest.mark.parametrize("step", [1, 5, 30, 120, 1440])
    def test_the_total_is_that_of_the_range_however_long_its_steps_are(
        self, path: Path, spans: StoreWriter, source: SpanSource, step: int
    ) -> None:
        for minutes in range(200):
            source.request(start=NOW - minutes * MINUTE)
        spans.accept(source.take())
        answer = EmbeddedTimelineReader(path).requests(NOW - 99 * MINUTE, NOW, step * MINUTE)
        assert answer.total.count == 100
        assert answer.moments[0].start_ns <= NOW - 99 * MINUTE
        assert sum(each.count for each in answer.moments) >= 100

    @pytest.mark.parametrize("step", [1, 5, 30, 120])
    def test_half_hours_and_minutes_make_the_same_sums(
        self, path: Path, spans: StoreWriter, source: SpanSource, step: int
    ) -> None:
        for minutes in range(0, 300, 7):
            source.request(start=NOW - minutes * MINUTE, queries=1)
        spans.accept(source.take())
        since = NOW - 250 * MINUTE
        answer = EmbeddedTimelineReader(path).requests(since, NOW, step * MINUTE)
        first = since // (step * MINUTE) * step * MINUTE
        expected = sum(NOW - minutes * MINUTE >= first for minutes in range(0, 300, 7))
        assert sum(each.count for each in answer.moments) == expected
        assert answer.total.count == len(range(0, 251, 7))
        (endpoint,) = EmbeddedReader(path).endpoints(since, NOW)
        assert endpoint.count == 36

    def test_requests_and_tasks_are_told_apart_by_their_kind(
        self, path: Path, spans: StoreWriter, source: SpanSource
    ) -> None:
        source.request(start=NOW)
        source.root("Nightly", kind=SpanKind.CONSUMER, start=NOW).end(NOW + MS)
        spans.accept(source.take())
        reader = EmbeddedTimelineReader(path)
        for kind, name in (("requests", "GET /products/"), ("tasks", "Nightly")):
            of_kind = reader.requests(NOW, NOW, MINUTE, kind=kind)  # type: ignore[arg-type]
            by_name = reader.requests(NOW, NOW, MINUTE, name=name, service="shop")
            assert of_kind.total == by_name.total
            assert of_kind.total.count == 1

    def test_courses_count_the_calls_of_each(
        self, path: Path, spans: StoreWriter, source: SpanSource
    ) -> None:
        source.request(start=NOW)
        source.request("/cart/", start=NOW - MINUTE)
        spans.accept(source.take())
        assert EmbeddedTimelineReader(path).courses(NOW - MINUTE, NOW, MINUTE) == {
            ("shop", "GET /products/"): (0, 1),
            ("shop", "GET /cart/"): (1, 0),
        }

    def test_a_range_is_cut_to_so_many_steps(self, path: Path) -> None:
        answer = EmbeddedTimelineReader(path).requests(0, NOW, MINUTE)
        assert len(answer.moments) == 2_000
        assert answer.total.count == 0


class TestQueries:
    def test_an_endpoint_has_the_queries_of_its_requests_in_whatever_batch_they_came(
        self, path: Path, spans: StoreWriter, source: SpanSource
    ) -> None:
        source.request(start=NOW, queries=3)
        source.request(start=NOW, queries=2)
        taken = source.take()
        spans.accept(taken[:2])
        spans.accept(taken[2:])
        (endpoint,) = EmbeddedReader(path).endpoints(NOW, NOW)
        assert (endpoint.count, endpoint.queries, endpoint.query_ns) == (2, 5, 5 * MS // 2)

    def test_two_roots_of_a_trace_share_no_queries(
        self, path: Path, spans: StoreWriter, source: SpanSource
    ) -> None:
        parent = remote_parent()
        first = source.root(start=NOW, parent=parent)
        source.query(first, NOW)
        spans.accept(source.take())
        first.end(NOW + MS)
        source.root(start=NOW, parent=parent).end(NOW + MS)
        spans.accept(source.take())
        (endpoint,) = EmbeddedReader(path).endpoints(NOW, NOW)
        assert (endpoint.count, endpoint.queries) == (2, 1)

    def test_a_batch_that_had_to_wait_is_counted_once(
        self, path: Path, spans: StoreWriter, source: SpanSource
    ) -> None:
        source.request(start=NOW, queries=3)
        taken = source.take()
        spans.accept(taken[:1])
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            spans.accept(taken[1:2])
            other.execute("COMMIT")
        spans.accept(taken[2:])
        assert spans.flush(time.monotonic() + 5)
        (endpoint,) = EmbeddedReader(path).endpoints(NOW, NOW)
        assert endpoint.queries == 3


class TestEdges:
    def test_a_service_that_calls_another_is_an_edge_whoever_arrives_first(
        self, path: Path, spans: StoreWriter, source: SpanSource
    ) -> None:
        for callee_first in (True, False):
            call = source.root("GET", kind=SpanKind.CLIENT, start=NOW)
            call._attributes[names.SERVER_ADDRESS] = "stock.internal"
            other = SpanSource("stock")
            other.request("/stock/", start=NOW, parent=remote(call), queries=0, duration_ms=100)
            call.end(NOW + 120 * MS)
            batches = [other.take(), source.take()]
            for batch in batches if callee_first else batches[::-1]:
                spans.accept(batch)
        answer = EmbeddedEdgeReader(path).edges(NOW, NOW)
        assert {(each.source, each.target, each.kind): each.count for each in answer.edges} == {
            ("shop", "stock", "service"): 2,
            ("shop", "stock.internal", "http"): 2,
        }
        assert answer.edges[0].p95_ns == pytest.approx(110 * MS, rel=0.3)
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT count(*) FROM callee_1").fetchone() == (0,)

    def test_both_in_one_batch_are_one_call(self, path: Path, spans: StoreWriter) -> None:
        source, other = SpanSource(), SpanSource("stock")
        call = source.root("GET", kind=SpanKind.CLIENT, start=NOW)
        other.request("/stock/", start=NOW, parent=remote(call), queries=0)
        call.end(NOW + MS)
        spans.accept([*source.take(), *other.take()])
        (edge,) = EmbeddedEdgeReader(path).edges(NOW, NOW).edges
        assert (edge.source, edge.target, edge.count) == ("shop", "stock", 1)

    def test_databases_and_queues_are_called_too(
        self, path: Path, spans: StoreWriter, source: SpanSource
    ) -> None:
        source.request(start=NOW, queries=4)
        send = source.root("send", kind=SpanKind.PRODUCER, start=NOW)
        send._attributes.update(
            {names.MESSAGING_SYSTEM: "redis", names.MESSAGING_DESTINATION_NAME: "mail"}
        )
        send.fail("ConnectionError")
        send.end(NOW + MS)
        spans.accept(source.take())
        answer = EmbeddedEdgeReader(path).edges(NOW - HOUR, NOW)
        assert [
            (each.source, each.target, each.kind, each.count, each.errors) for each in answer.edges
        ] == [("shop", "postgresql shop", "database", 4, 0), ("shop", "mail", "messaging", 1, 1)]

    def test_what_a_worker_of_the_same_service_takes_up_is_no_edge(
        self, path: Path, spans: StoreWriter, source: SpanSource
    ) -> None:
        caller = source.root(start=NOW)
        source.root("process", kind=SpanKind.CONSUMER, start=NOW, parent=remote(caller)).end()
        caller.end()
        spans.accept(source.take())
        assert EmbeddedEdgeReader(path).edges(NOW, NOW).edges == ()


class TestErrors:
    def test_exceptions_alike_are_one_group(self, path: Path, logs: LogWriter) -> None:
        for index, line in enumerate((42, 43)):
            logs.accept(
                [
                    record(
                        time_ns=NOW - (1 - index) * MINUTE,
                        trace_id=index + 1,
                        span_id=7,
                        level="error",
                        http__route="/checkout/",
                        **refused(f"card {index} refused", line),
                    )
                ]
            )
        page = EmbeddedErrorReader(path).groups(NOW - HOUR, NOW)
        (group,) = page.groups
        assert (page.total, page.partial) == (1, "")
        assert (group.type, group.message, group.place) == (
            "shop.Refused",
            "card 1 refused",
            "orders/views.py:43",
        )
        assert (group.service, group.where, group.count) == ("shop", "/checkout/", 2)
        assert (group.first_ns, group.last_ns) == (NOW - MINUTE, NOW)
        assert group.minutes == {NOW // MINUTE - 1: 1, NOW // MINUTE: 1}
        assert group.trace_id == format(2, "032x")

    def test_another_line_of_the_site_is_another_group(self, path: Path, logs: LogWriter) -> None:
        other = refused()
        other[names.EXCEPTION_STACKTRACE] = other[names.EXCEPTION_STACKTRACE].replace(
            "orders/views.py", "stock/views.py"
        )
        logs.accept([record(time_ns=NOW, **each) for each in (refused(), other)])
        assert EmbeddedErrorReader(path).groups(NOW, NOW).total == 2

    @pytest.mark.parametrize("record_first", [True, False])
    def test_what_a_record_and_a_span_tell_is_counted_once(
        self,
        path: Path,
        spans: StoreWriter,
        logs: LogWriter,
        source: SpanSource,
        record_first: bool,
    ) -> None:
        span = failed(source)
        context: Any = span._context
        told = record(time_ns=NOW, trace_id=context[0], span_id=context[1], **refused())
        again = record(time_ns=NOW, trace_id=context[0], span_id=context[1], **refused())
        if record_first:
            logs.accept([told])
            spans.accept(source.take())
        else:
            spans.accept(source.take())
            logs.accept([told])
        logs.accept([again])
        reader = EmbeddedErrorReader(path)
        (group,) = reader.groups(NOW, NOW).groups
        assert group.count == 1
        detail = reader.group(group.fingerprint, NOW, NOW)
        assert detail is not None
        assert detail.log_keys == ("1:1",)

    def test_a_task_that_fails_twice_in_a_trace_is_counted_twice(
        self, path: Path, logs: LogWriter
    ) -> None:
        logs.accept([record(time_ns=NOW, trace_id=5, span_id=run, **refused()) for run in (1, 2)])
        (group,) = EmbeddedErrorReader(path).groups(NOW, NOW).groups
        assert group.count == 2

    def test_a_batch_that_had_to_wait_still_counts(self, path: Path, logs: LogWriter) -> None:
        logs.accept([record(time_ns=NOW)])
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            logs.accept([record(time_ns=NOW, trace_id=5, span_id=1, **refused())])
            other.execute("COMMIT")
        assert logs.flush(time.monotonic() + 5)
        (group,) = EmbeddedErrorReader(path).groups(NOW, NOW).groups
        assert group.count == 1

    def test_a_group_has_its_samples_releases_and_stack_trace(
        self, path: Path, spans: StoreWriter, logs: LogWriter, source: SpanSource
    ) -> None:
        span = failed(source, NOW - 2 * MINUTE)
        spans.accept(source.take())
        told = record(time_ns=NOW, level="error", trace_id=9, span_id=9, **refused())
        told.resource = Resource({names.SERVICE_NAME: "shop", names.SERVICE_VERSION: "1.2.3"})
        logs.accept([record(time_ns=NOW), told])
        reader = EmbeddedErrorReader(path)
        (group,) = reader.groups(NOW - HOUR, NOW, service="shop").groups
        detail = reader.group(group.fingerprint, NOW - HOUR, NOW)
        assert detail is not None
        assert detail.group == group
        assert group.releases == ("1.2.3",)
        context: Any = span._context
        assert detail.trace_ids == (format(9, "032x"), format(context[0], "032x"))
        assert detail.log_keys == ("1:2",)
        assert detail.stacktrace == refused()[names.EXCEPTION_STACKTRACE]
        assert reader.groups(NOW - HOUR, NOW, service="mail").groups == ()

    def test_the_stack_trace_of_a_span_will_do(
        self, path: Path, spans: StoreWriter, source: SpanSource
    ) -> None:
        failed(source)
        spans.accept(source.take())
        reader = EmbeddedErrorReader(path)
        (group,) = reader.groups(NOW, NOW).groups
        assert group.where == "/checkout/"
        detail = reader.group(group.fingerprint, NOW, NOW)
        assert detail is not None
        assert "orders/views.py" in detail.stacktrace

    @pytest.mark.parametrize("fingerprint", ["", "0" * 16, "nonsense", "f" * 400])
    def test_a_fingerprint_that_nobody_has(self, path: Path, fingerprint: str) -> None:
        assert EmbeddedErrorReader(path).group(fingerprint, 0, NOW) is None

    def test_what_is_no_text_is_no_exception(self, path: Path, logs: LogWriter) -> None:
        odd: dict[str, Any] = {names.EXCEPTION_TYPE: 5, names.EXCEPTION_MESSAGE: ["a"]}
        half: dict[str, Any] = {names.EXCEPTION_TYPE: "E" * 10_000, names.EXCEPTION_STACKTRACE: 7}
        logs.accept([record(time_ns=NOW, **odd), record(time_ns=NOW, **half)])
        (group,) = EmbeddedErrorReader(path).groups(NOW, NOW).groups
        assert group.type == "E" * 200


class TestFingerprint:
    @pytest.mark.parametrize(
        ("one", "other", "alike"),
        [
            ("order 17 is gone", "order 18 is gone", True),
            ("user 'ann' is away", 'user "bob" is away', True),
            ("can't open 0x7f00", "can't open 0x7f01", True),
            ("no deadbeef01 here", "no deadbeef02 here", True),
            ("at 12:03:01.5", "at 9:00", True),
            (
                "3f2b8a52-9c1d-4e5f-8a6b-7c8d9e0f1a2b",
                "9f2b8a52-9c1d-4e5f-8a6b-7c8d9e0f1a2b",
                True,
            ),
            ("the bank is busy", "the bank is closed", False),
            ("first line\nmore", "first line\nother", True),
        ],
    )
    def test_messages_are_compared_without_what_varies(
        self, one: str, other: str, alike: bool
    ) -> None:
        found = {kind_of("ValueError", each, "").fingerprint for each in (one, other)}
        assert len(found) == (1 if alike else 2)

    def test_the_innermost_line_of_the_site_is_its_place(self) -> None:
        kind = kind_of("shop.Refused", "", TRACEBACK.format(line=42, message=""))
        assert kind.place == "orders/views.py:42"

    def test_of_a_chain_it_is_the_last_exceptions(self) -> None:
        first = TRACEBACK.format(line=1, message="").replace("orders", "stock")
        chain = f"{first}\nDuring handling:\n\n{TRACEBACK.format(line=42, message='')}"
        assert kind_of("E", "", chain).place == "orders/views.py:42"

    def test_where_only_libraries_are_to_be_seen_it_is_their_innermost(self) -> None:
        trace = 'Traceback (most recent call last):\n  File "json/decoder.py", line 5, in raw\n'
        assert kind_of("E", "", trace).place == "json/decoder.py:5"

    @pytest.mark.parametrize("hostile", ["\n" * 50_000, " " * 50_000, "File " * 9_000, '"' * 5_000])
    def test_hostile_texts_take_no_time(self, hostile: str) -> None:
        began = time.process_time()
        kind_of(hostile, hostile, hostile)
        assert time.process_time() - began < 5

    def test_it_is_sixteen_digits(self) -> None:
        assert text_of(-1) == "f" * 16
        assert text_of(255) == "0" * 14 + "ff"


class TestLogSummary:
    def test_levels_loggers_and_services(self, path: Path, logs: LogWriter) -> None:
        logs.accept(
            [
                record(time_ns=NOW, level="error"),
                record(time_ns=NOW, level="info", logger="other"),
                record(time_ns=NOW - MINUTE, level="critical"),
                record(time_ns=NOW, level="debug", service="mail"),
            ]
        )
        reader = EmbeddedLogSummaryReader(path)
        answer = reader.summary(NOW - MINUTE, NOW, MINUTE)
        assert [dict(each.counts) for each in answer.moments] == [
            {"critical": 1},
            {"error": 1, "info": 1, "debug": 1},
        ]
        assert answer.levels == {"critical": 1, "error": 1, "info": 1, "debug": 1}
        assert [(each.value, each.count) for each in answer.loggers] == [
            ("shop.orders", 3),
            ("other", 1),
        ]
        of_mail = reader.summary(NOW - MINUTE, NOW, MINUTE, LogQuery(service="mail"))
        assert of_mail.levels == {"debug": 1}
        assert {each.value for each in of_mail.services} == {"shop", "mail"}

    @pytest.fixture
    def orders(self, path: Path, logs: LogWriter) -> EmbeddedLogSummaryReader:
        """Eight records: of each pair one in each minute."""
        for at in (NOW, NOW - MINUTE):
            logs.accept(
                [
                    record("card refused", time_ns=at, level="error", order=1),
                    record("card refused", time_ns=at, logger="shop.pay", order=2),
                    record("card taken", time_ns=at, order=1, paid=True),
                    record("card refused", time_ns=at, service="mail", logger="mail.out"),
                ]
            )
        return EmbeddedLogSummaryReader(path)

    @pytest.mark.parametrize(
        ("asked", "levels", "choices", "loggers", "services"),
        [
            ({"text": "refused"}, "2e 4i", "2e 4i", "orders2 pay2 out2", "shop4 mail2"),
            ({"text": "refused", "min_severity": 17}, "2e", "2e 4i", "orders2", "shop2"),
            ({"text": "refused", "service": "mail"}, "2i", "2i", "out2", "shop4 mail2"),
            ({"text": "card", "logger": "shop.*"}, "2e 4i", "2e 4i", "orders4 pay2 out2", "shop6"),
            ({"logger": "shop.*"}, "2e 4i", "2e 4i", "orders4 pay2 out2", "shop6"),
            ({"logger": "shop.pay"}, "2i", "2i", "orders4 pay2 out2", "shop2"),
            ({"min_severity": 17}, "2e", "2e 6i", "orders2", "shop2"),
            ({"attributes": {"order": "1"}}, "2e 2i", "2e 2i", "orders4", "shop4"),
            ({"attributes": {"paid": "true"}}, "2i", "2i", "orders2", "shop2"),
            ({"text": "nowhere"}, "", "", "", ""),
            ({"text": "?!"}, "", "", "", ""),
            ({"trace_id": "1" * 32}, "", "", "", ""),
        ],
        ids=str,
    )
    def test_what_matches_is_counted_and_what_else_there_is_to_choose(
        self,
        orders: EmbeddedLogSummaryReader,
        asked: dict[str, Any],
        levels: str,
        choices: str,
        loggers: str,
        services: str,
    ) -> None:
        answer = orders.summary(NOW - MINUTE, NOW, MINUTE, LogQuery(**asked))

        def told(counts: Mapping[str, int]) -> str:
            return " ".join(f"{counts[level]}{level[0]}" for level in sorted(counts))

        def named(facets: Iterable[Facet]) -> set[str]:
            return {f"{each.value.rpartition('.')[2]}{each.count}" for each in facets}

        assert (told(answer.levels), told(answer.choices)) == (levels, choices)
        assert (named(answer.loggers), named(answer.services)) == (
            set(loggers.split()),
            set(services.split()),
        )
        assert sum(sum(each.counts.values()) for each in answer.moments) == sum(
            answer.levels.values()
        )
        assert answer.partial == ""

    def test_of_too_many_the_newest_are_counted_and_rare_ones_are_all_found(
        self, orders: EmbeddedLogSummaryReader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(embedded_log_search, "FIRST_CHUNK", 2)
        monkeypatch.setattr(embedded_log_search, "MAX_CHUNK", 2)
        monkeypatch.setattr(embedded_log_summary, "MOST_COUNTED", 3)
        answer = orders.summary(NOW - MINUTE, NOW, MINUTE, LogQuery(text="card"))
        assert sum(answer.levels.values()) == 4
        assert answer.partial == embedded_log_summary.MANY
        rare = orders.summary(NOW - MINUTE, NOW, MINUTE, LogQuery(text="card", min_severity=17))
        assert rare.levels == {"error": 2}
        assert rare.partial == ""


class TestReleases:
    def test_versions_of_services_with_their_time(self, path: Path, logs: LogWriter) -> None:
        for version, minutes in (("1.0", 9), ("1.1", 5), ("1.0", 4)):
            told = record(time_ns=NOW - minutes * MINUTE)
            attributes = {**RESOURCES["shop"].attributes, names.SERVICE_VERSION: version}
            told.resource = Resource(attributes)
            logs.accept([told])
        found = EmbeddedReleaseReader(path).releases(NOW - HOUR, NOW)
        assert [(each.version, each.first_ns, each.last_ns) for each in found] == [
            ("1.0", NOW - 9 * MINUTE, NOW - 4 * MINUTE),
            ("1.1", NOW - 5 * MINUTE, NOW - 5 * MINUTE),
        ]
        assert EmbeddedReleaseReader(path).releases(0, NOW - 10 * MINUTE) == ()


def make_version_2(path: Path) -> None:
    """Take from a store what version 2 didn't have."""
    gone = [table for table in schema.tables(1) if _is_new(table)]
    with closing(sqlite3.connect(path)) as connection:
        for table in (*schema.views(1), *gone):
            kind = "VIEW" if table in schema.views(1) else "TABLE"
            connection.execute(f"DROP {kind} {table}")
        connection.execute("CREATE TABLE endpoint AS SELECT * FROM endpoint_1")
        connection.execute("DROP TABLE endpoint_1")
        connection.execute(
            "CREATE TABLE endpoint_1 AS SELECT minute, service, name, route, bucket, count, "
            "errors, duration_ns FROM endpoint"
        )
        connection.execute("DROP TABLE endpoint")
        connection.execute("UPDATE slice SET version = 2")
        connection.execute("PRAGMA user_version = 2")
        connection.commit()


def _is_new(table: str) -> bool:
    name = table.rpartition("_")[0]
    known = {f"long_{each.name}" for each in roll_up_schema.ALL}
    return name in known | {"edge", "log_count", "error_count", "source", "callee", "error"} | {
        "sample"
    }


def test_a_slice_of_version_2_still_answers_and_says_what_it_lacks(
    path: Path, spans: StoreWriter, logs: LogWriter, source: SpanSource
) -> None:
    source.request(start=NOW)
    spans.accept(source.take())
    logs.accept([record(time_ns=NOW, level="error", **refused())])
    spans.release()
    make_version_2(path)
    source.request(start=NOW, queries=2)
    spans.accept(source.take())
    logs.accept([record(time_ns=NOW)])
    timeline = EmbeddedTimelineReader(path)
    for kind, count in (("all", 2), ("requests", 2), ("tasks", 0)):
        answer = timeline.requests(NOW, NOW, MINUTE, kind=kind)  # type: ignore[arg-type]
        assert answer.total.count == count
    (endpoint,) = EmbeddedReader(path).endpoints(NOW - HOUR, NOW)
    assert (endpoint.count, endpoint.queries) == (2, 2)
    assert EmbeddedReader(path).services() == ("shop",)
    summary = EmbeddedLogSummaryReader(path).summary(NOW, NOW, MINUTE)
    assert summary.levels == {"error": 1, "info": 1}
    assert "older version" in summary.partial
    page = EmbeddedErrorReader(path).groups(NOW - HOUR, NOW)
    assert page.groups == ()
    assert "older version" in page.partial
    assert "older version" in EmbeddedEdgeReader(path).edges(NOW - HOUR, NOW).partial
    assert EmbeddedReleaseReader(path).releases(0, NOW) == ()


def test_without_a_file_there_is_nothing(path: Path) -> None:
    assert EmbeddedTimelineReader(path).requests(NOW - HOUR, NOW, MINUTE).total.count == 0
    assert EmbeddedErrorReader(path).groups(0, NOW).groups == ()
    assert EmbeddedEdgeReader(path).edges(0, NOW).edges == ()
    assert EmbeddedLogSummaryReader(path).summary(0, NOW, HOUR).levels == {}
    assert EmbeddedReleaseReader(path).releases(0, NOW) == ()
    assert EmbeddedReader(path).services() == ()
