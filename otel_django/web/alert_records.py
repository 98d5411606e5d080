"""What the site's database has of alerts, as endpoints, pages and the admin show it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Q
from django.db.utils import Error
from django.utils.connection import ConnectionDoesNotExist

from otel_django.alerts.expressions import Match
from otel_django.alerts.muting import Silence, matches
from otel_django.alerts.state import ALERT_NAME, SEVERITY
from otel_django.errors import ReadError

if TYPE_CHECKING:
    from datetime import datetime

    from otel_django.models import (
        AlertEvent,
        AlertMaintenance,
        AlertNotification,
        AlertSilence,
        SystemAlert,
    )

MOST: Final = 500
MOST_EVENTS: Final = 100
COUNT_TTL_S: Final = 5.0
EVERYTHING: Final = Match(ALERT_NAME, "=~", ".+")


class AlertsAwayError(ReadError):
    """The tables can't be used; the text says what to do, and holds no secrets."""


@contextmanager
def tables(database: str) -> Iterator[None]:
    """Faults of the database become AlertsAwayError within."""
    if not apps.is_installed("otel_django"):
        raise AlertsAwayError(
            "a Django project keeps alerts in its database, with otel_django in INSTALLED_APPS"
        )
    try:
        yield
    except (Error, ImproperlyConfigured, ConnectionDoesNotExist) as error:
        raise AlertsAwayError(
            f"the tables of alerts, in the database {database!r}, can't be used"
            f" ({type(error).__name__}); `manage.py migrate otel_django` makes them"
        ) from error


def labels_of(alert: SystemAlert) -> dict[str, str]:
    """Those of an alert but its name and severity."""
    found = _json(alert.labels)
    return {str(key): str(value) for key, value in found.items()} if found else {}


def all_labels(alert: SystemAlert) -> dict[str, str]:
    """All that silences can ask for."""
    named = {ALERT_NAME: alert.alert_type, SEVERITY: alert.severity}
    return {**labels_of(alert), **named}


def storable(text: str, longest: int) -> str:
    """As every database takes it: no half characters, no zeros, and not too long."""
    whole = text[:longest].encode("utf-8", "replace").decode("utf-8")
    return whole.replace("\0", "\ufffd")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def milliseconds(moment: datetime) -> int:
    """Since the epoch."""
    return round(moment.timestamp() * 1000)


# --- alerts


def active(database: str, limit: int = MOST) -> list[SystemAlert]:
    """Those that fire or are about to: critical ones first, then the newest."""
    from otel_django.models import SystemAlert

    with tables(database):
        rows = SystemAlert._base_manager.using(database).filter(resolved=False)
        found = list(rows.order_by("-created_at", "-id")[:limit])
    return sorted(found, key=lambda one: (one.state != "firing", one.severity != "critical"))


def history(
    database: str, since_ms: int = 0, until_ms: int | None = None, limit: int = MOST
) -> list[SystemAlert]:
    """Those that are over and ended in that time; the latest first."""
    from otel_django.models import SystemAlert

    ended = Q(resolved_ms__gte=since_ms)
    if until_ms is not None:
        ended &= Q(resolved_ms__lte=until_ms)
    with tables(database):
        rows = SystemAlert._base_manager.using(database).filter(ended, resolved=True)
        return list(rows.order_by("-resolved_ms", "-id")[:limit])


def occurrences(database: str, fingerprint: str, limit: int = 20) -> list[SystemAlert]:
    """All times that one alert came, the newest first."""
    from otel_django.models import SystemAlert

    with tables(database):
        rows = SystemAlert._base_manager.using(database).filter(fingerprint=fingerprint)
        return list(rows.order_by("-since_ms")[:limit])


def count_active(database: str) -> int:
    """How many fire, by a look at most every few seconds; 0 where nobody knows."""
    now_s = time.monotonic()
    known = _counted.get(database)
    if known is None or now_s - known[0] > COUNT_TTL_S:
        known = (now_s, _count(database))
        _counted[database] = known
    return known[1]


_counted: dict[str, tuple[float, int]] = {}


def count_anew() -> None:
    """Something was changed here."""
    _counted.clear()


def _count(database: str) -> int:
    from otel_django.models import SystemAlert

    try:
        with tables(database):
            rows = SystemAlert._base_manager.using(database)
            return int(rows.filter(resolved=False, state="firing").count())
    except AlertsAwayError:
        return 0


