"""What the site's database has of alerts, as endpoints, pages and the admin show it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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
AWAY_TTL_S: Final = 30.0
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


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


# --- alerts


def active(database: str, limit: int = MOST) -> list[SystemAlert]:
    """Those that fire or are about to: critical ones first, then the newest."""
    with tables(database):
        from otel_django.models import SystemAlert

        rows = SystemAlert._base_manager.using(database).filter(resolved=False)
        found = list(rows.order_by("-created_at", "-id")[:limit])
    return sorted(found, key=lambda one: (one.state != "firing", one.severity != "critical"))


def history(
    database: str, since_ms: int = 0, until_ms: int | None = None, limit: int = MOST
) -> list[SystemAlert]:
    """Those that are over and ended in that time; the latest first."""
    ended = Q(resolved_ms__gte=since_ms)
    if until_ms is not None:
        ended &= Q(resolved_ms__lte=until_ms)
    with tables(database):
        from otel_django.models import SystemAlert

        rows = SystemAlert._base_manager.using(database).filter(ended, resolved=True)
        return list(rows.order_by("-resolved_ms", "-id")[:limit])


def occurrences(database: str, fingerprint: str, limit: int = 20) -> list[SystemAlert]:
    """All times that one alert came, the newest first."""
    with tables(database):
        from otel_django.models import SystemAlert

        rows = SystemAlert._base_manager.using(database).filter(fingerprint=fingerprint)
        return list(rows.order_by("-since_ms")[:limit])


def count_active(database: str) -> int:
    """How many fire, by a look at most every few seconds; 0 where nobody knows."""
    until_s, number = _counted.get(database, (0.0, 0))
    if time.monotonic() >= until_s:
        found = _count(database)
        number = found or 0
        ttl_s = AWAY_TTL_S if found is None else COUNT_TTL_S
        _counted[database] = (time.monotonic() + ttl_s, number)
    return number


_counted: dict[str, tuple[float, int]] = {}


def count_anew() -> None:
    """Something was changed here."""
    _counted.clear()


def _count(database: str) -> int | None:
    try:
        with tables(database):
            from otel_django.models import SystemAlert

            rows = SystemAlert._base_manager.using(database)
            return int(rows.filter(resolved=False, state="firing").count())
    except AlertsAwayError:
        return None


# --- what else there is of one


def events(
    database: str,
    fingerprint: str = "",
    rule: str = "",
    kinds: Sequence[str] = (),
    limit: int = MOST_EVENTS,
) -> list[AlertEvent]:
    """Who did what, the latest first: of one alert, one rule, some kinds, or all."""
    given = {"fingerprint": fingerprint, "alert_type": rule, "kind__in": kinds}
    wanted = {key: value for key, value in given.items() if value}
    with tables(database):
        from otel_django.models import AlertEvent

        rows = AlertEvent._base_manager.using(database).filter(**wanted)
        return list(rows.order_by("-at_ms", "-id")[:limit])


def notifications(database: str, fingerprint: str, limit: int = 20) -> list[AlertNotification]:
    """Those that tell of one alert, the latest first, each with its attempts."""
    with tables(database):
        from otel_django.models import AlertNotification

        rows = AlertNotification._base_manager.using(database)
        found = rows.filter(fingerprints__contains=f" {fingerprint} ").prefetch_related("tries")
        return list(found.order_by("-created_ms", "-id")[:limit])


def made_since(database: str, since_ms: int) -> list[dict[str, Any]]:
    """Notifications from then on: key, channel, kind, severity, state."""
    fields = ("key", "channel", "kind", "severity", "state")
    with tables(database):
        from otel_django.models import AlertNotification

        rows = AlertNotification._base_manager.using(database).filter(created_ms__gte=since_ms)
        return list(rows.order_by("id").values(*fields)[:MOST])


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


def silences(database: str, now_ms: int, limit: int = MOST) -> list[Quiet]:
    """Those that hold now or will, the next to end first."""
    with tables(database):
        from otel_django.alerts.keeping import rows as kept
        from otel_django.models import AlertSilence

        rows = AlertSilence._base_manager.using(database).order_by("ends_at", "id")
        found = rows.filter(ends_at__gt=kept.stored_time(now_ms))[:limit]
        return list(_readable(found, kept.silence_of))


def maintenance(database: str, now_ms: int, limit: int = MOST) -> list[Quiet]:
    """The windows that will come (again), or hold now."""
    with tables(database):
        from otel_django.alerts.keeping import rows as kept
        from otel_django.models import AlertMaintenance

        rows = AlertMaintenance._base_manager.using(database).order_by("starts_at", "id")
        coming = Q(ends_at__gt=kept.stored_time(now_ms)) | Q(every__gt=0)
        found = rows.filter(coming, enabled=True)[:limit]
        return list(_readable(found, kept.maintenance_of))


def _readable(rows: Iterable[Any], meaning: Callable[[Any], Silence]) -> Iterator[Quiet]:
    """What can't be read silences nothing."""
    for row in rows:
        with suppress(ValueError):
            yield Quiet(row, meaning(row))


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
