"""Where somebody logs in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from django.conf import settings
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, Resolver404, resolve, reverse

from otel_django.web import csrf
from otel_django.web.permissions import is_staff, user_of

if TYPE_CHECKING:
    from django.http import HttpRequest


def login_address(request: HttpRequest) -> str | None:
    """The admin's login or ``LOGIN_URL``, with the way back; None where there is none.

    None, too, for somebody who is logged in: it would only send them round and round.
    """
    if user_of(request) is not None:
        return None
    address = _login()
    return address and f"{address}?{urlencode({'next': request.get_full_path()})}"


class Person(NamedTuple):
    """Who is logged in; ``admin`` and ``logout`` are empty where there are none."""

    name: str
    admin: str
    logout: str
    csrf_token: str


def person(request: HttpRequest) -> Person | None:
    """Who looks at the page; None for a program, and for somebody who isn't known."""
    user = user_of(request)
    if user is None:
        return None
    return Person(
        str(user.get_username()),
        _address("admin:index") if is_staff(request) else "",
        _address("admin:logout") or _address("logout"),
        csrf.token(request),
    )


def _address(name: str) -> str:
    try:
        return str(reverse(name))
    except NoReverseMatch:
        return ""


def _login() -> str | None:
    admin = _address("admin:login")
    if admin:
        return admin
    try:
        address: str = resolve_url(settings.LOGIN_URL)
        resolve(address.partition("?")[0])
    except (NoReverseMatch, Resolver404):
        return None
    return address
