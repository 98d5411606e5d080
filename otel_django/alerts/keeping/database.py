"""Alerts in the site's database: few statements however many alerts there are.

Each call is one transaction on a connection of the calling thread that is closed after it: to be
used on a thread of ours only. All raise what ``site_database.AWAY`` has when it can't be used.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from django.db import transaction
from django.db.models import Q

from otel_django import guard
from otel_django.alerts.keeping import rows
from otel_django.alerts.keeping.contract import (
    SENDING_MS,
    Attempt,
    Changes,
    Entry,
    Fence,
    Known,
    NotLeaderError,
    Outgoing,
)
from otel_django.alerts.keeping.merging import MOST, Backlog, merged, settled
from otel_django.alerts.keeping.outbox import to_send
from otel_django.models import (
    AlertAttempt,
    AlertEvent,
    AlertMaintenance,
    AlertNotification,
    AlertRule,
    AlertSilence,
    CustomMetric,
    Lease,
    SystemAlert,
)
from otel_django.site_database import NowMs, connected

if TYPE_CHECKING:
    from django.db.models import Model, QuerySet

    from otel_django.alerts.state import Key

RECENT_MS: Final = 3_600_000
UNTOLD_MS: Final = 86_400_000
"""For how long an alert whose end has not been told is known."""
MOST_RULES: Final = 1000
_CHUNK: Final = 500
_T = TypeVar("_T")


class AlertDatabase:
    """The tables in the database called ``alias``."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._vendor = ""

    # --- reading

    def load(self, now_ms: int) -> Known:
        """What there is now, in six statements."""
        with self._connected():
            return Known(
                self._alerts(now_ms),
                tuple(self._silences(now_ms)),
                tuple(self._rules()),
                self._newest(),
            )

    def _alerts(self, now_ms: int) -> dict[Key, Entry]:
        known = (
            Q(resolved=False)
            | Q(resolved_ms__gt=now_ms - RECENT_MS)
            | Q(resolved_ms__gt=now_ms - UNTOLD_MS, told_state="firing")
        )
        found: dict[Key, Entry] = {}
        for row in self._table(SystemAlert).filter(known).order_by("-at_ms")[:MOST]:
            with guard.guarded("alerts.row"):
                entry = rows.entry_of(row)
                other = found.get(entry.alert.key)
                if other is None or _counts_more(entry, other):
                    found[entry.alert.key] = entry
        return found

    def _silences(self, now_ms: int) -> Iterator[Any]:
        now = rows.stored_time(now_ms)
        for silence in self._table(AlertSilence).filter(ends_at__gt=now)[:MOST_RULES]:
            with contextlib.suppress(ValueError):
                yield rows.silence_of(silence)
        to_come = Q(every__gt=0) | Q(ends_at__gt=now)
        for window in self._table(AlertMaintenance).filter(to_come, enabled=True)[:MOST_RULES]:
            with contextlib.suppress(ValueError):
                yield rows.maintenance_of(window)

    def _rules(self) -> Iterator[dict[str, Any]]:
        for rule in self._table(AlertRule)[:MOST_RULES]:
            yield rows.rule_of(rule)
        has_threshold = Q(warning__isnull=False) | Q(critical__isnull=False)
        for metric in self._table(CustomMetric).filter(has_threshold)[:MOST_RULES]:
            yield rows.metric_of(metric)

    def _newest(self) -> str:
        keys = self._table(AlertNotification).order_by("-id").values_list("key", flat=True)
        return keys.first() or ""

    def waiting(self) -> list[Outgoing]:
        """What has neither been delivered nor given up, the oldest first."""
        with self._connected():
            return [rows.outgoing_of(row) for row in self._waiting()[:MOST]]

    def _waiting(self) -> QuerySet[AlertNotification]:
        state = AlertNotification.State.WAITING
        found = self._table(AlertNotification).filter(state=state)
        ordered: QuerySet[AlertNotification] = found.order_by("created_ms", "id")
        return ordered

    # --- writing

    def save(self, changes: Changes, fence: Fence) -> None:
        """All of it, if the fence holds; raises NotLeaderError."""
        with self._transaction(fence):
            self._write(changes)

    def merge(self, backlog: Backlog) -> None:
        """What happened while the database was away; harmless when it is done again."""
        with self._transaction(None):
            self._write(backlog.changes(), is_late=True)
            self._write_attempts(tuple(backlog.attempts.values()))

    def due(self, now_ms: int, fence: Fence, limit: int) -> list[Outgoing]:
        """Take what is to be sent now, the first of each group and channel."""
        with self._transaction(fence):
            waiting = self._waiting().defer("document")[:MOST]
            taken = [row.pk for row in to_send(waiting, now_ms, limit)]
            due = self._table(AlertNotification).filter(pk__in=taken)
            found = [rows.outgoing_of(row) for row in due.order_by("created_ms", "id")]
            due.update(due_ms=now_ms + SENDING_MS)
            return found

    # --- one transaction

    @contextlib.contextmanager
    def _connected(self) -> Iterator[None]:
        with connected(self._alias) as connection:
            self._vendor = connection.vendor
            yield

    @contextlib.contextmanager
    def _transaction(self, fence: Fence | None) -> Iterator[None]:
        with self._connected(), transaction.atomic(using=self._alias):
            if fence is not None:
                self._hold(fence)
            yield

    def _hold(self, fence: Fence) -> None:
        """An UPDATE, so that nobody else takes the lease before the transaction is over."""
        held = Lease._base_manager.using(self._alias).filter(
            name=fence.lease, owner=fence.owner, until_ms__gte=NowMs()
        )
        if not held.update(owner=fence.owner):
            raise NotLeaderError("Another process evaluates alerts by now.")

    def _table(self, model: type[Any]) -> QuerySet[Any]:
        rows: QuerySet[Any] = model._default_manager.using(self._alias).all()
        return rows

    def _write(self, changes: Changes, *, is_late: bool = False) -> None:
        for alerts in _chunks(changes.alerts):
            self._write_alerts(alerts, is_late)
        for gone in _chunks(changes.gone):
            self._remove(gone)
        self._add(AlertEvent, [rows.event_row(one, self._vendor) for one in changes.events])
        self._add(AlertNotification, [rows.notification_row(one) for one in changes.outgoing])

    def _write_alerts(self, entries: Sequence[Entry], is_late: bool) -> None:
        """What the database has of the same alerts is locked, and put together with it."""
        found: dict[str, dict[str, Entry]] = defaultdict(dict)
        same = Q(resolved=False) | Q(since_ms__in={entry.alert.since_ms for entry in entries})
        if is_late:
            same |= Q(resolved_ms__gte=min(entry.at_ms for entry in entries))
        fingerprints = {entry.alert.fingerprint for entry in entries}
        kept = self._table(SystemAlert).select_for_update().order_by("id")
        for row in kept.filter(same, fingerprint__in=fingerprints):
            with guard.guarded("alerts.row"):
                entry = rows.entry_of(row)
                found[row.fingerprint][entry.id] = entry
        before = {entry.id: entry for known in found.values() for entry in known.values()}
        for entry in entries:
            known = found[entry.alert.fingerprint]
            known[entry.id] = merged(known.get(entry.id), entry)
        late = {entry.id for entry in entries} if is_late else ()
        after = [entry for known in found.values() for entry in settled(known.values(), late)]
        changed = [entry for entry in after if before.get(entry.id) != entry]
        self._upsert([rows.alert_row(entry, self._vendor) for entry in changed])

    def _upsert(self, alerts: list[SystemAlert]) -> None:
        unique = None if self._vendor == "mysql" else ["fingerprint", "since_ms"]
        self._table(SystemAlert).bulk_create(
            alerts,
            update_conflicts=True,
            update_fields=rows.ALERT_FIELDS,
            unique_fields=unique,
        )

    def _remove(self, gone: Sequence[Entry]) -> None:
        pending = self._table(SystemAlert).filter(
            state=SystemAlert.State.PENDING,
            fingerprint__in={entry.alert.fingerprint for entry in gone},
            since_ms__in={entry.alert.since_ms for entry in gone},
        )
        ids = {entry.id for entry in gone}
        found = [row.pk for row in pending if rows.entry_of(row).id in ids]
        self._table(SystemAlert).filter(pk__in=found)._raw_delete(self._alias)

    def _add(self, model: type[Model], made: list[Any]) -> None:
        """Those that are there already stay as they are."""
        if made:
            self._table(model).bulk_create(made, ignore_conflicts=True)

    # --- attempts

    def _write_attempts(self, attempts: Sequence[Attempt]) -> None:
        for chunk in _chunks(attempts):
            keys = {attempt.key for attempt in chunk}
            found = self._table(AlertNotification).filter(key__in=keys)
            known = {(row.key, row.channel): row for row in found.defer("document")}
            made = [
                (known[one.key, one.channel], one)
                for one in chunk
                if (one.key, one.channel) in known
            ]
            self._add(
                AlertAttempt, [rows.attempt_row(one, row.pk, self._vendor) for row, one in made]
            )
            for row, one in made:
                self._note(row, one)

    def _note(self, row: AlertNotification, attempt: Attempt) -> None:
        """What has been delivered stays so."""
        tries = self._table(AlertAttempt).filter(notification=row.pk).count()
        values: dict[str, Any] = {"attempts": tries}
        state = AlertNotification.State
        if attempt.result == "delivered":
            values |= {"state": state.DELIVERED, "done_ms": attempt.at_ms}
        elif attempt.next_ms is None:
            values |= {"state": state.FAILED, "done_ms": attempt.at_ms}
        else:
            values["due_ms"] = attempt.next_ms
        rest = self._table(AlertNotification).filter(pk=row.pk)
        rest.exclude(state=state.DELIVERED).update(**values)


def _counts_more(entry: Entry, other: Entry) -> bool:
    """Of two occurrences of an alert: what was evaluated here, what goes on, what began later."""
    return _order(entry) > _order(other)


def _order(entry: Entry) -> tuple[bool, bool, int]:
    alert = entry.alert
    return entry.source == "embedded", alert.state != "resolved", alert.since_ms


def _chunks(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]
