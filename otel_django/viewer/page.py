"""What all pages have in common: entry, errors that say what to do, the frame, headers."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from django.core.exceptions import SuspiciousOperation
from django.http import HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase

from otel_django import guard
from otel_django.backends.embedded_session import one_connection
from otel_django.clock import SYSTEM_CLOCK
from otel_django.errors import (
    ReadError,
    ReadTimeoutError,
    UnansweredError,
    UnknownPlaceError,
)
from otel_django.viewer.frame import frame
from otel_django.viewer.login import login_address
from otel_django.viewer.paths import path_of
from otel_django.viewer.readers import readers_of
from otel_django.viewer.templating import render
from otel_django.viewer.visit import Missing, NotDone, NothingKept, Visit
from otel_django.web import csrf
from otel_django.web.permissions import asker, is_staff, may_read
from otel_django.web.rate_limit import RateLimit
from otel_django.web.site_settings import site_settings

if TYPE_CHECKING:
    from django.http import HttpRequest

Context: TypeAlias = "Mapping[str, Any]"
Maker: TypeAlias = "Callable[..., Context | HttpResponseBase]"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
TEXT: Final = "text/plain; charset=utf-8"
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Vary": "Cookie, HX-Request",
}
MISTYPED: Final = "This address isn't whole, or the list it goes on with is no longer kept."
FORGED: Final = "The form was too old, or another site's: load its page again, then once more."
TOO_OFTEN: Final = "You asked for more pages than this site makes for one at a time. Wait a moment."
_rate = RateLimit(SYSTEM_CLOCK, most_at_once=300, a_minute=1200)
"""Pages that go on by themselves ask once a second in each tab: ten times that is let through."""


def page(
    name: str, title: str, change: Maker | None = None
) -> Callable[[Maker], Callable[..., HttpResponseBase]]:
    """A page: the function gives what its template ``NAME.html`` shows, or a whole response.

    ``name`` is the page's in ``paths.PATHS`` and in the navigation. ``change`` answers POST, which
    only staff may, with the CSRF token of a form of ours.
    """

    def decorate(make: Maker) -> Callable[..., HttpResponseBase]:
        @functools.wraps(make)
        def view(request: HttpRequest, **named: Any) -> HttpResponseBase:
            methods = {"GET": make, "HEAD": make, **({"POST": change} if change else {})}
            with one_connection():
                response = _respond(request, name, title, methods, named)
            for header, value in HEADERS.items():
                response.headers.setdefault(header, value)
            return response

        view.__name__ = view.__qualname__ = name
        return view

    return decorate


def _respond(
    request: HttpRequest,
    name: str,
    title: str,
    methods: Mapping[str, Maker],
    named: Mapping[str, Any],
) -> HttpResponseBase:
    settings = site_settings()
    make = methods.get(request.method or "")
    if make is None:
        return HttpResponse(status=405, headers={"Allow": ", ".join(methods)})
    changes = request.method == "POST"
    may = is_staff(request) if changes else may_read(request, settings) == "allowed"
    if not may or not settings.viewer:
        return _refused(request)
    try:
        request.GET  # noqa: B018 - read now, so that all that follows can rely on it
    except SuspiciousOperation:
        return HttpResponse("The address can't be read.\n", status=400, content_type=TEXT)
    visit = Visit(
        request=request,
        settings=settings,
        page=name,
        base=_base(request, name, named),
        now_ns=SYSTEM_CLOCK.now_ns(),
        found=readers_of(settings),
    )
    wait_s = _rate.wait_s(asker(request, settings))
    if wait_s:
        return _too_often(visit, math.ceil(wait_s))
    if changes and csrf.is_forged(request):
        return _trouble(visit, 403, "Nothing was changed", FORGED)
    return _made(visit, title, make, named)


def _made(visit: Visit, title: str, make: Maker, named: Mapping[str, Any]) -> HttpResponseBase:
    """The page, or what there is in its place."""
    name = visit.page
    try:
        made = make(visit, **named)
        if isinstance(made, HttpResponseBase):
            return made
        return _shown(visit, title, f"{name}.html", made)
    except Missing as missing:
        return _trouble(visit, 404, "Not here", str(missing))
    except NotDone as error:
        if error.shown is not None:
            return _shown(visit, title, f"{name}.html", error.shown, error.status)
        return _trouble(visit, error.status, "Nothing was changed", str(error))
    except NothingKept:
        return _shown(visit, title, "nothing_kept.html", {})
    except UnansweredError as error:
        return _trouble(visit, 404, "Not known here", str(error))
    except ReadError as error:
        return _unread(visit, error)
    except Exception:
        guard.caught(f"viewer.{name}")
        text = "This page could not be made. The site's log says more."
        return _trouble(visit, 500, "Something is wrong here", text)


def _shown(
    visit: Visit, title: str, template: str, context: Context, status: int = 200
) -> HttpResponse:
    whole = {**frame(visit), "title": title, **context, "visit": visit}
    return HttpResponse(render(template, whole), status=status)


def _trouble(visit: Visit, status: int, what: str, why: str, shorter: str = "") -> HttpResponse:
    """``shorter`` is the address of less of the same."""
    context = {"what": what, "why": why, "shorter": shorter}
    return _shown(visit, what, "trouble.html", context, status)


def _too_often(visit: Visit, wait_s: int) -> HttpResponse:
    """Nothing is read for it, and a script is only told when to come back."""
    if visit.request.META.get("HTTP_HX_REQUEST") is None:
        response = _trouble(replace(visit, found=None), 429, "Too many requests", TOO_OFTEN)
    else:
        response = HttpResponse(f"{TOO_OFTEN}\n", status=429, content_type=TEXT)
    response.headers["Retry-After"] = str(wait_s)
    return response


def _unread(visit: Visit, error: ReadError) -> HttpResponse:
    if isinstance(error, UnknownPlaceError):
        return _trouble(visit, 404, "Not here", MISTYPED)
    why = str(error)[:1].upper() + str(error)[1:].rstrip(".") + "."
    if isinstance(error, ReadTimeoutError):
        return _trouble(visit, 503, "That took too long", why, visit.over("15m"))
    return _trouble(visit, 503, "It can't be read just now", why)


def _refused(request: HttpRequest) -> HttpResponse:
    """To the login, where there is one and nobody is logged in; a script is only told no."""
    address = login_address(request)
    if address and request.META.get("HTTP_HX_REQUEST") is None:
        return HttpResponseRedirect(address)
    text = "These pages are for staff of this site.\n"
    return HttpResponse(text, status=403, content_type=TEXT)


def _base(request: HttpRequest, name: str, named: Mapping[str, Any]) -> str:
    """The path below which the pages are, wherever the site has included them."""
    return request.path.removesuffix(path_of(name, *named.values()))
