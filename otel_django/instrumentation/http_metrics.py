"""What is measured of every request, recorded or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.conf import settings as site

from otel_django import metric_definitions as metrics
from otel_django.instrumentation import api_statistics
from otel_django.instrumentation.http_attributes import length_of, route_template
from otel_django.metrics.gathering import Gathering
from otel_django.tracing.exceptions import exception_type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.http.response import HttpResponseBase

    from otel_django.instrumentation.http_served import ServedRequest
    from otel_django.metrics.recorder import Recorder

_Finished = tuple[Any, ...]
"""As ``RequestMetrics.ended`` puts it together and ``_record`` takes it apart."""


class _NothingCounted:
    queries = query_ns = 0


NOTHING_COUNTED: Final = _NothingCounted()
"""For requests whose queries nobody counts."""


class _Alike:
    """What was measured of requests of one method, route and outcome."""

    __slots__ = ("durations", "queries", "response_sizes", "route", "spans", "values")

    def __init__(self, route: str | None, values: _Finished) -> None:
        self.route = route
        self.values = values
        self.durations: list[float] = []
        self.spans: list[Any] = []
        self.response_sizes: list[float] = []
        self.queries: list[float] = []


class RequestMetrics:
    """The instruments of requests."""

    def __init__(self, recorder: Recorder) -> None:
        self._duration = recorder.histogram(metrics.HTTP_SERVER_REQUEST_DURATION)
        self._request_size = recorder.histogram(metrics.HTTP_SERVER_REQUEST_BODY_SIZE)
        self._response_size = recorder.histogram(metrics.HTTP_SERVER_RESPONSE_BODY_SIZE)
        self._queries = recorder.histogram(metrics.DJANGO_REQUEST_DB_QUERIES)
        self._query_time = recorder.histogram(metrics.DJANGO_REQUEST_DB_DURATION)
        self._exceptions = recorder.counter(metrics.DJANGO_EXCEPTIONS)
        self._active: dict[int, tuple[str, str]] = {}
        self._were_active: set[tuple[str, str]] = set()
        self._take = Gathering(recorder, self._record).take
        recorder.gather(_nothing, self._after_fork)
        recorder.observe(metrics.HTTP_SERVER_ACTIVE_REQUESTS, self._count_active)

    def began(self, served: ServedRequest) -> None:
        """A request is being served."""
        self._active[id(served)] = (served.method, served.scheme)

    def ended(self, served: ServedRequest, duration_ns: int) -> None:
        """A request is over."""
        self._active.pop(id(served), None)
        request = served.request
        pattern = script_name = request_size = client = None
        if request is not None:
            meta = request.META
            request_size = meta.get("CONTENT_LENGTH")
            match = request.resolver_match
            if match is not None:
                pattern = match.route
                script_name = meta.get("SCRIPT_NAME")
                api = api_statistics.counting
                if api is not None:
                    client = api.client_of(request, pattern, script_name)
        span = served.span
        unit = served.unit
        self._take(
            (
                served.method,
                served.scheme,
                served.status_code,
                served.error_type,
                pattern,
                script_name,
                duration_ns,
                span if served.recording else None,
                request_size,
                served.response_bytes,
                None if span is None else unit.queries - served.queries_before,
                unit.query_ns - served.query_ns_before,
                served.exception and exception_type(served.exception),
                client,
            )
        )

    def _record(self, finished: list[_Finished]) -> None:
        known: dict[_Finished, _Alike] = {}
        telling_more: list[tuple[_Finished, _Alike]] = []
        for each in finished:
            key = each[:6]
            alike = known.get(key)
            if alike is None:
                alike = known[key] = self._alike(key)
            duration_ns, span, request_size, response_size, queries, _, exception, client = each[6:]
            alike.durations.append(duration_ns / 1e9)
            alike.spans.append(span)
            if response_size is not None:
                alike.response_sizes.append(response_size)
            if queries is not None:
                alike.queries.append(queries)
            if request_size or queries or exception is not None or client is not None:
                telling_more.append((each, alike))
        for alike in known.values():
            self._duration.record_all(alike.durations, alike.values, alike.spans)
            if alike.response_sizes:
                self._response_size.record_all(alike.response_sizes, alike.values)
            if alike.queries:
                self._queries.record_all(alike.queries, (alike.route, alike.values[0]))
        for each, alike in telling_more:
            self._record_more(each, alike)

    def _record_more(self, each: _Finished, alike: _Alike) -> None:
        """What many requests don't have."""
        method, _, status, _, _, _, _, span, request_size, _, queries, query_ns, *rest = each
        exception, client = rest
        size = length_of(request_size)
        if size is not None:
            self._request_size.record(size, alike.values)
        if queries:
            self._query_time.record(query_ns / 1e9, (alike.route, method))
        if exception is not None:
            self._exceptions.add(1, (alike.route, exception), span)
        if client is not None:
            client.was_served(alike.route, status)

    def _alike(self, key: _Finished) -> _Alike:
        method, scheme, status, error_type, pattern, script_name = key
        route = None if pattern is None else route_of(pattern, script_name)
        self._were_active.add((method, scheme))
        values = (method, scheme, route, status, error_type)
        return _Alike(route, values)

    def _count_active(self) -> Iterator[tuple[int, tuple[str, str]]]:
        active = list(self._active.copy().values())
        self._were_active.update(active)
        for key in self._were_active:
            yield active.count(key), key

    def _after_fork(self) -> None:
        """In a forked child: the parent serves what is being served."""
        self._active = {}
        self._were_active = set()


def _nothing() -> None:
    """Waits here."""


def route_of(pattern: str, script_name: str | None) -> str:
    """``http.route`` of a URL pattern, below where the site is mounted."""
    return (script_name or "").rstrip("/") + route_template(pattern)


def scheme_header() -> tuple[str, str] | None:
    """The header by which proxies say that a request was secure, and the value that says so."""
    header: tuple[str, str] | None = site.SECURE_PROXY_SSL_HEADER
    return header


def body_size(response: HttpResponseBase, method: str) -> int | None:
    """Bytes of the answer's body, as far as it is known before it is sent.

    0 of a stream, which counts as it is made.
    """
    if method == "HEAD":
        return None
    length = response.headers._store.get("content-length")
    if length is not None and length[1].isdigit():
        return int(length[1])
    if response.streaming:
        return 0 if hasattr(response, "_iterator") else None
    return len(response.content)  # type: ignore[attr-defined]
