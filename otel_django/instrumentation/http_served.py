"""A request that is being served, from its start to the last byte of its answer."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Sequence
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context

from otel_django import guard, names
from otel_django.instrumentation.http_attributes import length_of
from otel_django.instrumentation.http_headers import (
    REQUEST_ID_KEY,
    add_server_timing,
    is_staff,
    loaded_user,
    request_headers,
)
from otel_django.instrumentation.http_metrics import NOTHING_COUNTED, body_size, route_of
from otel_django.instrumentation.http_streaming import keep_current
from otel_django.tracing import request_id
from otel_django.tracing.current import SPAN_KEY, get_context
from otel_django.tracing.exceptions import exception_type
from otel_django.tracing.tracer import RECORDED, DroppedSpan

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from otel_django.instrumentation.http_request import RequestTracing
    from otel_django.tracing.span import Span

_REQUEST_ID = request_id.CONTEXT_KEY
_REQUEST = request_id.REQUEST_KEY
_STATUS_CODE = names.HTTP_RESPONSE_STATUS_CODE


class ServedRequest:
    """A request that is being served.

    ``context`` is what the request runs in; ``scope`` is set where an ASGI server handed it over.
    Every way to end it may come more than once: the first counts.

    Where it is ``watched``, ``method`` and ``scheme`` are set, and at its end ``error_type`` and
    ``response_bytes`` as far as that is known. ``unit`` counts the queries of its local trace, of
    which those before it aren't its own.
    """

    __slots__ = (
        "_current",
        "_given_id",
        "_start_ns",
        "_tracing",
        "broken_off",
        "context",
        "ended",
        "error_type",
        "exception",
        "failed",
        "method",
        "queries_before",
        "query_ns_before",
        "recording",
        "request",
        "request_id",
        "response_bytes",
        "scheme",
        "scope",
        "span",
        "status_code",
        "unit",
        "watched",
    )

    method: str
    scheme: str
    response_bytes: int | None
    _start_ns: int
    unit: Any
    queries_before: int
    query_ns_before: int

    def __init__(
        self, tracing: RequestTracing, span: Any, base: Context, given_id: str | None
    ) -> None:
        self._tracing = tracing
        self._given_id = given_id
        self.span = span
        self.recording = type(span) in RECORDED
        self.request: HttpRequest | None = None
        self.scope: Any = None
        self.status_code: int | None = None
        self.exception: BaseException | None = None
        self.error_type: str | None = None
        self.failed = self.broken_off = self.ended = self.watched = False
        # Every span of ours, dropped ones too, has ``_context``; format() takes twice as long.
        own_id = given_id or span._context[0].to_bytes(16, "big").hex()
        self.request_id = own_id
        # Not this object: the context would hold what holds the context.
        self._current: list[HttpRequest | None] = [None]
        self.context = Context(
            {**base, SPAN_KEY: span, _REQUEST_ID: own_id, _REQUEST: self._current}
            if base
            else {SPAN_KEY: span, _REQUEST_ID: own_id, _REQUEST: self._current}
        )

    def exclude(self) -> None:
        """It is one of those without a span, as was found out only now."""
        self.recording = False
        self.__class__ = ExcludedRequest

    def watch(self, method: str, scheme: str) -> None:
        """Somebody wants to know of the request's end."""
        self.method = method
        self.scheme = scheme
        self.response_bytes = None
        unit = self.span
        if self.recording:
            self._start_ns = unit._start_time
            unit = unit._local
        else:
            self._start_ns = time_ns()
            if type(unit) is not DroppedSpan:
                unit = NOTHING_COUNTED
        # A request within a request (a test's, a batch's) has its own share of what both count.
        self.unit = unit
        self.queries_before = unit.queries
        self.query_ns_before = unit.query_ns
        self.watched = True
        metrics = self._tracing.metrics
        if metrics is not None:
            metrics.began(self)

    def belongs_to(self, request: HttpRequest) -> None:
        """The request object exists: mark it, so that exceptions and middleware find us."""
        self.request = self._current[0] = request
        request._otel_django = self  # type: ignore[attr-defined]
        request.otel_request_id = self.request_id  # type: ignore[attr-defined]
        if self.recording:
            self.span._local.request_id = self.request_id

    def answered(self, response: HttpResponseBase) -> None:
        """The site has an answer; its body may still have to be made."""
        tracing = self._tracing
        request = self.request
        self.status_code = response.status_code
        # Straight into the mapping, unless the site has an id of its own there: the checks of
        # ``headers[...] =`` cost more than the rest of our bookkeeping; this value is well formed.
        headers = response.headers._store
        if REQUEST_ID_KEY not in headers:
            headers[REQUEST_ID_KEY] = (request_id.HEADER, self.request_id)
        if tracing.debug or (
            request is not None and "user" in request.__dict__ and is_staff(loaded_user(request))
        ):
            add_server_timing(response, self.span.get_span_context())
        if response.streaming:
            keep_current(response, self)
        if self.watched:
            self.response_bytes = body_size(response, self.method)
        if self.recording and tracing.captures_headers:
            self._capture_headers(response)

    def answered_until_closed(self, response: HttpResponseBase) -> None:
        """The same; the request ends when the server closes the response."""
        response._resource_closers.append(self.close)  # type: ignore[attr-defined]
        self.answered(response)

    def raised(self, exc: BaseException) -> None:
        """An exception that the site's code didn't catch; one that comes again counts once."""
        if exc is self.exception or self.ended:
            return
        self.exception = exc
        if self.recording:
            self.span.record_exception(exc)

    def escaped(self, exc: BaseException) -> None:
        """An exception left the handler, or the making of a streamed body."""
        try:
            if isinstance(exc, (CancelledError, GeneratorExit)):
                self.broken_off = True
            else:
                self.raised(exc)
                self.failed = True
        except Exception:
            guard.caught("http_server.exception")

    @property
    def queries(self) -> int:
        """How many database queries it has made so far."""
        count: int = self.unit.queries - self.queries_before
        return count

    @property
    def query_ns(self) -> int:
        """How long these took, in nanoseconds."""
        spent: int = self.unit.query_ns - self.query_ns_before
        return spent

    @property
    def request_bytes(self) -> int | None:
        """The size of the request's body, if it says so."""
        return None if self.request is None else length_of(self.request.META.get("CONTENT_LENGTH"))

    def close(self) -> None:
        """The last byte is sent, or nobody is left to send it to: end the span, and measure."""
        if self.ended:
            return
        self.ended = True
        now = time_ns()  # one clock pair for the span and all that is measured
        status = self.status_code
        if status is not None and status >= 500:
            self.failed = True
        if self.failed:
            exc = self.exception
            self.error_type = str(status) if exc is None else exception_type(exc)
        try:
            if self.recording:
                self._finish(self.span, now)
        except Exception:
            guard.caught("http_server.finish")
        finally:
            if self.watched:
                self._tell(now - self._start_ns)
            self.request = self._current[0] = self.exception = None

    def _tell(self, duration_ns: int) -> None:
        tracing = self._tracing
        try:
            metrics = tracing.metrics
            if metrics is not None:
                metrics.ended(self, duration_ns)
            if tracing.on_finished:
                self._call(tracing.on_finished, duration_ns)
        except Exception:
            guard.caught("http_server.measure")

    def _call(
        self, hooks: Sequence[Callable[[ServedRequest, str | None, int], None]], duration_ns: int
    ) -> None:
        match = None if self.request is None else self.request.resolver_match
        route = None
        if match is not None and self.request is not None:
            route = route_of(match.route, self.request.META.get("SCRIPT_NAME"))
        for hook in hooks:
            hook(self, route, duration_ns)

    def _finish(self, span: Span, now: int) -> None:
        request = self.request
        try:
            if request is not None:
                tracing = self._tracing
                tracing.describe(request, span)
                if self._given_id is not None:
                    span._own[names.DJANGO_REQUEST_ID] = self._given_id
                if tracing.asked_for_more:
                    self._add_what_was_asked_for(request, span)
            if self.broken_off:
                span._attributes[names.DJANGO_CLIENT_DISCONNECTED] = True
            status = self.status_code
            if status is not None:
                span._own[_STATUS_CODE] = status
            if self.error_type is not None:
                span.fail(self.error_type)
        finally:
            span.end(now)

    def _add_what_was_asked_for(self, request: HttpRequest, span: Span) -> None:
        tracing = self._tracing
        if tracing.user_id != "off":
            user = loaded_user(request)
            if user is not None and getattr(user, "pk", None) is not None:
                span._attributes.update(user_attribute(user.pk, tracing.user_id))
        for name in tracing.traced_request_attrs:
            value = _attribute_of(request, name)
            if value is not None:
                span.set_attribute(name, str(value))

    def _capture_headers(self, response: HttpResponseBase) -> None:
        tracing = self._tracing
        attributes = self.span._attributes
        if self.request is not None:
            attributes.update(tracing.request_headers.capture(request_headers(self.request.META)))
        attributes.update(tracing.response_headers.capture(response.headers.items()))