# --- what else there is of one


def events(
    database: str, fingerprint: str = "", rule: str = "", limit: int = MOST_EVENTS
) -> list[AlertEvent]:
    """Who did what, the latest first: of one alert, one rule, or all."""
    from otel_django.models import AlertEvent

    given = {"fingerprint": fingerprint, "alert_type": rule}
    wanted = {key: value for key, value in given.items() if value}
    with tables(database):
        rows = AlertEvent._base_manager.using(database).filter(**wanted)
        return list(rows.order_by("-at_ms", "-id")[:limit])


def notifications(database: str, fingerprint: str, limit: int = 20) -> list[AlertNotification]:
    """Those that tell of one alert, the latest first, each with its attempts."""
    from otel_django.models import AlertNotification

    with tables(database):
        rows = AlertNotification._base_manager.using(database)
        found = rows.filter(fingerprints__contains=f" {fingerprint} ").prefetch_related("tries")
        return list(found.order_by("-created_ms", "-id")[:limit])


# --- silences and maintenance


@dataclass(frozen=True, slots=True)
class Quiet:
    """A silence or a maintenance window: its row, and what it means."""

    row: AlertSilence | AlertMaintenance
    silence: Silence

    @property
    def is_maintenance(self) -> bool:
        """Whether it was planned."""
        return hasattr(self.row, "every")

    def until_ms(self, now_ms: int) -> int:
        """When it ends, of one that holds now; what is repeated ends for this time."""
        one = self.silence
        rounds = max(0, now_ms - one.since_ms) // one.every_ms if one.every_ms > 0 else 0
        return one.until_ms + rounds * one.every_ms


def matchers_of(text: str) -> tuple[Match, ...]:
    """Those of a row; what can't be read matches nothing."""
    found = _json(text)
    try:
        return tuple(Match(key, operator, value) for key, operator, value in found or ())
    except (TypeError, ValueError):
        return ()


def silences(database: str, now_ms: int, limit: int = MOST) -> list[Quiet]:
    """Those that hold now or will, the next to end first."""
    from otel_django.models import AlertSilence

    with tables(database):
        rows = AlertSilence._base_manager.using(database).order_by("ends_at", "id")
        found = list(rows.filter(ends_at__gt=_moment(now_ms))[:limit])
    return [Quiet(row, _silence(row, matchers_of(row.matchers))) for row in found]


def maintenance(database: str, now_ms: int, limit: int = MOST) -> list[Quiet]:
    """The windows that will come (again), or hold now."""
    from otel_django.models import AlertMaintenance

    with tables(database):
        rows = AlertMaintenance._base_manager.using(database).order_by("starts_at", "id")
        coming = Q(ends_at__gt=_moment(now_ms)) | Q(every__gt=0)
        found = list(rows.filter(coming, enabled=True)[:limit])
    return [
        Quiet(row, _silence(row, matchers_of(row.matchers) or (EVERYTHING,), row.every))
        for row in found
    ]


def _silence(row: Any, matchers: tuple[Match, ...], every_s: int = 0) -> Silence:
    since_ms, until_ms = milliseconds(row.starts_at), milliseconds(row.ends_at)
    return Silence(matchers, since_ms, until_ms, row.by, row.comment, every_s * 1000)


def _moment(now_ms: int) -> datetime:
    from datetime import datetime, timezone

    return datetime.fromtimestamp(now_ms / 1000, timezone.utc)


def quiet_now(alert: SystemAlert, among: Iterable[Quiet], now_ms: int) -> Quiet | None:
    """What holds an alert back now; None: nothing does."""
    labels = all_labels(alert)
    for each in among:
        if each.silence.is_active(now_ms) and matches(each.silence.matchers, labels):
            return each
    return None


def held_back(alerts: Sequence[SystemAlert], database: str, now_ms: int) -> Mapping[int, Quiet]:
    """Of some alerts those that are silent now, by their row's id."""
    if not alerts:
        return {}
    among = [*silences(database, now_ms), *maintenance(database, now_ms)]
    found = {alert.pk: quiet_now(alert, among, now_ms) for alert in alerts}
    return {key: each for key, each in found.items() if each is not None}
