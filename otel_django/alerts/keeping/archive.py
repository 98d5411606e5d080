"""What becomes of alerts long resolved: put by month by month, and let go of in the end.

What was told of them goes with them; who did what is kept as long as the archive.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

from django.db import transaction

from otel_django.alerts.keeping.documents import entry_document, written
from otel_django.alerts.keeping.rows import entry_of
from otel_django.models import (
    AlertArchive,
    AlertAttempt,
    AlertEvent,
    AlertNotification,
    SystemAlert,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.models import QuerySet

HISTORY_DAYS: Final = 31
"""For at least so long resolved alerts stay where they are."""
AT_ONCE: Final = 500
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


def archive(now_ms: int, keep_months: int, *, database: str = "default") -> bool:
    """Put some alerts of one month by, else drop something too old; True: there may be more.

    Months are those of UTC.

    Raises:
        django.db.Error: the database, by its alias, can't be used.
    """
    before_ms = _month_begins_ms(now_ms - HISTORY_DAYS * 86_400_000)
    rows = SystemAlert._base_manager.using(database)
    old = rows.filter(resolved=True, resolved_ms__lt=before_ms)
    found = list(old.order_by("resolved_ms", "id")[:AT_ONCE])
    if found:
        _put_by([row for row in found if _month(row) == _month(found[0])], database)
        return True
    return _drop_told(before_ms, database) or _drop_archived(now_ms, keep_months, database)


def put_by(alerts: Iterable[SystemAlert], database: str) -> list[SystemAlert]:
    """Those that are over, and of which that was told, now; returns which they were.

    Raises as ``archive``.
    """
    months: dict[str, list[SystemAlert]] = defaultdict(list)
    for row in alerts:
        if row.resolved and row.told_state != "firing":
            months[_month(row)].append(row)
    return [
        row
        for rows in months.values()
        for start in range(0, len(rows), AT_ONCE)
        for row in _put_by(rows[start : start + AT_ONCE], database)
    ]


def _put_by(alerts: list[SystemAlert], database: str) -> list[SystemAlert]:
    """All of one month; nothing where another process did so meanwhile."""
    rows = SystemAlert._base_manager.using(database)
    with transaction.atomic(using=database):
        deleted, _ = rows.filter(pk__in=[row.pk for row in alerts]).delete()
        if deleted != len(alerts):
            transaction.set_rollback(True, using=database)
            return []
        times = [row.resolved_ms or 0 for row in alerts]
        AlertArchive._base_manager.using(database).create(
            month=_month(alerts[0]),
            first_ms=min(times),
            last_ms=max(times),
            alerts=len(alerts),
            document="".join(f"{written(entry_document(entry_of(row)))}\n" for row in alerts),
        )
    return alerts


def _drop_told(before_ms: int, database: str) -> bool:
    done = AlertNotification._base_manager.using(database).exclude(
        state=AlertNotification.State.WAITING
    )
    ids = _some(done.filter(created_ms__lt=before_ms))
    if ids:
        with transaction.atomic(using=database):
            tries = AlertAttempt._base_manager.using(database).filter(notification__in=ids)
            tries._raw_delete(database)
            done.filter(pk__in=ids)._raw_delete(database)
    return bool(ids)


def _drop_archived(now_ms: int, keep_months: int, database: str) -> bool:
    """Whole months before the last ``keep_months``, and the events of that time."""
    year, month = divmod(_utc(now_ms).year * 12 + _utc(now_ms).month - 1 - keep_months, 12)
    if year < _EPOCH.year:
        return False
    first = _EPOCH.replace(year=year, month=month + 1)
    archives = AlertArchive._base_manager.using(database)
    archives.filter(month__lt=f"{first:%Y-%m}").delete()
    events = AlertEvent._base_manager.using(database)
    ids = _some(events.filter(at_ms__lt=_ms(first)))
    events.filter(pk__in=ids).delete()
    return bool(ids)


def _some(rows: QuerySet[Any]) -> list[int]:
    """Not too many at once: whoever writes meanwhile waits."""
    return list(rows.order_by("pk").values_list("pk", flat=True)[:AT_ONCE])


def _month(row: SystemAlert) -> str:
    return f"{_utc(row.resolved_ms or 0):%Y-%m}"


def _month_begins_ms(at_ms: int) -> int:
    return _ms(_utc(at_ms).replace(day=1, hour=0, minute=0, second=0, microsecond=0))


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)


def _utc(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, timezone.utc)
