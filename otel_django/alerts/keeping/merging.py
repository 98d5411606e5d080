"""Which of two stories of the same alert counts, and what the database has not been told yet."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from otel_django.alerts.keeping.contract import Attempt, Changes, Entry, Event, Outgoing

if TYPE_CHECKING:
    from otel_django.alerts.state import Acknowledgement
    from otel_django.alerts.telling import Told

MOST: Final = 10_000
"""Alerts, events, notifications and attempts that wait for the database, of each."""


def merged(kept: Entry | None, new: Entry) -> Entry:
    """Of two entries of one occurrence: the later one, but what ended doesn't begin again.

    Who takes care of it and what was said last come from whichever knows more.
    """
    if kept is None:
        return new
    entry = new if _rank(new) >= _rank(kept) else kept
    alert = replace(
        entry.alert, acknowledged=_later(kept.alert.acknowledged, new.alert.acknowledged)
    )
    return replace(entry, alert=alert, told=_later_told(kept.told, new.told))


def _rank(entry: Entry) -> tuple[bool, int]:
    return entry.alert.state == "resolved", entry.at_ms


def _later(one: Acknowledgement | None, other: Acknowledgement | None) -> Acknowledgement | None:
    found = [each for each in (one, other) if each is not None]
    return max(found, key=lambda each: each.at_ms, default=None)


def _later_told(one: Told | None, other: Told | None) -> Told | None:
    found = [each for each in (one, other) if each is not None]
    return max(found, key=lambda each: each.at_ms, default=None)


def settled(occurrences: Iterable[Entry], late: Collection[str] = ()) -> list[Entry]:
    """All of one alert: of those not resolved only the one seen last goes on.

    Two are there if two evaluated without knowing of each other. What was said of the alert goes
    over to the one that stays, so that nobody is told again. Of those that ``late`` names one has
    heard only now: what was seen last before somebody found the same alert over is over, too.
    """
    found = list(occurrences)
    entries = [
        _ended(entry, entry.at_ms) if entry.id in late and _is_overtaken(entry, found) else entry
        for entry in found
    ]
    active = [entry for entry in entries if entry.alert.state != "resolved"]
    if len(active) < 2:
        return entries
    stays = max(active, key=lambda entry: entry.at_ms)
    for entry in active:
        if entry.source == stays.source:  # Alertmanager tells by other ways
            stays = replace(stays, told=_later_told(stays.told, entry.told))
    ended = {entry.id: _ended(entry, stays.at_ms) for entry in active}
    ended[stays.id] = stays
    return [ended.get(entry.id, entry) for entry in entries]


def _is_overtaken(entry: Entry, others: Iterable[Entry]) -> bool:
    return entry.alert.state != "resolved" and any(
        other.alert.since_ms <= entry.at_ms <= other.alert.resolved_ms
        for other in others
        if other.alert.resolved_ms is not None
    )


def _ended(entry: Entry, at_ms: int) -> Entry:
    alert = replace(entry.alert, state="resolved", resolved_ms=at_ms, keep_ms=None)
    return replace(entry, alert=alert, told=None)


class Backlog:
    """What has happened since the database was last told, each thing once. Bounded."""

    def __init__(self) -> None:
        self.alerts: dict[str, Entry] = {}
        self.gone: dict[str, Entry] = {}
        self.events: dict[str, Event] = {}
        self.outgoing: dict[tuple[str, str], Outgoing] = {}
        self.attempts: dict[tuple[str, str, int], Attempt] = {}

    def __bool__(self) -> bool:
        return any((self.alerts, self.gone, self.events, self.outgoing, self.attempts))

    def add(self, changes: Changes) -> None:
        """What an evaluation left."""
        for entry in changes.alerts:
            self.alerts[entry.id] = merged(self.alerts.get(entry.id), entry)
            self.gone.pop(entry.id, None)
        for entry in changes.gone:
            self.alerts.pop(entry.id, None)
            self.gone[entry.id] = entry
        self.events |= {event.id: event for event in changes.events}
        for one in changes.outgoing:
            self.outgoing.setdefault((one.key, one.channel), one)
        for kept in (self.alerts, self.gone, self.events, self.outgoing):
            _shorten(kept)

    def attempted(self, attempt: Attempt) -> None:
        """What came of sending one."""
        self.attempts[attempt.key, attempt.channel, attempt.at_ms] = attempt
        _shorten(self.attempts)

    def changes(self) -> Changes:
        """All but the attempts."""
        return Changes(
            tuple(self.alerts.values()),
            tuple(self.gone.values()),
            tuple(self.events.values()),
            tuple(self.outgoing.values()),
        )

    def absorb(self, later: Backlog) -> None:
        """Add what happened after this."""
        self.add(later.changes())
        for attempt in later.attempts.values():
            self.attempted(attempt)


def _shorten(kept: dict[Any, Any]) -> None:
    """The oldest go."""
    for key in list(islice(kept, max(0, len(kept) - MOST))):
        del kept[key]
