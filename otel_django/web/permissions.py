"""Who may read what this package knows of a site, and change something of it."""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Any, Final

from otel_django.web.access import Access

if TYPE_CHECKING:
    from django.http import HttpRequest

    from otel_django.conf import Settings
    from otel_django.web.access import Verdict

MACHINE: Final = "machine"
"""Nobody in particular: in DEBUG, a program on this machine."""


def may_read(request: HttpRequest, settings: Settings) -> Verdict:
    """Staff may, and who has a token; in DEBUG also a program on this machine.

    That one asks from loopback, by a loopback name and for nobody else (no forwarding header).
    Where the database that knows the staff is away, nobody is staff.
    """
    verdict = _access(settings).verdict(request.META)
    return "allowed" if verdict != "allowed" and is_staff(request) else verdict


def has_token(request: HttpRequest, settings: Settings) -> bool:
    """Whether one of ``OTEL_DJANGO_TOKENS`` came as a Bearer token."""
    return _access(settings).has_token(request.META)


def may_be_logged_in(request: HttpRequest) -> bool:
    """Whether the site's middleware may know who asks; it hasn't been asked yet."""
    meta = request.META
    scheme = meta.get("HTTP_AUTHORIZATION", "").strip().partition(" ")[0].lower()
    return bool(meta.get("HTTP_COOKIE") or meta.get("REMOTE_USER")) or scheme not in ("", "bearer")


def is_staff(request: HttpRequest) -> bool:
    """An active member of the staff is logged in."""
    user = user_of(request)
    return bool(getattr(user, "is_staff", False))


def has_permission(request: HttpRequest, permission: str) -> bool:
    """An active member of the staff with ``permission`` ("app.codename") is logged in."""
    try:
        return is_staff(request) and bool(user_of(request).has_perm(permission))
    except Exception:  # the database that would tell is away
        return False


def user_of(request: HttpRequest) -> Any:
    """The active user who is logged in; None, too, where the database that would tell is away."""
    try:
        user: Any = getattr(request, "user", None)
        return user if user is not None and user.is_authenticated and user.is_active else None
    except Exception:
        return None


def asker(request: HttpRequest, settings: Settings) -> str:
    """Whose rate a request counts for: a token's, a user's, or the machine's."""
    if has_token(request, settings):
        token = request.META["HTTP_AUTHORIZATION"].strip().partition(" ")[2].strip()
        return f"token {hashlib.sha256(token.encode('utf-8', 'surrogateescape')).hexdigest()}"
    user = user_of(request)
    return MACHINE if user is None else f"user {user.pk}"


@functools.lru_cache(maxsize=2)
def _access(settings: Settings) -> Access:
    return Access(settings.tokens, "loopback" if settings.debug else "none", settings.trust_inbound)
