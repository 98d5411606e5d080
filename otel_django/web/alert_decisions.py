"""What people decide about alerts. Each decision leaves an event: who, when, what."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from django.db import connections, transaction

from otel_django.alerts import patterns
from otel_django.alerts.expressions import Match
from otel_django.alerts.keeping.documents import matchers_of, matchers_text
from otel_django.errors import OtelDjangoError
from otel_django.web import alert_records, alertmanager_told
from otel_django.web.alert_records import all_labels, tables

if TYPE_CHECKING:
    from otel_django.models import AlertEvent, AlertMaintenance, AlertSilence, SystemAlert

ACKNOWLEDGE: Final = "otel_django.acknowledge_alerts"
SILENCE: Final = "otel_django.silence_alerts"
RESOLVE: Final = "otel_django.resolve_alerts"
MOST_MINUTES: Final = 90 * 24 * 60
LONGEST_NOTE: Final = 1000
LONGEST_MATCHER: Final = 500
MOST_MATCHERS: Final = 50
_LONGEST_NAME: Final = 150
_MATCHER: Final = re.compile(r'([\w.:/-]+)\s*(=~|!~|!=|=)\s*("?)(.*)\3', re.DOTALL)


class DecisionError(OtelDjangoError):
    """It can't be done; the text says why, to whoever asked."""


@dataclass(frozen=True, slots=True)
class Decider:
    """Who decides, when, and in which database that is kept."""

    database: str
    by: str
    now_ms: int

    @property
    def now(self) -> datetime:
        """As the database has times."""
        return self.after(0)

    def after(self, minutes: int) -> datetime:
        """So much later."""
        from otel_django.alerts.keeping.rows import stored_time

        return stored_time(self.now_ms + minutes * 60_000)

    @property
    def name(self) -> str:
        """As long as there is room for."""
        return self.storable(self.by, _LONGEST_NAME)

    def storable(self, text: str, longest: int) -> str:
        """As the database takes it."""
        from otel_django.alerts.keeping import rows

        return rows.storable(text, connections[self.database].vendor, longest)


@contextmanager
def _decided(decider: Decider) -> Iterator[None]:
    """All of it or nothing."""
    with tables(decider.database), transaction.atomic(using=decider.database):
        yield
        alertmanager_told.decided(decider.database)
    alert_records.count_anew()


def note(decider: Decider, kind: str, alerts: Iterable[SystemAlert], text: str = "") -> None:
    """An event for each of the alerts."""
    rows = [_event(decider, kind, one.fingerprint, one.alert_type, text) for one in alerts]
    _keep(decider, rows)


def note_of(decider: Decider, kind: str, rule: str = "", text: str = "") -> None:
    """An event that is of no one alert: a silence, a rule, a test."""
    with tables(decider.database):
        _keep(decider, [_event(decider, kind, "", rule, text)])


def _event(decider: Decider, kind: str, fingerprint: str, rule: str, text: str) -> AlertEvent:
    from otel_django.models import AlertEvent

    return AlertEvent(
        event_id=uuid.uuid4().hex,
        at_ms=decider.now_ms,
        kind=kind,
        by=decider.name,
        fingerprint=fingerprint,
        alert_type=decider.storable(rule, 100),
        text=decider.storable(text, LONGEST_NOTE),
    )


def _keep(decider: Decider, rows: Sequence[AlertEvent]) -> None:
    from otel_django.models import AlertEvent

    AlertEvent._base_manager.using(decider.database).bulk_create(rows, batch_size=500)


# --- alerts


def acknowledge(decider: Decider, alerts: Iterable[SystemAlert], text: str = "") -> int:
    """Somebody takes care of them; how many that was: only those that fire can be."""
    from otel_django.models import SystemAlert

    with _decided(decider):
        rows = SystemAlert._base_manager.using(decider.database).filter(
            pk__in=[one.pk for one in alerts], state="firing"
        )
        taken = list(rows.select_for_update())
        rows.update(
            acknowledged_by=decider.name,
            acknowledged_ms=decider.now_ms,
            acknowledged_note=decider.storable(text, LONGEST_NOTE),
        )
        note(decider, "acknowledged", taken, text)
    return len(taken)


def resolve(decider: Decider, alerts: Iterable[SystemAlert], text: str = "") -> int:
    """They are over, as somebody says; how many. What is still at fault fires anew."""
    from otel_django.models import SystemAlert

    with _decided(decider):
        found = SystemAlert._base_manager.using(decider.database).filter(
            pk__in=[one.pk for one in alerts], resolved=False
        )
        taken = list(found.select_for_update())
        for one in taken:
            one.state, one.resolved = "resolved", True
            one.resolved_ms = one.at_ms = decider.now_ms
            one.resolved_at, one.keep_ms = decider.now, None
        fields = ["state", "resolved", "resolved_ms", "at_ms", "resolved_at", "keep_ms"]
        rows = SystemAlert._base_manager.using(decider.database)
        rows.bulk_update(taken, fields, batch_size=100)
        note(decider, "resolved_by_hand", taken, text)
    return len(taken)


