"""Which of the notifications that wait go out now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Protocol, TypeVar

from otel_django.alerts.keeping.contract import SENDING_MS

if TYPE_CHECKING:
    from otel_django.alerts.keeping.contract import Attempt, Outgoing


class Waiting(Protocol):
    """What has to be known of one."""

    @property
    def key(self) -> str: ...
    @property
    def channel(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def due_ms(self) -> int: ...


_W = TypeVar("_W", bound=Waiting)


def to_send(waiting: Iterable[_W], now_ms: int, limit: int) -> list[_W]:
    """Those that are due, of ``waiting`` in the order in which they were made.

    One waits for those made before it of its channel and group: no alert may seem to begin after
    it ended.
    """
    first: dict[tuple[str, ...], _W] = {}
    for one in waiting:
        first.setdefault(_lane(one), one)
    return list(islice((one for one in first.values() if one.due_ms <= now_ms), limit))


def _lane(one: Waiting) -> tuple[str, ...]:
    return (one.channel, one.group) if one.group else (one.channel, "", one.key)


class MemoryOutbox:
    """What waits, as far as this process knows; it counts while the database is away."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[str, str], Outgoing] = {}

    def add(self, outgoing: Iterable[Outgoing]) -> None:
        """What is known already stays as it is."""
        for one in outgoing:
            self.waiting.setdefault((one.key, one.channel), one)

    def due(self, now_ms: int, limit: int) -> list[Outgoing]:
        """Take what is to be sent now."""
        found = to_send(self.waiting.values(), now_ms, limit)
        self.taken(found, now_ms)
        return found

    def taken(self, outgoing: Iterable[Outgoing], now_ms: int) -> None:
        """These are being sent."""
        for one in outgoing:
            self.waiting[one.key, one.channel] = replace(one, due_ms=now_ms + SENDING_MS)

    def attempted(self, attempt: Attempt) -> None:
        """What came of sending one."""
        one = self.waiting.pop((attempt.key, attempt.channel), None)
        if one is None or attempt.result == "delivered" or attempt.next_ms is None:
            return
        later = replace(one, due_ms=attempt.next_ms, attempts=one.attempts + 1)
        self.waiting = {(attempt.key, attempt.channel): later, **self.waiting}
