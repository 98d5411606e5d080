"""Middleware for sites that place it themselves.

With ``otel_django`` in ``INSTALLED_APPS`` the request handler is instrumented and none of this is
needed; it then does nothing a second time.
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


def _tracing_of_this_process() -> RequestTracing | None:
    """Built on the tracer provider in charge, if that is ours."""
    from opentelemetry import trace

    from otel_django import conf, names
    from otel_django.instrumentation.http_request import RequestTracing
    from otel_django.tracing.provider import TracerProvider
    from otel_django.version import VERSION

    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        return None
    return RequestTracing(provider.tracer(names.SCOPE, VERSION), conf.from_django())
