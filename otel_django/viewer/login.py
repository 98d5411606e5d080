"""Where somebody logs in."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.conf import settings
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, Resolver404, resolve, reverse

from otel_django.web.permissions import user_of

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


def _login() -> str | None:
    try:
        return str(reverse("admin:login"))
    except NoReverseMatch:
        pass
    try:
        address: str = resolve_url(settings.LOGIN_URL)
        resolve(address.partition("?")[0])
    except (NoReverseMatch, Resolver404):
        return None
    return address
