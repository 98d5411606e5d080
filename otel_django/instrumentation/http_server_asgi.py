"""The ASGI half of the request handlers' instrumentation.

``ASGIHandler.handle`` is where a request's span begins and ends: its ``finally`` runs whatever
happens (a client that goes away, a server that cancels), and attach and detach stay in its
coroutine, since newer versions of Django run the view in a task of its own. ``AsyncClient`` never
calls it: there ``get_response_async`` stands in, and closing the response ends the span.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.base import BaseHandler

from otel_django import guard
from otel_django.tracing.current import detach, set_context

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from otel_django.instrumentation.http_request import RequestTracing
    from otel_django.instrumentation.http_served import ServedRequest

_tracing: RequestTracing | None = None
_wanted: dict[bytes, str] = {}
_handled: ContextVar[ServedRequest | None] = ContextVar("otel_django_handled", default=None)

_originals: dict[str, Callable[..., Any]] = {}


def install(tracing: RequestTracing) -> None:
    """Patch the handlers, or only change what patched ones do."""
    global _tracing, _wanted
    _tracing = tracing
    _wanted = {
        key[5:].lower().replace("_", "-").encode(): key
        for key in (*tracing.headers_of_interest, "HTTP_HOST")
    }
    for owner, name, ours in _patches():
        if name not in _originals:
            _originals[name] = getattr(owner, name)
            setattr(owner, name, ours)


def uninstall() -> None:
    """Put back what is still ours; where others patched since, ours stays and passes through."""
    global _tracing
    _tracing = None
    for owner, name, ours in _patches():
        if name in _originals and getattr(owner, name) is ours:
            setattr(owner, name, _originals.pop(name))


def _patches() -> tuple[tuple[type, str, Callable[..., Any]], ...]:
    return (
        (ASGIHandler, "handle", _traced_handle),
        (ASGIHandler, "create_request", _watched_create_request),
        (BaseHandler, "get_response_async", _traced_get_response_async),
    )


async def _traced_handle(self: ASGIHandler, scope: Any, receive: Any, send: Any) -> None:
    tracing = _tracing
    # A static files handler answers in DEBUG in front of the site: no requests of the site's.
    if tracing is None or getattr(self, "handles_files", False):
        await _originals["handle"](self, scope, receive, send)
        return
    served = _begin(tracing, scope)
    if served is None:
        await _originals["handle"](self, scope, receive, send)
        return
    token = set_context(served.context)
    handled = _handled.set(served)
    try:
        await _originals["handle"](self, scope, receive, send)
        if served.status_code is None:
            served.broken_off = True
    except BaseException as exc:
        _left_by(served, exc)
        raise
    finally:
        detach(token)
        _handled.reset(handled)
        served.close()


def _left_by(served: ServedRequest, exc: BaseException) -> None:
    """An exception came out of ``handle``."""
    if served.status_code is not None and isinstance(exc, OSError) and served.exception is None:
        served.broken_off = True  # the connection broke while the answer was sent
    else:
        served.escaped(exc)


def _watched_create_request(self: ASGIHandler, scope: Any, body_file: Any) -> Any:
    result = _originals["create_request"](self, scope, body_file)
    served = _handled.get()
    if served is not None and result[0] is None and served.scope is scope:
        served.status_code = result[1].status_code  # refused: too large, or not decodable
    return result


async def _traced_get_response_async(self: BaseHandler, request: HttpRequest) -> HttpResponseBase:
    tracing = _tracing
    if tracing is None:
        return await _original_answer(self, request)
    served = _handled.get()
    if served is not None and served.scope is getattr(request, "scope", served):
        return await _answer_handled(self, request, served)
    return await _answer_alone(self, request, tracing)


async def _original_answer(handler: BaseHandler, request: HttpRequest) -> HttpResponseBase:
    response: HttpResponseBase = await _originals["get_response_async"](handler, request)
    return response


async def _answer_handled(
    handler: BaseHandler, request: HttpRequest, served: ServedRequest
) -> HttpResponseBase:
    """Below ``handle``, which begins and ends the span."""
    served.belongs_to(request)
    response = await _original_answer(handler, request)
    try:
        served.answered(response)
    except Exception:
        guard.caught("http_server.answer")
    return response


async def _answer_alone(
    handler: BaseHandler, request: HttpRequest, tracing: RequestTracing
) -> HttpResponseBase:
    """Without ``handle``: the asynchronous test client, other servers' own handlers."""
    from otel_django.instrumentation.http_server import begin, serving

    served = begin(tracing, request)
    if served is None:
        return await _original_answer(handler, request)
    with serving(served) as answered:
        response = await _original_answer(handler, request)
        answered(response)
    return response


def _begin(tracing: RequestTracing, scope: Mapping[str, Any]) -> ServedRequest | None:
    try:
        environ = _environ(scope, tracing.inbound.reads_any_header)
        path = scope["path"]
        root = scope.get("root_path") or ""
        served: ServedRequest | None
        if tracing.is_excluded(environ, path.removeprefix(root)):
            served = tracing.begin_excluded(environ, scope["method"])
        else:
            served = tracing.begin(environ, scope["method"], path)
        if served is not None:
            served.scope = scope
        return served
    except Exception:
        guard.caught("http_server.begin")
        return None


def _environ(scope: Mapping[str, Any], every_header: bool) -> dict[str, Any]:
    """The part of an ASGI scope that matters before Django has parsed it, in WSGI's names."""
    environ: dict[str, Any] = {"wsgi.url_scheme": scope.get("scheme") or "http"}
    client = scope.get("client")
    if client:
        environ["REMOTE_ADDR"] = client[0]
    wanted = _wanted
    for name, value in scope.get("headers", ()):
        key = wanted.get(name)
        if key is None and every_header:
            key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
        if key is not None:
            text = value.decode("latin-1")
            environ[key] = f"{environ[key]},{text}" if key in environ else text
    return environ
