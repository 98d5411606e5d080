"""What people decided about groups of errors, in the site's database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db.utils import Error
from django.utils.connection import ConnectionDoesNotExist

from otel_django.errors import OtelDjangoError

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from otel_django.models import ErrorGroupState

State: TypeAlias = Literal["open", "resolved", "ignored"]
Shown: TypeAlias = Literal["open", "resolved", "ignored", "back"]
STATES: Final[tuple[State, ...]] = ("open", "resolved", "ignored")
_MS: Final = 1_000_000
_LONGEST_NAME: Final = 150
_LONGEST_RELEASE: Final = 200


class StatesAwayError(OtelDjangoError):
    """The table can't be used; the text says what to do, and holds no secrets."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Who decided what when; ``release`` was the newest one that had been seen in the group."""

    state: State
    by: str
    at_ns: int
    release: str

    def shown(self, last_ns: int) -> Shown:
        """``back``: resolved, and seen since (``last_ns``)."""
        return "back" if self.state == "resolved" and last_ns > self.at_ns else self.state


def decisions(database: str, fingerprints: Iterable[str]) -> Mapping[str, Decision]:
    """What is known of some groups, by fingerprint; the others are open.

    Raises:
        StatesAwayError: the table isn't there, or its database isn't.
    """
    try:
        rows = _table(database).filter(fingerprint__in=list(fingerprints))
        return {
            row.fingerprint: Decision(
                cast("State", row.state), row.by, row.at_ms * _MS, row.release
            )
            for row in rows
        }
    except (Error, ImproperlyConfigured, ConnectionDoesNotExist) as error:
        raise _away(database, error) from error


def decide(database: str, fingerprint: str, decision: Decision) -> None:
    """Keep a decision in place of the one before.

    Raises:
        StatesAwayError: the table isn't there, or its database isn't.
    """
    try:
        _table(database).update_or_create(
            fingerprint=fingerprint,
            defaults={
                "state": decision.state,
                "by": decision.by[:_LONGEST_NAME],
                "at_ms": decision.at_ns // _MS,
                "release": decision.release[:_LONGEST_RELEASE],
            },
        )
    except (Error, ImproperlyConfigured, ConnectionDoesNotExist) as error:
        raise _away(database, error) from error


def _table(database: str) -> QuerySet[ErrorGroupState]:
    if not apps.is_installed("otel_django"):
        raise StatesAwayError(
            "A Django project keeps that in its database, with otel_django in INSTALLED_APPS."
        )
    from otel_django.models import ErrorGroupState

    rows: QuerySet[ErrorGroupState] = ErrorGroupState._base_manager.using(database)
    return rows


def _away(database: str, error: Exception) -> StatesAwayError:
    """Its own text may hold a password."""
    return StatesAwayError(
        f"The table for it, in the database {database!r}, can't be used"
        f" ({type(error).__name__}); `manage.py migrate otel_django` makes it."
    )
