"""What is kept of alerts, and what keeps it, for those who evaluate, deliver and show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol

from otel_django.errors import OtelDjangoError

if TYPE_CHECKING:
    from otel_django.alerts.muting import Silence
    from otel_django.alerts.state import Alert, Key
    from otel_django.alerts.telling import Told

Source = Literal["embedded", "prometheus"]
"""Who evaluated."""
SENDING_MS: Final = 30_000
"""For how long what ``due`` gave isn't given again: longer than an attempt takes."""


class NotLeaderError(OtelDjangoError):
    """Another process has the lease by now: nothing was written."""


class Fence(NamedTuple):
    """The lease (``models.Lease``) that a writer must still hold, and who holds it."""

    lease: str
    owner: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One alert and what goes with it.

    ``at_ms`` is when this was found: of two the later one counts. ``message`` is the rule's summary
    in figures, as it came with telemetry. An alert that fires anew is another entry.
    """

    alert: Alert
    at_ms: int
    told: Told | None = None
    message: str = ""
    threshold: float | None = None
    source: Source = "embedded"

    @property
    def id(self) -> str:
        """The same for one occurrence of one alert."""
        return f"{self.alert.fingerprint}-{self.alert.since_ms}"


@dataclass(frozen=True, slots=True)
class Event:
    """Who did what, when; ``by`` is empty for the service itself. ``id`` tells doubles."""

    id: str
    at_ms: int
    kind: str
    by: str = ""
    fingerprint: str = ""
    rule: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A notification on its way through one channel.

    ``key`` is the same at each attempt, and for each channel. Of one ``group`` and channel it goes
    out after those made before. ``document`` is what the channel is given, as plain values of JSON.
    ``fingerprints`` are the alerts it tells of. It is sent at ``due_ms`` or later. ``key`` and
    ``channel`` have at most 100 characters, ``group`` 32.
    """

    key: str
    channel: str
    kind: str
    severity: str
    document: Mapping[str, Any]
    created_ms: int
    due_ms: int
    group: str = ""
    fingerprints: tuple[str, ...] = ()
    attempts: int = 0


class Attempt(NamedTuple):
    """What came of sending it once. ``next_ms`` is when to try again, None not at all.

    ``detail`` is safe to show.
    """

    key: str
    channel: str
    at_ms: int
    result: Literal["delivered", "retry", "refused"]
    detail: str = ""
    next_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What one evaluation leaves. ``gone`` are pending alerts that ended."""

    alerts: Sequence[Entry] = ()
    gone: Sequence[Entry] = ()
    events: Sequence[Event] = ()
    outgoing: Sequence[Outgoing] = ()

    def __bool__(self) -> bool:
        return bool(self.alerts or self.gone or self.events or self.outgoing)


@dataclass(frozen=True, slots=True)
class Known:
    """What there is before an evaluation.

    ``alerts`` are those pending and firing, and the newest resolved ones of the last hour or of
    which the end has not been told; acknowledgements are in them. ``silences`` are those of now and
    later, maintenance windows among them. ``rules`` are rows of users as ``definitions`` reads
    them, each with its name: changes to rules there are, rules and custom metrics of their own.
    ``newest`` is the key of the notification that was made last, by whomever. ``away`` says why the
    database can't be asked, if so: this is then what was known last, and what the journal has.
    """

    alerts: Mapping[Key, Entry] = field(default_factory=dict)
    silences: tuple[Silence, ...] = ()
    rules: tuple[Mapping[str, Any], ...] = ()
    newest: str = ""
    away: str = ""


class Keeper(Protocol):
    """Where all of it is. Any thread may call; no call waits longer than a few seconds.

    None fails because the database is away: the journal stands in until it is back.
    """

    def load(self, now_ms: int) -> Known:
        """What is known now."""
        ...

    def save(self, changes: Changes, fence: Fence) -> None:
        """All of it or nothing.

        An acknowledgement that came meanwhile stays. What has a key that is known is not sent
        again.

        Raises:
            NotLeaderError: the lease is somebody else's.
        """
        ...

    def due(self, now_ms: int, fence: Fence, limit: int = 100) -> list[Outgoing]:
        """What is to be sent now, the oldest first; given again only after ``SENDING_MS``.

        Nothing while an older one of its channel and group waits.

        Raises:
            NotLeaderError: the lease is somebody else's.
        """
        ...

    def attempted(self, attempt: Attempt) -> None:
        """Keep what came of it; also by one who isn't the leader any more."""
        ...
