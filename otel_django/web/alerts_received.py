"""Alerts that Alertmanager tells of, kept as those that were evaluated here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timezone
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.db import transaction
from django.utils.dateparse import parse_datetime

from otel_django import names
from otel_django.alerts.alertmanager_wishes import CRITICAL
from otel_django.alerts.expressions import labels as labels_of_form
from otel_django.alerts.keeping.documents import written
from otel_django.alerts.promql import label_name
from otel_django.alerts.state import ALERT_NAME, SEVERITY, Key, fingerprint
from otel_django.web import alert_records
from otel_django.web.alert_decisions import Decider, DecisionError, note
from otel_django.web.alert_records import tables
from otel_django.web.alert_rules import rules_of

if TYPE_CHECKING:
    from otel_django.alerts.rules import Severity
    from otel_django.conf import Settings
    from otel_django.models import SystemAlert

BY: Final = "Alertmanager"
MOST: Final = 5000
_BATCH: Final = 200
_MOST_OVER: Final = 1000
_LONGEST_NAME: Final = 100
_LONGEST_MESSAGE: Final = 2000
_OURS: Final = {label_name(key): key for key in (names.SERVICE_NAME, names.SERVICE_INSTANCE_ID)}


class _Told(NamedTuple):
    key: Key
    since_ms: int
    resolved_ms: int | None
    message: str

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.key)


def keep(settings: Settings, alerts: Sequence[Mapping[str, Any]], now_ms: int) -> int:
    """Keep them; the same one twice is once. How many there were.

    Raises:
        DecisionError: one of them can't be understood.
    """
    if len(alerts) > MOST:
        raise DecisionError(f"There may be {MOST} alerts at most.")
    rules = rules_of(settings).rules
    decider = Decider(settings.database, BY, now_ms)
    told: dict[tuple[str, int], _Told] = {}
    for given in alerts:
        name = given["labels"].get(ALERT_NAME, "")
        rule = rules.get(name)
        keys = labels_of_form(rule.expression) if rule else ()
        one = _read(decider, given, {**_OURS, **{label_name(key): key for key in keys}})
        told[one.fingerprint, one.since_ms] = one
    ordered = sorted(told.values(), key=lambda one: one.since_ms)
    with tables(settings.database), transaction.atomic(using=settings.database):
        for begin in range(0, len(ordered), _BATCH):
            _save(decider, ordered[begin : begin + _BATCH])
    alert_records.count_anew()
    return len(alerts)


def _read(decider: Decider, given: Mapping[str, Any], ours: Mapping[str, str]) -> _Told:
    labels = dict(given["labels"])
    name = labels.pop(ALERT_NAME, "")
    if not name:
        raise DecisionError("An alert has no label alertname.")
    severity: Severity = "critical" if labels.pop(SEVERITY, "") in CRITICAL else "warning"
    pairs = ((ours.get(key, key), value) for key, value in labels.items() if value)
    since_ms = _milliseconds(given["startsAt"]) or decider.now_ms
    over_ms = None
    if given["status"] == "resolved":
        over_ms = max(since_ms, _milliseconds(given["endsAt"]) or decider.now_ms)
    notes = given["annotations"]
    message = notes.get("summary") or notes.get("description") or name
    key = Key(decider.storable(name, _LONGEST_NAME), severity, tuple(sorted(pairs)))
    return _Told(key, since_ms, over_ms, decider.storable(message, _LONGEST_MESSAGE))


def _milliseconds(text: str) -> int | None:
    """Of RFC 3339; None of the time that stands for none."""
    try:
        moment = parse_datetime(text)
        if moment is not None:
            moment = moment.replace(tzinfo=moment.tzinfo or timezone.utc).astimezone(timezone.utc)
    except (ValueError, OverflowError):  # or it is in the year 10000 or 0 there
        moment = None
    if moment is None:
        raise DecisionError(f"{text[:40]!r} is no time as RFC 3339 has them.")
    return round(moment.timestamp() * 1000) if moment.year > 1970 else None


def _save(decider: Decider, told: Sequence[_Told]) -> None:
    from otel_django.models import SystemAlert

    rows = SystemAlert._base_manager.using(decider.database)
    wanted = rows.filter(fingerprint__in={one.fingerprint for one in told})
    known = list(wanted.filter(resolved=False).select_for_update())
    known += wanted.filter(resolved=True, since_ms__in={one.since_ms for one in told})
    began_ms = [one.since_ms for one in told if one.resolved_ms is not None]
    if began_ms:  # whose end may have been told before
        since = wanted.filter(resolved=True, source="prometheus", resolved_ms__gt=min(began_ms))
        known += since.order_by("-resolved_ms")[:_MOST_OVER]
    by_occurrence = {(row.fingerprint, row.since_ms): row for row in known}
    made: list[SystemAlert] = []
    ended: dict[int, SystemAlert] = {}
    changed: dict[int, SystemAlert] = {}
    for one in told:
        found = by_occurrence.get((one.fingerprint, one.since_ms)) or _begun_before(known, one)
        for row in _left_open(known, one):
            if row is not found:
                _end(row, one.since_ms, decider)
                ended[row.pk] = row
        if found is None:
            found = _row(one, decider)
            made.append(found)
            by_occurrence[one.fingerprint, one.since_ms] = found
        elif found.resolved:
            continue
        elif one.resolved_ms is not None:
            _end(found, one.resolved_ms, decider)
            ended[found.pk] = found
        found.message = one.message
        found.at_ms = decider.now_ms
        if found.pk is not None:
            changed[found.pk] = found
    rows.bulk_create(made, batch_size=100)
    rows.bulk_update({**changed, **ended}.values(), _FIELDS, batch_size=100)
    note(decider, "fired", made)
    note(decider, "resolved", [*ended.values(), *(row for row in made if row.resolved)])


_FIELDS: Final = (
    *("state", "resolved", "resolved_at", "resolved_ms", "message", "at_ms"),
    *("told_state", "told_ms"),
)


def _begun_before(known: Sequence[SystemAlert], one: _Told) -> SystemAlert | None:
    """The occurrence that was still heard of when this one is said to have begun.

    It is the same one: whoever is started anew, after a crash, takes that for its beginning.
    """
    for row in known:
        if (row.fingerprint, row.source) != (one.fingerprint, "prometheus"):
            continue
        until_ms = row.resolved_ms if row.resolved else row.at_ms
        is_told = not row.resolved or one.resolved_ms is not None
        if is_told and row.since_ms < one.since_ms <= (until_ms or 0):
            return row
    return None


def _left_open(known: Sequence[SystemAlert], one: _Told) -> Iterator[SystemAlert]:
    """Occurrences before this one, whose end was never told."""
    for row in known:
        is_before = row.fingerprint == one.fingerprint and row.since_ms < one.since_ms
        if is_before and not row.resolved and row.source == "prometheus":
            yield row


def _end(row: SystemAlert, at_ms: int, decider: Decider) -> None:
    from otel_django.alerts.keeping.rows import stored_time

    row.state = row.told_state = "resolved"
    row.resolved, row.resolved_ms, row.resolved_at = True, at_ms, stored_time(at_ms)
    row.told_ms = row.at_ms = decider.now_ms


def _row(one: _Told, decider: Decider) -> SystemAlert:
    from otel_django.alerts.keeping.rows import stored_time
    from otel_django.models import SystemAlert

    row = SystemAlert(
        fingerprint=one.fingerprint,
        alert_type=one.key.rule,
        severity=one.key.severity,
        message=one.message,
        labels=written(dict(one.key.labels)),
        state="firing",
        created_at=stored_time(one.since_ms),
        since_ms=one.since_ms,
        fired_ms=one.since_ms,
        breached_ms=one.since_ms,
        told_state="firing",  # Alertmanager tells of it
        told_ms=decider.now_ms,
        source="prometheus",
        at_ms=decider.now_ms,
    )
    if one.resolved_ms is not None:
        _end(row, one.resolved_ms, decider)
    return row
