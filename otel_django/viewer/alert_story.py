"""What happened to alerts, in words: who did what, who was told and whether that arrived."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_django.viewer.alert_rows import MS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_django.models import AlertEvent

_WORDS: Final = {
    "resolved": "ended",
    "resolved_by_hand": "said to be over",
    "silence_ended": "silence ended",
    "rule_changed": "rule changed",
    "metric_changed": "custom metric changed",
}
_STATES: Final = {
    "delivered": ("good", "delivered"),
    "refused": ("bad", "given up"),
    "waiting": ("warn", "on its way"),
}


class EventLine(NamedTuple):
    """``by`` is empty for the service itself."""

    at_ns: int
    word: str
    by: str
    rule: str
    text: str


def event_lines(events: Iterable[AlertEvent]) -> list[EventLine]:
    """As they are told."""
    return [
        EventLine(
            each.at_ms * MS, _WORDS.get(each.kind, each.kind), each.by, each.alert_type, each.text
        )
        for each in events
    ]


class Try(NamedTuple):
    """An attempt to deliver it."""

    at_ns: int
    result: str
    detail: str


class NotificationLine(NamedTuple):
    """One notification through one channel, with its attempts."""

    created_ns: int
    channel: str
    kind: str
    colour: str
    word: str
    tries: list[Try]


def notification_lines(found: Iterable[Any]) -> list[NotificationLine]:
    """Rows of ``AlertNotification``, as they are told."""
    return [_line(each) for each in found]


def _line(row: Any) -> NotificationLine:
    colour, word = _STATES.get(row.state, ("quiet", row.state))
    tries = [Try(one.at_ms * MS, one.result, one.detail) for one in row.tries.all()]
    return NotificationLine(row.created_ms * MS, row.channel, row.kind, colour, word, tries)
