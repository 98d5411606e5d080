"""What is told of alerts, and who tells it.

A ``Notification`` is made once, kept in the outbox (``keeping.contract.Outgoing``) in the same
transaction as the alerts' states, and handed to a ``Channel`` until it is delivered or refused: at
least once, always with the same key, so that whoever gets one twice can tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal, Protocol

from otel_django.errors import OtelDjangoError

Kind = Literal["fired", "repeated", "escalated", "acknowledged", "resolved", "test"]
Severity = Literal["warning", "critical"]
Result = Literal["delivered", "retry", "refused"]


class NotificationError(OtelDjangoError):
    """What was kept is no notification; the text names what is wrong with it, and no value."""


@dataclass(frozen=True, slots=True)
class ToldAlert:
    """One alert in the words in which it is told.

    ``labels`` hold ``alertname`` and ``severity``, too. ``page`` is where to look first,
    ``acknowledge`` the page on which somebody can say that they take care of it. Addresses are
    absolute, or empty where the site's isn't known.
    """

    fingerprint: str
    state: Literal["firing", "resolved"]
    severity: Severity
    labels: Mapping[str, str]
    summary: str
    value: float
    started_ms: int
    resolved_ms: int | None = None
    description: str = ""
    page: str = ""
    runbook: str = ""
    acknowledge: str = ""
    acknowledged_by: str = ""


@dataclass(frozen=True, slots=True)
class Notification:
    """One thing to tell of a group of alerts, to all channels alike.

    ``key`` is this very notification's, ``group_key`` that of all about the same group: what
    resolves in one tool what was begun there. ``group`` are the labels that its alerts share.
    ``alerts`` are those of the group that fire and those just resolved, the worst first, and
    ``left_out`` counts those beyond what a notification holds. ``reason`` is in ``kind``.
    """

    key: str
    group_key: str
    kind: Kind
    severity: Severity
    group: Mapping[str, str]
    alerts: tuple[ToldAlert, ...]
    created_ms: int
    level: int = 0
    left_out: int = 0
    page: str = ""

    @property
    def status(self) -> Literal["firing", "resolved"]:
        """Resolved once none of its alerts fires."""
        is_over = all(alert.state == "resolved" for alert in self.alerts)
        return "resolved" if self.kind == "resolved" and is_over else "firing"

    def as_json(self) -> dict[str, Any]:
        """What ``notification`` makes one of; holds numbers, texts, lists and dicts only."""
        return asdict(self)


def notification(said: Mapping[str, Any]) -> Notification:
    """The one that ``as_json`` was asked of.

    Raises:
        NotificationError: it isn't one.
    """
    try:
        alerts = tuple(ToldAlert(**alert) for alert in said["alerts"])
        made = Notification(**{**said, "alerts": alerts})
    except (KeyError, TypeError) as error:
        raise NotificationError("Something is missing, or there is too much.") from error
    _check(made)
    for alert in alerts:
        _check(alert)
    if not alerts:
        raise NotificationError("It has no alert.")
    return made


_NUMBER: Final = (int, float)
_KINDS: Final[Mapping[str, Any]] = {
    "group": dict,
    "labels": dict,
    "alerts": tuple,
    **dict.fromkeys(("value", "started_ms", "created_ms", "level", "left_out"), _NUMBER),
    "resolved_ms": (*_NUMBER, type(None)),
}


def _check(one: Notification | ToldAlert) -> None:
    """What isn't among the kinds is text."""
    for field in fields(one):
        value = getattr(one, field.name)
        if not isinstance(value, _KINDS.get(field.name, str)):
            raise NotificationError(f"Its {field.name} is of another type.")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt.

    ``retry`` may come to something later, not before ``after_s`` if the receiver asked for that;
    ``refused`` never will. ``detail`` is one line, safe to show: no address, no key.
    """

    result: Result
    detail: str = ""
    after_s: float | None = None


class Channel(Protocol):
    """A way to tell somebody; called on a thread of its own, one notification at a time."""

    @property
    def name(self) -> str:
        """As in the settings: ``slack``."""
        ...

    def send(self, notification: Notification, timeout_s: float) -> Outcome:
        """Tell it, within ``timeout_s``. Raises nothing that is to be expected."""
        ...
