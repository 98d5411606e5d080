"""What every reader of traces must do, whatever it reads from."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry.trace import SpanContext, SpanKind

from otel_django import names
from otel_django.backends.embedded import EmbeddedReader
from otel_django.contracts import TraceQuery, TraceReader
from otel_django.errors import ReadError
from otel_django.store.writer import StoreWriter
from otel_django.tracing.span import Span
from tests.store_spans import MS, Losses, SpanSource, store_path

HOUR_AGO = time.time_ns() - 3_600 * 10**9


class Backend:
    """A place to put spans, and a reader of it.

    ``is_exact``: it keeps lists, and attributes of links. ``settled_s``: it tells of spans so long
    after their end.
    """

    def __init__(
        self,
        put: Callable[[list[Span]], None],
        reader: TraceReader,
        *,
        is_exact: bool = True,
        settled_s: float = 0,
    ) -> None:
        self.put = put
        self.reader = reader
        self.is_exact = is_exact
        self.settled_s = settled_s


def embedded(folder: Path) -> Backend:
    path = store_path(folder)

    def put(spans: list[Span]) -> None:
        losses = Losses()
        writer = StoreWriter(path, retention_hours=24, max_mb=64, drops=losses)
        writer.accept(spans)
        writer.close(time.monotonic() + 1)
        assert losses.counts == {}

    return Backend(put, EmbeddedReader(path))


BACKENDS = {"embedded": embedded}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    return BACKENDS[request.param](tmp_path)


@pytest.fixture
def source() -> SpanSource:
    return SpanSource()


@pytest.fixture
def requests(backend: Backend, source: SpanSource) -> list[str]:
    """Ids of four traces, a second apart."""
    roots = [
        source.request("/products/", start=HOUR_AGO, duration_ms=20, path="/products/?page"),
        source.request("/checkout/", start=HOUR_AGO + 10**9, duration_ms=900, status=500),
        source.request("/products/", start=HOUR_AGO + 2 * 10**9, duration_ms=250, status=404),
        source.request("/about/us/", start=HOUR_AGO + 3 * 10**9, duration_ms=5, queries=0),
    ]
    backend.put(source.take())
    return [format(root._context[0], "032x") for root in roots]


def found(backend: Backend, **conditions: object) -> list[str]:
    page = backend.reader.list_traces(TraceQuery(**conditions))  # type: ignore[arg-type]
    assert page.partial == ""
    return [trace.trace_id for trace in page.traces]


def test_an_empty_backend_has_nothing_to_show(backend: Backend) -> None:
    assert backend.reader.list_traces(TraceQuery()).traces == ()
    assert backend.reader.get_trace("0" * 31 + "1") is None
    assert backend.reader.services() == ()
    assert backend.reader.spans_since(None).spans == ()


def test_the_list_is_newest_first_with_what_a_row_needs(
    backend: Backend, requests: list[str]
) -> None:
    page = backend.reader.list_traces(TraceQuery())
    assert [trace.trace_id for trace in page.traces] == requests[::-1]
    assert page.cursor is None
    failed = page.traces[2]
    assert (failed.name, failed.route, failed.service) == ("GET /checkout/", "/checkout/", "shop")
    assert (failed.method, failed.http_status, failed.failed) == ("GET", 500, True)
    assert (failed.start_ns, failed.duration_ns) == (HOUR_AGO + 10**9, 900 * MS)
    assert (failed.span_count, failed.error_count) == (3, 1)
    assert (failed.query_count, failed.query_ns) == (2, MS)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"route": "/products/"}, [2, 0]),
        ({"route": "/products"}, []),
        ({"status_class": 5}, [1]),
        ({"status_class": 2}, [3, 0]),
        ({"errors_only": True}, [1]),
        ({"min_duration_ns": 250 * MS}, [2, 1]),
        ({"max_duration_ns": 20 * MS}, [3, 0]),
        ({"min_duration_ns": 10 * MS, "max_duration_ns": 300 * MS}, [2, 0]),
        ({"since_ns": HOUR_AGO + 2 * 10**9}, [3, 2]),
        ({"until_ns": HOUR_AGO + 10**9}, [1, 0]),
        ({"service": "shop"}, [3, 2, 1, 0]),
        ({"service": "mail"}, []),
        ({"text": "about"}, [3]),
        ({"text": "ABOUT us"}, [3]),
        ({"text": "about checkout"}, []),
        ({"text": "chec*"}, [1]),
        ({"text": "ValueError"}, [1]),
        ({"text": "catalogue_product"}, [2, 1, 0]),
        ({"text": "500"}, [1]),
        ({"text": '"quotes" (and) OR * -x NEAR'}, []),
        ({"route": "/products/", "status_class": 4, "errors_only": False}, [2]),
        ({"route": "/products/", "text": "page"}, [0]),
        ({"errors_only": True, "min_duration_ns": 10**9}, []),
        ({"route": "/pro*"}, [2, 0]),
        ({"route": "*"}, [3, 2, 1, 0]),
        ({"route": "/nothing*"}, []),
        ({"name": "GET /checkout/"}, [1]),
        ({"name": "GET /*", "status_class": 4}, [2]),
        ({"name": "%*"}, []),
        ({"method": "GET"}, [3, 2, 1, 0]),
        ({"method": "POST"}, []),
        ({"http_status": 404}, [2]),
        ({"http_status": 404, "status_class": 5}, []),
        ({"n_plus_one": True}, []),
        ({"trace_id": "0000000g"}, []),
        ({"slowest_first": True}, [1, 2, 0, 3]),
        ({"slowest_first": True, "route": "/products/"}, [2, 0]),
        ({"slowest_first": True, "max_duration_ns": 250 * MS, "limit": 2}, [2, 0]),
        ({"slowest_first": True, "since_ns": HOUR_AGO + 2 * 10**9}, [2, 3]),
    ],
)
def test_every_condition_narrows_the_list(
    backend: Backend, requests: list[str], conditions: dict[str, object], expected: list[int]
) -> None:
    assert found(backend, **conditions) == [requests[index] for index in expected]


def test_a_trace_is_found_by_its_id_and_the_beginning_of_it(
    backend: Backend, requests: list[str]
) -> None:
    assert found(backend, text=requests[1]) == [requests[1]]
    assert found(backend, text=requests[1][:12].upper()) == [requests[1]]
    assert found(backend, trace_id=requests[1][:12].upper(), text="ValueError") == [requests[1]]
    assert found(backend, trace_id=requests[1], text="about") == []


@pytest.mark.parametrize("slowest_first", [False, True])
def test_pages_follow_one_another_without_gap_or_repeat(
    backend: Backend, source: SpanSource, slowest_first: bool
) -> None:
    for _ in range(25):
        source.request(start=HOUR_AGO, queries=0)  # all at the same moment, and as long
    backend.put(source.take())
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = TraceQuery(limit=10, cursor=cursor, slowest_first=slowest_first)
        page = backend.reader.list_traces(query)
        seen += [trace.trace_id for trace in page.traces]
        cursor = page.cursor
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 25


def test_a_cursor_of_something_else_is_refused(backend: Backend, requests: list[str]) -> None:
    with pytest.raises(ReadError):
        backend.reader.list_traces(TraceQuery(cursor="x'; DROP TABLE slice; --"))
    with pytest.raises(ReadError):
        backend.reader.list_traces(TraceQuery(cursor=f"{2**63}:ab"))
    with pytest.raises(ReadError):
        backend.reader.spans_since("x'; DROP TABLE slice; --")


def test_a_trace_has_all_its_spans_with_all_they_hold(backend: Backend, source: SpanSource) -> None:
    root = source.root("process shop.tasks.confirm", kind=SpanKind.CONSUMER, start=HOUR_AGO)
    root._attributes.update({"order": 4711, "tags": ["a", "b"], "ratio": 0.5, "paid": True})
    query = source.query(root, HOUR_AGO + MS)
    root.add_event("retried", {"count": 2}, timestamp=HOUR_AGO + 2 * MS)
    root.add_link(query.get_span_context(), {"why": "test"})
    root.fail("ConnectionError", "no route to host")
    root.end(HOUR_AGO + 9 * MS)
    backend.put(source.take())
    trace_id = format(root._context[0], "032x")
    trace = backend.reader.get_trace(trace_id)
    assert trace is not None
    assert (trace.trace_id, trace.partial) == (trace_id, "")
    first, second = trace.spans
    assert (first.name, first.kind, first.service) == (root.name, "consumer", "shop")
    assert (first.parent_id, first.local_root) == (None, True)
    assert (first.start_ns, first.duration_ns) == (HOUR_AGO, 9 * MS)
    assert (first.status, first.status_message) == ("error", "no route to host")
    assert dict(first.attributes) == {
        "order": 4711,
        "tags": ["a", "b"] if backend.is_exact else '["a","b"]',
        "ratio": 0.5,
        "paid": True,
        "error.type": "ConnectionError",
    }
    (event,) = first.events
    assert (event.name, event.time_ns) == ("retried", HOUR_AGO + 2 * MS)
    assert event.attributes == {"count": 2}
    (link,) = first.links
    assert (link.trace_id, link.span_id) == (trace_id, second.span_id)
    assert link.attributes == ({"why": "test"} if backend.is_exact else {})
    assert first.resource[names.HOST_NAME] == "test"
    assert first.scope == names.SCOPE
    assert (second.parent_id, second.local_root, second.kind) == (first.span_id, False, "client")
    assert second.attributes[names.DB_SYSTEM_NAME] == "postgresql"


def test_new_spans_come_in_the_order_of_arrival_and_none_is_left_out(
    backend: Backend, source: SpanSource, requests: list[str]
) -> None:
    cursor = backend.reader.spans_since(None).cursor
    assert backend.reader.spans_since(cursor).spans == ()
    sent = []
    seen = []
    for _ in range(5 if not backend.settled_s else 2):
        source.request(queries=4)
        batch = source.take()
        sent += [format(span._context[1], "016x") for span in batch]
        backend.put(batch)
        time.sleep(backend.settled_s)
        while True:
            page = backend.reader.spans_since(cursor, limit=3)
            cursor = page.cursor
            seen += [span.span_id for span in page.spans]
            if not page.spans:
                break
    assert list(dict.fromkeys(seen)) == sent


def test_services_are_listed_once(backend: Backend, source: SpanSource) -> None:
    mail = SpanSource("mail")
    for each in (source, mail, source):
        each.request(queries=0)
        backend.put(each.take())
    assert backend.reader.services() == ("mail", "shop")


def test_a_task_without_route_is_found_by_its_name(backend: Backend, source: SpanSource) -> None:
    root = source.root("process shop.tasks.confirm", kind=SpanKind.CONSUMER)
    root.end()
    backend.put(source.take())
    (trace,) = backend.reader.list_traces(TraceQuery(route="process shop.tasks.confirm")).traces
    assert (trace.name, trace.http_status) == ("process shop.tasks.confirm", None)


@pytest.mark.parametrize(
    "words",
    [
        "shop.tasks.confirm",
        "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
        "worker@shop",
        "RETRY",
        "BankBusy",
        "mailings",
    ],
)
def test_a_trace_is_found_by_what_its_tasks_say(
    backend: Backend, source: SpanSource, requests: list[str], words: str
) -> None:
    request = source.request("/checkout/", start=HOUR_AGO, queries=0)
    run_task(SpanSource("worker"), backend, request)
    assert found(backend, text=words) == [format(request._context[0], "032x")]


def test_a_task_in_another_process_belongs_to_the_trace_of_its_request(
    backend: Backend, source: SpanSource
) -> None:
    worker = SpanSource("worker")
    request = source.root("POST /checkout/", start=HOUR_AGO)
    run_task(worker, backend, request)  # it ends before the request does
    request.end(HOUR_AGO + 50 * MS)
    backend.put(source.take())
    (trace,) = backend.reader.list_traces(TraceQuery()).traces
    assert (trace.name, trace.service, trace.duration_ns) == ("POST /checkout/", "shop", 50 * MS)
    detail = backend.reader.get_trace(trace.trace_id)
    assert detail is not None
    first, task = detail.spans
    assert (task.parent_id, task.local_root, task.service) == (first.span_id, True, "worker")
    assert backend.reader.services() == ("shop", "worker")


def run_task(worker: SpanSource, backend: Backend, request: Span) -> None:
    """A task below ``request``, run and stored by another process."""
    caller = request.get_span_context()
    remote = SpanContext(caller.trace_id, caller.span_id, True, caller.trace_flags)
    task = worker.root(
        "process shop.tasks.confirm",
        kind=SpanKind.CONSUMER,
        parent=remote,
        start=HOUR_AGO + MS,
        messaging__message__id="0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
        messaging__destination__name="mailings",
        celery__task__name="shop.tasks.confirm",
        celery__task__state="RETRY",
        celery__task__retry__reason="orders.payment.BankBusy: come back later",
        celery__worker="worker@shop",
    )
    task.end(HOUR_AGO + 9 * MS)
    backend.put(worker.take())
