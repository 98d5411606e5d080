"""Alertmanager, as pages and decisions see it: asked at most for the time-out, and seldom in vain.

What it couldn't be told now ``run_monitoring`` tells later.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from django.db import transaction

from otel_django import guard
from otel_django.alerts import alertmanager_sync
from otel_django.alerts.alertmanager import Alertmanager, AlertmanagerError
from otel_django.alerts.alertmanager_wishes import mark_in, row_of, without_mark
from otel_django.web.site_settings import site_settings

if TYPE_CHECKING:
    from otel_django.alerts.alertmanager import HeldSilence
    from otel_django.conf import Settings

KNOWN_S: Final = 5.0
"""For how long its silences are taken for what they were."""
AWAY_S: Final = 10.0
"""How long nobody asks after it couldn't be reached."""
REFUSED_S: Final = 30.0
"""For how long it is said why it refused something."""
NOT_SET: Final = (
    "Alertmanager isn't told of what is decided here: OTEL_DJANGO_ALERTMANAGER_URL isn't set"
)
LATER: Final = "what is decided here is kept, and run_monitoring tells it later"


class Seen(NamedTuple):
    """What it has.

    ``others`` are the silences that were made there, ``ours`` the kind and id of the rows that it
    knows of; None: nobody knows. ``problem`` says why it isn't as it should be.
    """

    others: tuple[HeldSilence, ...] = ()
    ours: frozenset[tuple[str, int]] | None = None
    problem: str = ""


class _Known(NamedTuple):
    until_s: float
    url: str
    seen: Seen
    is_away: bool = False


class _Refused(NamedTuple):
    until_s: float
    reason: str


_NOTHING: Final = _Known(0.0, "", Seen())
_known = _NOTHING
_refused: _Refused | None = None


def forget() -> None:
    """Ask anew."""
    global _refused
    _keep(_NOTHING)
    _refused = None


def look(settings: Settings) -> Seen:
    """What it has, where Prometheus evaluates."""
    if settings.alerts_evaluator != "prometheus":
        return Seen()
    if not settings.alertmanager_url:
        return Seen(problem=NOT_SET)
    if not _is_known(settings):
        _ask(settings)
    seen = _known.seen
    if _refused is not None and not seen.problem and time.monotonic() < _refused.until_s:
        return seen._replace(problem=_refused.reason)
    return seen


def decided(database: str) -> None:
    """Tell it of what was decided, once that is kept."""
    settings = site_settings()
    if settings.alerts_evaluator == "prometheus" and settings.alertmanager_url:
        settings = replace(settings, database=database)
        transaction.on_commit(lambda: _tell(settings), using=database)


def _tell(settings: Settings) -> None:
    global _refused
    if _is_known(settings) and _known.is_away:
        return
    with guard.guarded("alertmanager.tell"):
        server = Alertmanager(settings)
        try:
            refused = alertmanager_sync.tell(settings, server, time.time_ns() // 1_000_000)
        except AlertmanagerError as error:
            _is_away(settings, error)
        else:
            _keep(_NOTHING)
            _refused = _Refused(_soon(REFUSED_S), refused[0]) if refused else None


def _ask(settings: Settings) -> None:
    try:
        held = Alertmanager(settings).silences()
    except AlertmanagerError as error:
        _is_away(settings, error)
        return
    living = [one for one in held if one.state != "expired"]
    ours = frozenset(row_of(mark) for one in living if (mark := mark_in(one.comment)))
    others = tuple(
        one._replace(comment=without_mark(one.comment))
        for one in living
        if not mark_in(one.comment)
    )
    _keep(_Known(_soon(KNOWN_S), settings.alertmanager_url, Seen(others, ours)))


def _is_away(settings: Settings, error: AlertmanagerError) -> None:
    seen = Seen(problem=f"{error}; {LATER}")
    _keep(_Known(_soon(AWAY_S), settings.alertmanager_url, seen, is_away=True))


def _is_known(settings: Settings) -> bool:
    return _known.url == settings.alertmanager_url and time.monotonic() < _known.until_s


def _soon(seconds: float) -> float:
    return time.monotonic() + seconds


def _keep(known: _Known) -> None:
    global _known
    _known = known
