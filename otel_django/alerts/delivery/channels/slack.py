"""Slack, by an incoming webhook: a message of blocks with buttons that lead to pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from otel_django.alerts.delivery import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_django.alerts.delivery.contract import Notification, Outcome, ToldAlert
    from otel_django.alerts.delivery.posting import Poster
    from otel_django.pipeline.http_wire import Response

MOST_ALERTS: Final = 10
_HEADER: Final = 150
_FALLBACK: Final = 1000
_SUMMARY: Final = 500
_LABELS: Final = 300
_NAME: Final = 100
_URL: Final = 3000
_MARKS: Final = {"critical": "\N{LARGE RED CIRCLE}", "warning": "\N{LARGE YELLOW CIRCLE}"}
_OVER: Final = "\N{LARGE GREEN CIRCLE}"


@dataclass(frozen=True, slots=True)
class SlackChannel:
    """One message a notification. ``poster`` has the address, which is a secret."""

    poster: Poster
    name: str = "slack"

    def send(self, notification: Notification, timeout_s: float) -> Outcome:
        """Post the message."""
        headers = {"Idempotency-Key": notification.key}
        return self.poster.post(message(notification), timeout_s, headers, _refused)


def _refused(response: Response) -> str:
    """Slack's own word, such as ``channel_is_archived``; nothing else of the body."""
    found = re.fullmatch(rb"[a-z_]{2,40}", response.body[:50].strip())
    return found[0].decode() if found else ""


def message(notification: Notification) -> dict[str, Any]:
    """The message's document."""
    shown = notification.alerts[:MOST_ALERTS]
    blocks = [
        _header(notification),
        *(_alert(alert) for alert in shown),
        *_rest(words.more(notification, len(shown))),
        *_buttons(notification),
    ]
    return {"text": escaped(words.title(notification, _FALLBACK)), "blocks": blocks}


def escaped(text: str) -> str:
    """So that it can neither mention anybody nor hide an address behind a word."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _header(notification: Notification) -> dict[str, Any]:
    is_over = notification.status == "resolved"
    mark = _OVER if is_over else _MARKS[notification.severity]
    text = words.line(f"{mark} {words.title(notification)}", _HEADER)
    return {"type": "header", "text": {"type": "plain_text", "text": text, "emoji": False}}


def _alert(alert: ToldAlert) -> dict[str, Any]:
    """Plain text: what came with telemetry can't lay out, mention anybody or be a link."""
    mark = "\N{WHITE HEAVY CHECK MARK} " if alert.state == "resolved" else ""
    lines = [
        f"{mark}{words.line(alert.summary, _SUMMARY)}",
        words.line(words.about(alert), _LABELS),
        words.since(alert),
    ]
    if alert.acknowledged_by:
        lines.append(f"taken care of by {words.line(alert.acknowledged_by, _NAME)}")
    text = "\n".join(filter(None, lines))
    return {"type": "section", "text": {"type": "plain_text", "text": text}}


def _rest(more: str) -> Iterator[dict[str, Any]]:
    if more:
        yield {"type": "context", "elements": [{"type": "plain_text", "text": more}]}


def _buttons(notification: Notification) -> Iterator[dict[str, Any]]:
    first = notification.alerts[0]
    wanted = [("Look at it", first.page), ("Runbook", first.runbook)]
    if notification.status == "firing" and not first.acknowledged_by:
        wanted.append(("Acknowledge", first.acknowledge))
    if notification.page:
        wanted.append(("All alerts", notification.page))
    buttons = [
        {
            "type": "button",
            "text": {"type": "plain_text", "text": text},
            "url": url,
            "action_id": text.lower().replace(" ", "_"),
        }
        for text, url in wanted
        if url and len(url) <= _URL
    ]
    if buttons:
        yield {"type": "actions", "elements": buttons}