class ExcludedRequest(ServedRequest):
    """A request without a span, which nothing but the metrics hears of."""

    __slots__ = ()

    def __init__(self, tracing: RequestTracing) -> None:
        self._tracing = tracing
        self.span = None
        self.recording = False
        self._current = [None]
        self.request = self.scope = self.status_code = self.exception = self.error_type = None
        self.failed = self.broken_off = self.ended = self.watched = False
        self.context = get_context()

    def belongs_to(self, request: HttpRequest) -> None:
        """The request object exists: mark it, so that exceptions find us."""
        self.request = request
        request._otel_django = self  # type: ignore[attr-defined]

    def answered(self, response: HttpResponseBase) -> None:
        """The site has an answer; its body may still have to be made."""
        self.status_code = response.status_code
        if self.watched:
            self.response_bytes = body_size(response, self.method)

    def _call(self, hooks: object, duration_ns: int) -> None:
        """It is excluded from what they are for."""


def user_attribute(primary_key: object, how: str) -> dict[str, str]:
    """``user.hash`` (keyed with SECRET_KEY, so that nobody can look ids up) or ``user.id``."""
    if how == "plain":
        return {names.USER_ID: str(primary_key)}
    from django.utils.crypto import salted_hmac

    keyed = salted_hmac("otel_django.user", str(primary_key), algorithm="sha256")
    return {names.USER_HASH: keyed.hexdigest()[:32]}


def _attribute_of(request: HttpRequest, name: str) -> Any:
    """An attribute of the request, unless reading it would load the user or read the body."""
    if name == "user":
        return loaded_user(request)
    if name in ("body", "POST", "FILES") and not hasattr(request, f"_{name.lower()}"):
        return None
    return getattr(request, name, None)
