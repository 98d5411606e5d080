"""How requests of this process begin: which are traced, below what, and by which settings."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, SpanKind

from otel_django import guard, names
from otel_django.errors import ConfigurationError
from otel_django.instrumentation.http_attributes import (
    KNOWN_METHODS,
    TOKEN_LENGTH,
    RequestDescriber,
    known_method,
    span_method,
)
from otel_django.instrumentation.http_exclusion import ExcludedUrls, probe_paths
from otel_django.instrumentation.http_headers import (
    HeaderCapture,
)
from otel_django.instrumentation.http_metrics import (
    RequestMetrics,
    scheme_header,
)
from otel_django.instrumentation.http_served import ExcludedRequest, ServedRequest
from otel_django.tracing import request_id
from otel_django.tracing.current import SPAN_KEY, SUPPRESS_KEY, get_context, stand_in_for
from otel_django.tracing.propagation import Inbound
from otel_django.tracing.span import Span
from otel_django.tracing.thinning import SoleSpan
from otel_django.tracing.tracer import DroppedSpan
from otel_django.tracing.trust import FORWARDING_HEADERS, Environ, TrustPolicy

if TYPE_CHECKING:
    from opentelemetry.trace import Span as ApiSpan

    from otel_django.conf import Settings
    from otel_django.metrics.recorder import Recorder
    from otel_django.tracing.tracer import Tracer

_logger = logging.getLogger(guard.LOGGER_NAME)
_REQUEST_ID_HEADER = "HTTP_X_REQUEST_ID"
_SERVER = SpanKind.SERVER
_INTERNAL = SpanKind.INTERNAL


class RequestTracing:
    """What all requests of this process share: the settings, compiled.

    ``on_finished`` is called at the end of each request that isn't excluded, recorded or not, with
    what was served, its route (None if unknown) and its duration in nanoseconds.
    """

    on_finished: ClassVar[list[Callable[[ServedRequest, str | None, int], None]]] = []

    def __init__(
        self, tracer: Tracer, settings: Settings, recorder: Recorder | None = None
    ) -> None:
        self.metrics = None if recorder is None else RequestMetrics(recorder)
        redactor = tracer.normaliser.redactor
        self.tracer = tracer
        self.debug = settings.debug
        self.user_id = settings.user_id
        self.traced_request_attrs = settings.traced_request_attrs
        self.asked_for_more = settings.user_id != "off" or bool(settings.traced_request_attrs)
        self.trust = TrustPolicy(settings.trust_inbound)
        self.inbound = _inbound(settings.propagators)
        self.excluded = ExcludedUrls(settings.excluded_urls)
        self.describer = RequestDescriber(redactor, self.trust, settings.span_limits.value_length)
        self.request_headers = HeaderCapture(
            names.HTTP_REQUEST_HEADER,
            settings.capture_request_headers,
            settings.sanitize_fields,
            redactor,
        )
        self.response_headers = HeaderCapture(
            names.HTTP_RESPONSE_HEADER,
            settings.capture_response_headers,
            settings.sanitize_fields,
            redactor,
        )
        self.captures_headers = bool(
            settings.capture_request_headers or settings.capture_response_headers
        )
        self.safe_path = self.describer.safe_path
        self.describe = self.describer.describe
        self.scheme_header = scheme_header()
        self._begin_local_root = tracer.begin_local_root
        self.excludes_urls = self.excluded.any is not None
        self._inbound_headers = (*self.inbound.headers, _REQUEST_ID_HEADER)

    @property
    def headers_of_interest(self) -> tuple[str, ...]:
        """The environ keys ``begin`` looks at, ``REMOTE_ADDR`` apart."""
        proxies = () if self.scheme_header is None else (self.scheme_header[0],)
        return (*self._inbound_headers, "HTTP_TRACESTATE", *FORWARDING_HEADERS, *proxies)

    def is_excluded(self, environ: Environ, path_info: str) -> bool:
        """Whether the request gets no span; ``environ`` needs scheme and host only."""
        if path_info in probe_paths:
            return True
        if not self.excludes_urls:
            return False
        host = environ.get("HTTP_HOST") or environ.get("SERVER_NAME", "")
        return self.excluded.match(environ.get("wsgi.url_scheme", "http"), host, path_info)

    def begin(self, environ: Environ, raw_method: str, path: str) -> ServedRequest | None:
        """Start the request's span, or none where instrumentation is suppressed.

        ``environ`` holds ``REMOTE_ADDR`` and the headers of interest. The caller makes
        ``.context`` current, and sees to it that one of the ends is called.
        """
        base = get_context()
        if base.get(SUPPRESS_KEY):
            return None
        remote = stranger = given_id = None
        for header in self._inbound_headers:
            if header in environ:
                remote, stranger, given_id, base = self._inbound(environ, base)
                break
        method = name = raw_method
        if raw_method not in KNOWN_METHODS:
            method = known_method(raw_method)
            name = span_method(method)
        attributes: dict[str, Any] = {
            names.HTTP_REQUEST_METHOD: method,
            names.URL_PATH: path if len(path) < TOKEN_LENGTH else self.safe_path(path),
        }
        if method != raw_method:
            attributes[names.HTTP_REQUEST_METHOD_ORIGINAL] = raw_method[:40]
        outer = base.get(SPAN_KEY)
        span: Any
        if outer is None:
            span = self._begin_local_root(name, _SERVER, attributes, remote)
        else:
            span = self._begin_below(outer, name, attributes, remote)
        if stranger is not None:
            span.add_link(stranger)
        served = ServedRequest(self, span, base, given_id)
        if self.metrics is not None or self.on_finished:
            served.watch(method, self._scheme(environ))
        return served

    def begin_excluded(self, environ: Environ, raw_method: str) -> ExcludedRequest | None:
        """A request that gets no span: it only counts in the metrics, if those are on."""
        if self.metrics is None or get_context().get(SUPPRESS_KEY):
            return None
        served = ExcludedRequest(self)
        served.watch(known_method(raw_method), self._scheme(environ))
        return served

    def _scheme(self, environ: Environ) -> str:
        header = self.scheme_header
        if header is not None and header[0] in environ:
            secure = environ[header[0]].split(",", 1)[0].strip() == header[1]
            return "https" if secure else "http"
        scheme: str = environ.get("wsgi.url_scheme") or "http"
        return scheme

    def _begin_below(
        self, outer: Any, name: str, attributes: dict[str, Any], remote: SpanContext | None
    ) -> ApiSpan:
        """Where a span is current already: a middleware around the application, a test's."""
        if type(outer) is Span:
            if outer._end_time is None and not outer._local.stands_for_nothing(outer):
                kind = _INTERNAL if outer._kind is _SERVER else _SERVER
                return self.tracer.begin(name, kind, attributes, outer)
        elif type(outer) is DroppedSpan:
            return outer
        elif type(outer) is SoleSpan:
            return DroppedSpan(outer._context)
        else:
            stand_in = stand_in_for(outer)
            if stand_in is not None:
                kind = _INTERNAL if stand_in._kind is _SERVER else _SERVER
                return self.tracer.begin(name, kind, attributes, stand_in)
            context: SpanContext = outer.get_span_context()
            if context.is_valid:
                remote = context
        return self.tracer.begin_local_root(name, _SERVER, attributes, remote)

    def _inbound(
        self, environ: Environ, base: Context
    ) -> tuple[SpanContext | None, SpanContext | None, str | None, Context]:
        """(parent, context of a stranger to link, request id, base context with its baggage)."""
        remote, carried = self.inbound.extract(environ)
        if not self.trust.trusts(environ):
            return None, remote, None, base
        if carried is not None:
            base = Context({**base, **{k: v for k, v in carried.items() if k != SPAN_KEY}})
        given: str | None = environ.get(_REQUEST_ID_HEADER)
        if given is not None and not request_id.is_well_formed(given):
            given = None
        return remote, None, given, base


def _inbound(propagators: Sequence[str]) -> Inbound:
    """The named propagators; a name that nobody provides costs a warning, not the tracing."""
    try:
        return Inbound(propagators)
    except ConfigurationError as error:
        _logger.warning("%s; tracecontext and baggage are read instead", error)
        return Inbound(("tracecontext", "baggage"))
