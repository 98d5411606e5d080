"""Middleware for sites that place it themselves.

With ``otel_django`` in ``INSTALLED_APPS`` requests, databases and caches are instrumented and none
of this is needed; it then does nothing a second time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from otel_django import guard

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from otel_django.instrumentation.http_request import RequestTracing
    from otel_django.instrumentation.http_served import ServedRequest
    from otel_django.tracing.tracer import Tracer


class RequestMiddleware:
    """Makes the request's span where the handler isn't instrumented.

    That is so with ``OTEL_PYTHON_DJANGO_INSTRUMENT=false``. Put it first; what middleware before
    it answers has no span.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._tracing: RequestTracing | None = None
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._answer_async(request)
        served = self._begin(request)
        if served is None:
            return cast("HttpResponseBase", self.get_response(request))
        return self._answer(request, served)

    def _begin(self, request: HttpRequest) -> ServedRequest | None:
        if hasattr(request, "_otel_django"):
            return None  # the handler, or this middleware further out, has begun it
        with guard.guarded("middleware"):
            tracing = self._tracing = self._tracing or _tracing_of_this_process()
            if tracing is not None:
                from otel_django.instrumentation.http_server import begin

                return begin(tracing, request)
        return None

    def _answer(self, request: HttpRequest, served: ServedRequest) -> HttpResponseBase:
        from otel_django.instrumentation.http_server import serving

        with serving(served) as answered:
            response: HttpResponseBase = self.get_response(request)
            answered(response)
        return response

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        served = self._begin(request)
        if served is None:
            return cast("HttpResponseBase", await self.get_response(request))
        from otel_django.instrumentation.http_server import serving

        with serving(served) as answered:
            response: HttpResponseBase = await self.get_response(request)
            answered(response)
        return response


class _Measuring:
    """Has something measured where its instrumentation is off; requests pass straight through."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)
        with guard.guarded("middleware"):
            self._measure()

    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request)

    def _measure(self) -> None:
        from otel_django import conf
        from otel_django.metrics import active

        tracer, recorder = _tracer_of_this_process(), active.recorder()
        if tracer is not None and recorder is not None:
            instrumentation = self._instrumentation()
            instrumentation.measure_with(recorder)
            instrumentation.install(tracer, conf.from_django())

    def _instrumentation(self) -> Any:
        raise NotImplementedError


class QueryMonitoringMiddleware(_Measuring):
    """Measures database calls where ``OTEL_PYTHON_DISABLED_INSTRUMENTATIONS`` names ``database``.

    They have no spans then: whatever it was switched off for may make some.
    """

    def _instrumentation(self) -> Any:
        from otel_django.instrumentation.database import DatabaseInstrumentation

        return DatabaseInstrumentation(spans=False)


class CacheMonitoringMiddleware(_Measuring):
    """The same of cache operations, where ``cache`` is named."""

    def _instrumentation(self) -> Any:
        from otel_django.instrumentation.cache import CacheInstrumentation

        return CacheInstrumentation(spans=False)


def _tracing_of_this_process() -> RequestTracing | None:
    from otel_django import conf
    from otel_django.instrumentation.http_request import RequestTracing

    tracer = _tracer_of_this_process()
    return None if tracer is None else RequestTracing(tracer, conf.from_django())


def _tracer_of_this_process() -> Tracer | None:
    """Of the tracer provider in charge, if that is ours."""
    from opentelemetry import trace

    from otel_django import names
    from otel_django.tracing.provider import TracerProvider
    from otel_django.version import VERSION

    provider = trace.get_tracer_provider()
    return provider.tracer(names.SCOPE, VERSION) if isinstance(provider, TracerProvider) else None
