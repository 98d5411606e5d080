"""Django's request handlers: one SERVER span a request, under WSGI and ASGI.

Classes are patched, not instances: handlers made before or after, the test clients' included, are
covered, and ``settings.MIDDLEWARE`` stays as it is. The span begins before the first middleware
and ends when the response is closed, so that a refused Host, a middleware that answers, the 500's
log record and a streamed body are all inside.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.core.handlers.base import BaseHandler
from django.core.signals import got_request_exception

from otel_django import guard
from otel_django.instrumentation import http_server_asgi
from otel_django.instrumentation.http_exclusion import probe_paths
from otel_django.instrumentation.http_request import RequestTracing
from otel_django.tracing.current import detach, reset_context, set_context

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from otel_django.conf import Settings
    from otel_django.instrumentation.http_served import ServedRequest
    from otel_django.metrics.recorder import Recorder
    from otel_django.tracing.tracer import Tracer

_tracing: RequestTracing | None = None
_patched = False
_get_response = BaseHandler.get_response


class HttpServerInstrumentation:
    """``install`` and ``uninstall`` may be called any number of times, in any order."""

    def __init__(self) -> None:
        self._recorder: Recorder | None = None

    def measure_with(self, recorder: Recorder) -> None:
        """Measure requests, too, from the next ``install`` on."""
        self._recorder = recorder

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Patch the handlers; from now on requests have spans of ``tracer``."""
        global _tracing, _patched, _get_response
        _tracing = RequestTracing(tracer, settings, self._recorder)
        if not _patched:
            _patched = True
            _get_response = BaseHandler.get_response
            BaseHandler.get_response = _traced_get_response  # type: ignore[method-assign]
        http_server_asgi.install(_tracing)
        got_request_exception.connect(note_exception, dispatch_uid="otel_django")

    def uninstall(self) -> None:
        """Put the handlers back, or pass everything through where others patched them since."""
        global _tracing, _patched
        _tracing = None
        if BaseHandler.get_response is _traced_get_response:
            BaseHandler.get_response = _get_response  # type: ignore[method-assign]
            _patched = False
        http_server_asgi.uninstall()
        got_request_exception.disconnect(dispatch_uid="otel_django")


def note_exception(sender: Any, request: HttpRequest | None = None, **kwargs: Any) -> None:
    """Django is about to turn an exception into a 500; this runs inside its ``except``."""
    served: ServedRequest | None = getattr(request, "_otel_django", None)
    exc = sys.exc_info()[1]
    if served is not None and exc is not None:
        try:
            served.raised(exc)
        except Exception:
            guard.caught("http_server.exception")


def begin(tracing: RequestTracing, request: HttpRequest) -> ServedRequest | None:
    """Start the span of a request that exists as an object; None if nobody wants to know of it."""
    try:
        meta = request.META
        path_info = request.path_info
        if path_info in probe_paths or (
            tracing.excludes_urls and tracing.is_excluded(meta, path_info)
        ):
            served: ServedRequest | None = tracing.begin_excluded(meta, meta["REQUEST_METHOD"])
        else:
            served = tracing.begin(meta, meta["REQUEST_METHOD"], request.path)
        if served is not None:
            served.belongs_to(request)
        return served
    except Exception:
        guard.caught("http_server.begin")
        return None


@contextmanager
def serving(served: ServedRequest) -> Iterator[Callable[[HttpResponseBase], None]]:
    """Run the block in the request's context; it hands its response to what is yielded."""
    token = set_context(served.context)
    try:
        yield lambda response: _answered(served, response)
    except BaseException as exc:
        served.escaped(exc)
        served.close()
        raise
    finally:
        detach(token)


def _answered(served: ServedRequest, response: HttpResponseBase) -> None:
    try:
        served.answered_until_closed(response)
    except Exception:
        guard.caught("http_server.answer")


def _traced_get_response(self: BaseHandler, request: HttpRequest) -> HttpResponseBase:
    # ``with serving(...)``, spelled out: a generator costs 1.5 µs.
    tracing = _tracing
    served = None if tracing is None else begin(tracing, request)
    if served is None:
        return _get_response(self, request)
    token = set_context(served.context)
    try:
        response = _get_response(self, request)
    except BaseException as exc:
        served.escaped(exc)
        served.close()
        raise
    finally:
        reset_context(token)  # set in this same call
    try:
        response._resource_closers.append(served.close)  # type: ignore[attr-defined]
        served.answered(response)
    except Exception:
        guard.caught("http_server.answer")
    return response
