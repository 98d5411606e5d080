"""The contract of readers of logs, on a real Loki, with a tenant for each test."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from otel_django import names
from otel_django.backends.loki import SETTLED_NS, LokiReader
from otel_django.backends.loki_errors import LokiErrorReader
from otel_django.backends.loki_summary import LokiSummaryReader
from otel_django.backends.remote import Remote
from otel_django.contracts import LogQuery
from otel_django.log_record import LogRecord
from tests.stack import reading_kit as kit
from tests.stack.stack_kit import Loki, running
from tests.store_logs import record
from tests.unit.test_log_reader_contract import *  # noqa: F403 - the contract's own tests
from tests.unit.test_log_reader_contract import HOUR_AGO, SECOND, Backend, events

MINUTE = 60 * SECOND


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loki]:
    loki = kit.TenantsLoki(tmp_path_factory.mktemp("tenants"))
    with running(loki):
        yield loki


def reader_of(server: Loki, tenant: str) -> LokiReader:
    headers = {"x-scope-orgid": tenant}
    return LokiReader(Remote("Loki", server.url, headers=headers, timeout_s=kit.DEADLINE_S))


def with_event(made: LogRecord) -> LogRecord:
    """As the Collector sends it on: Loki keeps no names of events, but attributes."""
    if not made.event_name:
        return made
    sent = copy.copy(made)
    sent.attributes = {**made.attributes, "event.name": made.event_name}
    return sent


@pytest.fixture  # type: ignore[no-redef]
def backend(server: Loki) -> Backend:
    tenant = uuid.uuid4().hex
    reader = reader_of(server, tenant)

    def put(records: list[LogRecord]) -> None:
        kit.send_records(server.port, [with_event(each) for each in records], tenant)
        times = [each.time_ns for each in records]
        query = LogQuery(since_ns=min(times), until_ns=max(times), limit=1_000)
        kit.until(lambda: set(times) <= {row.time_ns for row in reader.list_logs(query).rows})

    return Backend(put, reader, has_types=False, settled_s=SETTLED_NS / SECOND + 0.1)


def test_records_are_counted_by_level_logger_and_service(backend: Backend) -> None:
    first = HOUR_AGO // MINUTE * MINUTE
    backend.put(
        [
            record(f"order {index}", time_ns=first + index * SECOND, level=level, logger=logger)
            for index, (level, logger) in enumerate(
                [("info", "shop"), ("error", "shop"), ("info", "mail")] * 3
            )
        ]
        + [record("other", time_ns=first + 2 * MINUTE, service="mail", logger="mail")]
    )
    assert isinstance(backend.reader, LokiReader)
    reader = LokiSummaryReader(backend.reader)
    for query, levels in (
        (None, {"info": 7, "error": 3}),
        (LogQuery(min_severity=17), {"error": 3}),
        (LogQuery(service="mail"), {"info": 1}),
        (LogQuery(logger="sh*"), {"info": 3, "error": 3}),
        (LogQuery(text="order"), {"info": 6, "error": 3}),
    ):
        found = reader.summary(first, first + 2 * MINUTE, MINUTE, query)
        assert (dict(found.levels), found.partial) == (levels, "")
    found = reader.summary(
        first, first + 2 * MINUTE, MINUTE, LogQuery(text="order", min_severity=17)
    )
    assert (dict(found.levels), dict(found.choices)) == ({"error": 3}, {"info": 6, "error": 3})
    found = reader.summary(first, first + 2 * MINUTE, MINUTE)
    assert [sum(each.counts.values()) for each in found.moments] == [9, 0, 1]
    assert [(each.value, each.count) for each in found.loggers] == [("shop", 6), ("mail", 4)]


def test_exceptions_are_grouped_as_in_the_store(backend: Backend) -> None:
    def failed(order: int, at_ns: int) -> LogRecord:
        return record(
            "request.failed",
            level="error",
            time_ns=at_ns,
            trace_id=order,
            exception__type="ValueError",
            exception__message=f"no order {order}",
            exception__stacktrace=(
                "Traceback (most recent call last):\n"
                '  File "orders/views.py", line 42, in show\n    fail()\nValueError: no'
            ),
            http__route="/orders/",
        )

    backend.put([failed(number, HOUR_AGO + number * SECOND) for number in (1, 2, 3)])
    assert isinstance(backend.reader, LokiReader)
    reader = LokiErrorReader(backend.reader)
    (group,) = reader.groups(HOUR_AGO, HOUR_AGO + MINUTE).groups
    assert (group.type, group.message, group.count) == ("ValueError", "no order 3", 3)
    assert (group.place, group.where, group.service) == ("orders/views.py:42", "/orders/", "shop")
    assert (group.first_ns, group.last_ns) == (HOUR_AGO + SECOND, HOUR_AGO + 3 * SECOND)
    later = reader.groups(HOUR_AGO + 3 * SECOND, HOUR_AGO + MINUTE).groups[0]
    assert (later.count, later.first_ns) == (1, group.first_ns)
    detail = reader.group(group.fingerprint, HOUR_AGO, HOUR_AGO + MINUTE)
    assert detail is not None
    assert "orders/views.py" in detail.stacktrace
    assert len(detail.trace_ids) == 3


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(), st.text(min_size=1), st.text())
@example("\0", "\0", "\0")
def test_no_text_becomes_part_of_the_query(
    backend: Backend, text: str, key: str, value: str
) -> None:
    """A query that is refused would be a ReadError."""
    backend.reader.list_logs(
        LogQuery(
            since_ns=HOUR_AGO,
            service=text or "x",
            logger=value,
            trace_id=text,
            attributes={key: value},
        )
    )
    backend.reader.list_logs(LogQuery(since_ns=HOUR_AGO, logger=f"{text}*", event=value, text=text))


def test_a_name_of_an_attribute_comes_back_with_its_dots(backend: Backend) -> None:
    backend.put([record("x", time_ns=HOUR_AGO, http__route="/a/")])
    (row,) = backend.reader.list_logs(LogQuery()).rows
    assert row.attributes[names.HTTP_ROUTE] == "/a/"
    assert events(backend.reader.list_logs(LogQuery(attributes={"http.route": "/a/"}))) == ["x"]
