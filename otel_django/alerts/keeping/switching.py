"""What fires by the word of an evaluator that isn't asked any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.db import transaction

from otel_django.alerts.keeping import rows
from otel_django.models import AlertEvent, SystemAlert

if TYPE_CHECKING:
    from otel_django.alerts.keeping.contract import Source

AT_ONCE: Final = 500
WHY: Final = "Alerts are evaluated elsewhere by now."
_FIELDS: Final = (
    *("state", "resolved", "resolved_at", "resolved_ms", "keep_ms", "at_ms"),
    *("told_state", "told_ms"),
)


def end_of_others(evaluator: Source, now_ms: int, *, database: str = "default") -> bool:
    """Some alerts of another evaluator end, and nobody is told; True: there may be more.

    Raises:
        django.db.Error: the database, by its alias, can't be used.
    """
    table = SystemAlert._base_manager.using(database)
    with transaction.atomic(using=database):
        others = table.filter(resolved=False).exclude(source=evaluator).order_by("id")
        found = list(others.select_for_update()[:AT_ONCE])
        for row in found:
            _end(row, now_ms)
        table.bulk_update(found, _FIELDS, batch_size=100)
        AlertEvent._base_manager.using(database).bulk_create(
            [rows.event_row(rows.resolved_event(row, now_ms, text=WHY), "") for row in found],
            ignore_conflicts=True,
        )
    return len(found) == AT_ONCE


def _end(row: SystemAlert, now_ms: int) -> None:
    row.state, row.resolved = SystemAlert.State.RESOLVED, True
    row.resolved_ms, row.resolved_at = now_ms, rows.stored_time(now_ms)
    row.keep_ms, row.at_ms = None, now_ms
    if row.told_state:
        row.told_state, row.told_ms = "resolved", now_ms
