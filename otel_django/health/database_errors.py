"""What it means that a database refused a statement."""

from __future__ import annotations

from typing import Final

from otel_django.health.failure_words import in_words
from otel_django.health.results import CheckError

_POSTGRESQL: Final = "42P01"
_MYSQL: Final = 1146
_SQLITE: Final = "no such table"


class UnknownTableError(CheckError):
    """There is no such table."""


def refused(error: BaseException, sqlstate: str | None = None) -> CheckError:
    """What to raise for it; ``sqlstate`` where the driver says it apart."""
    if sqlstate == _POSTGRESQL or error.args[:1] == (_MYSQL,) or str(error).startswith(_SQLITE):
        return UnknownTableError("Its table isn't there.")
    return CheckError(in_words(error))
