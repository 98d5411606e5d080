"""The part of a cache key that says what kind of thing is cached, never which one."""

from __future__ import annotations

import re
from typing import Any, Final

MAX_PREFIX_CHARACTERS: Final = 64

DJANGO_KEYS: Final = (
    "django.contrib.sessions.cached_db",
    "django.contrib.sessions.cache",
    "views.decorators.cache.cache_page",
    "views.decorators.cache.cache_header",
    "template.cache",
)
"""Django's own keys, in which a session's key follows without a mark between."""
_PARTS = re.compile(r"[A-Za-z0-9]+|[_.\-/]")
_ALLOWED = re.compile(r"[A-Za-z0-9_.\-/]*\Z")


def key_prefix(key: Any) -> str | None:
    """What stands before the first ``:`` or the first part with a digit; None if nothing does.

    ``user:42`` and ``user_42`` give ``user``. A key without either mark may be a value as a whole
    (a token, a name), so it gives nothing. Django's version and KEY_PREFIX aren't in it, since it
    is the key as the caller wrote it.
    """
    if not isinstance(key, str):
        return None
    for known in DJANGO_KEYS:
        if key.startswith(known):
            return known
    head, colon, _ = key[: 4 * MAX_PREFIX_CHARACTERS].partition(":")
    if not _ALLOWED.match(head):
        return None
    prefix = _before_digits(head)
    if not colon and len(prefix) == len(head):
        return None
    return prefix.rstrip("_.-/")[:MAX_PREFIX_CHARACTERS] or None


def _before_digits(head: str) -> str:
    for part in _PARTS.finditer(head):
        if not part.group().isalpha() and part.group().isalnum():
            return head[: part.start()]
    return head
