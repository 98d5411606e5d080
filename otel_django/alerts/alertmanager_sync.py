"""Makes Alertmanager silent about what it should be silent about, and learns from it what is over.

Nothing is kept but the decisions themselves: what couldn't be told is told the next time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from django.db import connections, transaction

from otel_django.alerts import alertmanager_wishes as wishing
from otel_django.alerts.alertmanager import Alertmanager, AlertmanagerError, HeldSilence
from otel_django.alerts.keeping import rows
from otel_django.alerts.keeping.contract import Event

if TYPE_CHECKING:
    from otel_django.alerts.alertmanager_wishes import Wish
    from otel_django.conf import Settings
    from otel_django.models import SystemAlert

BY: Final = "Alertmanager"
SETTLED_MS: Final = 180_000
"""After its start Alertmanager knows no alert until Prometheus tells it again: each minute."""
TOLERANCE_MS: Final = 1000
MOST: Final = 5000


class Difference(NamedTuple):
    """What to do. ``moved`` are wishes whose end is another there: somebody changed it."""

    make: list[Wish]
    end: list[HeldSilence]
    moved: list[tuple[Wish, int]]


def difference(wishes: Iterable[Wish], held: Sequence[HeldSilence], now_ms: int) -> Difference:
    """Between what should be and what there is."""
    of_ours: dict[str, list[HeldSilence]] = {}
    for one in held:
        mark = wishing.mark_in(one.comment)
        if mark:
            of_ours.setdefault(mark, []).append(one)
    found = Difference([], [], [])
    for wish in wishes:
        known = of_ours.pop(wish.mark, [])
        living = [one for one in known if one.state != "expired"]
        if not known:
            found.make.append(wish)
            continue
        found.end.extend(living[1:])  # two processes told of it at once
        ends_ms = living[0].ends_ms if living else min(now_ms, max(one.ends_ms for one in known))
        if abs(ends_ms - wish.ends_ms) > TOLERANCE_MS:
            found.moved.append((wish, ends_ms))
    for known in of_ours.values():
        found.end.extend(one for one in known if one.state != "expired")
    return found


def tell(settings: Settings, server: Alertmanager, now_ms: int) -> list[str]:
    """Have it as it should be; what it refused. Reads and writes the database.

    Raises:
        AlertmanagerError: it can't be reached; the rest is left for the next time.
    """
    found = difference(wishing.wishes(settings, now_ms), server.silences(), now_ms)
    refused = []
    for wish in found.make:
        try:
            server.silence(
                wishing.for_alertmanager(wish.matchers),
                wish.starts_ms,
                wish.ends_ms,
                wish.by,
                f"{wishing.without_mark(wish.comment)} {wish.mark}".strip(),
            )
        except AlertmanagerError as error:
            if error.is_away:
                raise
            refused.append(str(error))
    for one in found.end:
        server.end(one.id)
    for wish, ends_ms in found.moved:
        if wish.kind == "silence":
            _move(settings.database, wish, ends_ms, now_ms)
    return refused


def _move(database: str, wish: Wish, ends_ms: int, now_ms: int) -> None:
    from otel_django.models import AlertSilence

    with transaction.atomic(using=database):
        row = AlertSilence._base_manager.using(database).filter(pk=wish.pk)
        row.update(ends_at=rows.stored_time(ends_ms))
        if ends_ms <= now_ms:
            event_id = f"silence-{wish.pk}-{ends_ms}"
            _keep(database, [Event(event_id, now_ms, "silence_ended", BY, text=wish.comment)])


# --- alerts that are over


def close(settings: Settings, server: Alertmanager, now_ms: int) -> int:
    """End those that Alertmanager knows no more; how many. Reads and writes the database.

    It says nothing of the end of an alert that was silent there.
    """
    from otel_django.models import SystemAlert

    database = settings.database
    found = SystemAlert._base_manager.using(database).filter(source="prometheus", resolved=False)
    open_ = list(found.order_by("id")[:MOST])
    if not open_:
        return 0
    known = {wishing.identity(labels) for labels in server.alerts()}
    began_ms = server.began_ms()
    is_settled = now_ms - began_ms >= SETTLED_MS
    over, seen = [], []
    for one in open_:
        if wishing.identity_of(one) in known:
            seen.append(one)
        elif is_settled or one.at_ms > began_ms:
            over.append(one)
    found.filter(pk__in=[one.pk for one in seen]).update(at_ms=now_ms)
    if over:
        _resolve(database, over, now_ms)
    return len(over)


def _resolve(database: str, over: Sequence[SystemAlert], now_ms: int) -> None:
    from otel_django.models import SystemAlert

    with transaction.atomic(using=database):
        wanted = SystemAlert._base_manager.using(database).filter(
            pk__in=[one.pk for one in over], resolved=False
        )
        wanted.update(
            state="resolved",
            resolved=True,
            resolved_ms=now_ms,
            resolved_at=rows.stored_time(now_ms),
            told_state="resolved",
            told_ms=now_ms,
            at_ms=now_ms,
        )
        _keep(database, [rows.resolved_event(one, now_ms, by=BY) for one in over])


def _keep(database: str, events: Iterable[Event]) -> None:
    from otel_django.models import AlertEvent

    vendor = connections[database].vendor
    AlertEvent._base_manager.using(database).bulk_create(
        [rows.event_row(one, vendor) for one in events], ignore_conflicts=True, batch_size=200
    )