# --- silences


def silence_alert(
    decider: Decider, alert: SystemAlert, minutes: int, comment: str = ""
) -> AlertSilence:
    """This very alert is silent for some minutes."""
    matchers = tuple(Match(key, "=", value) for key, value in sorted(all_labels(alert).items()))
    return silence(decider, matchers, minutes, comment, alert)


def silence(
    decider: Decider,
    matchers: Sequence[Match],
    minutes: int,
    comment: str = "",
    alert: SystemAlert | None = None,
) -> AlertSilence:
    """Alerts that match are silent from now on, for some minutes."""
    from otel_django.models import AlertSilence

    if not 1 <= minutes <= MOST_MINUTES:
        raise DecisionError(f"A silence lasts from 1 to {MOST_MINUTES} minutes.")
    if not matchers:
        raise DecisionError("A silence of everything has to say so: alertname=~.+")
    text = f"for {minutes} minutes: {written(matchers)} {comment}".strip()
    with _decided(decider):
        made: AlertSilence = AlertSilence._base_manager.using(decider.database).create(
            matchers=matchers_text(tuple(matchers)),
            starts_at=decider.now,
            ends_at=decider.after(minutes),
            by=decider.name,
            comment=decider.storable(comment, LONGEST_NOTE),
        )
        if alert is None:
            note_of(decider, "silenced", text=text)
        else:
            note(decider, "silenced", [alert], text)
    return made


def end_silence(decider: Decider, pk: int) -> None:
    """It ends now."""
    from otel_django.models import AlertSilence

    with _decided(decider):
        rows = AlertSilence._base_manager.using(decider.database)
        row = rows.filter(pk=pk, ends_at__gt=decider.now).first()
        if row is None:
            raise DecisionError("That silence is over.")
        rows.filter(pk=pk).update(ends_at=decider.now)
        note_of(decider, "silence_ended", text=_written_row(row.matchers))


def plan(
    decider: Decider,
    name: str,
    matchers: Sequence[Match],
    begins_ms: int,
    minutes: int,
    every_s: int = 0,
) -> AlertMaintenance:
    """A maintenance window; without matchers it is of all alerts."""
    from otel_django.alerts.keeping.rows import stored_time
    from otel_django.models import AlertMaintenance

    longest = every_s // 60 or MOST_MINUTES
    if not 1 <= minutes <= longest:
        raise DecisionError(f"Such a window lasts from 1 to {longest} minutes.")
    if not name.strip():
        raise DecisionError("A maintenance window needs a name.")
    begins = datetime.fromtimestamp(begins_ms / 1000, timezone.utc)
    when = f"{begins:%Y-%m-%d %H:%M} UTC, {minutes} minutes"
    text = f"{name}: {when}, {written(matchers) or 'all'}"
    with _decided(decider):
        made: AlertMaintenance = AlertMaintenance._base_manager.using(decider.database).create(
            name=decider.storable(name, 100),
            matchers=matchers_text(tuple(matchers)),
            starts_at=stored_time(begins_ms),
            ends_at=stored_time(begins_ms + minutes * 60_000),
            every=every_s,
            by=decider.name,
        )
        note_of(decider, "maintenance", text=f"planned {text}")
    return made


def _written_row(text: str) -> str:
    try:
        return written(matchers_of(text))
    except ValueError:
        return ""


def end_maintenance(decider: Decider, pk: int) -> None:
    """It doesn't hold any more, nor come again."""
    from otel_django.models import AlertMaintenance

    with _decided(decider):
        rows = AlertMaintenance._base_manager.using(decider.database)
        row = rows.filter(pk=pk, enabled=True).first()
        if row is None:
            raise DecisionError("That window is over.")
        rows.filter(pk=pk).update(enabled=False)
        note_of(decider, "maintenance", text=f"ended {row.name}")


# --- matchers as people write them


def matchers(text: str) -> tuple[Match, ...]:
    """Of lines such as ``alertname=HighCpu`` or ``service.name=~"shop.*"``.

    Raises:
        DecisionError: one can't be understood.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > MOST_MATCHERS:
        raise DecisionError(f"There may be {MOST_MATCHERS} conditions at most.")
    return tuple(map(_matcher, lines))


def _matcher(line: str) -> Match:
    found = _MATCHER.fullmatch(line) if len(line) <= LONGEST_MATCHER else None
    if found is None:
        raise DecisionError(
            f"{line[:80]!r} is no condition: write label=value, label!=value, label=~pattern or "
            "label!~pattern, one a line."
        )
    key, operator, _, value = found.groups()
    if operator.endswith("~"):
        try:
            patterns.check(value)
        except ValueError as error:
            raise DecisionError(f"{value[:80]!r} is {error}.") from error
    return Match(key, operator, value)  # type: ignore[arg-type]


def written(matchers: Iterable[Match]) -> str:
    """As people write them, on one line."""
    return ", ".join(f'{one.key}{one.operator}"{one.value}"' for one in matchers)
