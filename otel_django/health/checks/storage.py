"""Whether the default file storage takes a file, gives it back and deletes it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from otel_django.health.check import Registered
from otel_django.health.failure_words import in_words
from otel_django.health.results import CheckError

if TYPE_CHECKING:
    from otel_django.conf import Settings

SELDOM_S: Final = 60.0
"""At most so often: each call may be paid for."""


def checks(settings: Settings) -> Iterator[Registered]:
    """One check, unless files would be kept nowhere in particular."""
    yield Registered(
        "storage",
        run,
        groups=frozenset(),
        ttl_s=max(settings.health_ttl_s, SELDOM_S),
        is_possible=_is_used,
    )


def run() -> None:
    """Save a few bytes under a name nobody else has, read and delete them."""
    from django.core.files.base import ContentFile

    storage = _storage()
    content = secrets.token_hex(16).encode()
    wanted = f"otel_django-health-{secrets.token_hex(8)}.txt"
    name = wanted  # of what a failed attempt to save may have left
    try:
        with _told("save"):
            name = storage.save(wanted, ContentFile(content))
        with _told("read"), storage.open(name) as file:
            found = file.read()
    except CheckError:
        _delete_if_there(storage, name)
        raise
    with _told("delete"):
        storage.delete(name)
    if found != content:
        raise CheckError("A file was read back with another content.")


def _storage() -> Any:
    from django.core.files.storage import default_storage

    return default_storage


def _is_used() -> bool:
    """Without MEDIA_ROOT Django would write into the folder that the process was started in."""
    from django.core.files.storage import FileSystemStorage

    storage = _storage()
    try:
        return not isinstance(storage, FileSystemStorage) or bool(storage.base_location)
    except Exception:
        return True  # it can't be made: the check says so


@contextmanager
def _told(doing: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise CheckError(f"It can't {doing} a file. {in_words(error)}") from error


def _delete_if_there(storage: Any, name: str) -> None:
    try:
        storage.delete(name)
    except Exception:
        return  # what failed before is what is told
