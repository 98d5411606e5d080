"""Probes and scrapes, answered in front of the site's middleware.

A balancer or a scraper asks by the pod's address, over plain HTTP, and when the database is away.
ALLOWED_HOSTS, SECURE_SSL_REDIRECT, a login that is required everywhere and the like would each
refuse it. So views registered here are asked before the first middleware runs; where they answer
None, or with a ``Fallback``, the request goes its usual way, which ends at the same view.

Only paths without parameters are answered so, and only those that the site's own URLconf gives to
exactly that view: one that is wrapped in something (``login_required``) is left alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from asgiref.sync import sync_to_async
from django.core.handlers.base import BaseHandler
from django.core.signals import setting_changed

from otel_django import guard, host_environment
from otel_django.instrumentation import http_exclusion

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse
    from django.urls import ResolverMatch


class Fallback(NamedTuple):
    """The request goes its usual way; unless a ``final`` response comes back, this one is sent."""

    response: HttpResponse


Early: TypeAlias = "HttpResponse | Fallback | None"
Answerer = Callable[["HttpRequest"], Early]
AsyncAnswerer = Callable[["HttpRequest"], Awaitable[Early]]


class _Answerers(NamedTuple):
    answer: Answerer
    answer_async: AsyncAnswerer
    prepare: Callable[[], object] | None


class _Place(NamedTuple):
    answerers: _Answerers
    match: ResolverMatch


class _EveryDatabase(frozenset[str]):
    def __contains__(self, alias: object) -> bool:
        return True


_answerers: dict[object, _Answerers] = {}
_places: dict[str, _Place] | None = None
_load_middleware = BaseHandler.load_middleware


def answers_early(
    view: object,
    answer: Answerer,
    answer_async: AsyncAnswerer | None = None,
    prepare: Callable[[], object] | None = None,
) -> None:
    """Register a view, a function or a class, and what answers its requests before middleware.

    On ASGI ``answer_async`` does; without it ``answer``, on another thread. ``prepare`` is called
    once in a server that has the view, before it serves.
    """
    in_thread = sync_to_async(answer, thread_sensitive=False)
    _answerers[view] = _Answerers(answer, answer_async or in_thread, prepare)
    unburden(view)


def unburden(view: object) -> None:
    """Have Django call a view without a transaction, without a login and for every method."""
    marked: Any = getattr(view, "dispatch", view)
    marked._non_atomic_requests = _EveryDatabase()
    marked.login_required = False
    marked.csrf_exempt = True


def final(response: HttpResponse) -> HttpResponse:
    """The response of a registered view: it is sent in place of its ``Fallback``."""
    response._otel_django_final = True  # type: ignore[attr-defined]
    return response


def install() -> None:
    """Have handlers that are made from now on ask; a second call changes nothing."""
    BaseHandler.load_middleware = _loading  # type: ignore[method-assign]
    setting_changed.connect(_forget, dispatch_uid="otel_django.early")


def uninstall() -> None:
    """Leave handlers that will be made alone."""
    if BaseHandler.load_middleware is _loading:
        BaseHandler.load_middleware = _load_middleware  # type: ignore[method-assign]
    setting_changed.disconnect(dispatch_uid="otel_django.early")
    _forget()


def _loading(self: BaseHandler, is_async: bool = False) -> None:
    _load_middleware(self, is_async)
    handler: Any = self
    chain = handler._middleware_chain
    handler._middleware_chain = _async_chain(chain) if is_async else _chain(chain)
    if host_environment.current_process().kind == "server":
        with guard.guarded("early.prepare"):
            _prepare()


def _prepare() -> None:
    """So that the first probe is answered in time, too: all that has to be loaded for it is.

    A URLconf that queries the database leaves no connection that a forked worker would inherit.
    """
    from django.db import connections

    before = _open_connections(connections)
    places = _found()
    for each in _open_connections(connections):
        if each not in before:
            each.close()
    prepares = (place.answerers.prepare for place in places.values())
    for prepare in dict.fromkeys(each for each in prepares if each is not None):
        prepare()


def _open_connections(connections: Any) -> list[Any]:
    return [each for each in connections.all(initialized_only=True) if each.connection is not None]


def _chain(chain: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    def answer(request: HttpRequest) -> Any:
        place = _place(request)
        if place is None:
            return chain(request)
        try:
            early = place.answerers.answer(request)
        except Exception:
            guard.caught("early")
            early = None
        if isinstance(early, Fallback):
            return _chosen(chain(request), early, request, place)
        return chain(request) if early is None else _answered(early, request, place)

    return answer


def _async_chain(chain: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    async def first_early(request: HttpRequest, place: _Place) -> Any:
        try:
            early = await place.answerers.answer_async(request)
        except Exception:
            guard.caught("early")
            early = None
        if isinstance(early, Fallback):
            return _chosen(await chain(request), early, request, place)
        return await chain(request) if early is None else _answered(early, request, place)

    def answer(request: HttpRequest) -> Any:
        place = _place(request)
        return chain(request) if place is None else first_early(request, place)

    return answer


def _place(request: HttpRequest) -> _Place | None:
    places = _places
    if places is not None:
        return places.get(request.path_info)
    place = _found().get(request.path_info)
    if place is not None:
        with guard.guarded("early"):
            http_exclusion.exclude(request)
    return place


def _chosen(response: Any, fallback: Fallback, request: HttpRequest, place: _Place) -> Any:
    if getattr(response, "_otel_django_final", False):
        return response
    return _answered(fallback.response, request, place)


def _answered(response: HttpResponse, request: HttpRequest, place: _Place) -> HttpResponse:
    request.resolver_match = place.match
    return response


def _found() -> dict[str, _Place]:
    """The paths of registered views, looked up once; a URLconf that fails is left to Django."""
    global _places
    if _places is None:
        from django.urls import get_resolver

        try:
            _places = dict(_walk(get_resolver(), "/"))
        except Exception:
            return {}
        http_exclusion.learn_probe_paths(_places)
    return _places


def _walk(resolver: Any, prefix: str) -> Iterator[tuple[str, _Place]]:
    from django.urls import Resolver404, URLPattern, resolve

    for pattern in resolver.url_patterns:
        if not _is_literal(pattern.pattern):
            continue
        path = f"{prefix}{pattern.pattern}"
        if not isinstance(pattern, URLPattern):
            yield from _walk(pattern, path)
            continue
        answerers = _registered(pattern.callback)
        if answerers is None:
            continue
        try:
            match = resolve(path)
        except Resolver404:
            continue
        if match.func is pattern.callback:  # else another of the site's views comes first
            yield path, _Place(answerers, match)


def _is_literal(pattern: Any) -> bool:
    from django.urls.resolvers import RoutePattern

    return isinstance(pattern, RoutePattern) and not pattern.converters


def _registered(view: Any) -> _Answerers | None:
    if hasattr(view, "__wrapped__"):
        return None
    return _answerers.get(getattr(view, "view_class", view))


def _forget(**kwargs: Any) -> None:
    global _places
    _places = None
    http_exclusion.learn_probe_paths(())
