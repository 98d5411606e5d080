"""Hands notifications to channels: a thread each, so that none holds another."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from opentelemetry.context import Context, attach

from otel_django import guard, own_thread
from otel_django.alerts.delivery.contract import NotificationError, Outcome, notification
from otel_django.alerts.delivery.retrying import MOST_PATIENCE_S, delay_s, settled
from otel_django.alerts.keeping.contract import SENDING_MS, Attempt, Outgoing
from otel_django.clock import SYSTEM_CLOCK
from otel_django.tracing.current import SUPPRESS_KEY

if TYPE_CHECKING:
    from otel_django.alerts.delivery.contract import Channel
    from otel_django.clock import Clock
    from otel_django.pipeline.retry import Random

MOST_WAITING: Final = 2000
"""Alerts in the notifications that a channel has in memory; the others stay in the outbox."""
TIMEOUT_S: Final = 10.0


class Records(Protocol):
    """The part of a ``Keeper`` that is needed; called from the channels' threads."""

    def attempted(self, attempt: Attempt) -> None:
        """Keep, durably, what came of an attempt."""
        ...


class Sender:
    """Sends what the outbox gives; ``measure`` is told of each attempt.

    What isn't recorded is given again by the outbox: at least once. A notification that would wait
    here for longer than the outbox leaves it to us is dropped: somebody else may have it by then.
    """

    def __init__(
        self,
        channels: Mapping[str, Channel],
        records: Records,
        *,
        timeout_s: float = TIMEOUT_S,
        measure: Callable[[Attempt], object] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        rng: Random | None = None,
    ) -> None:
        self._records = records
        self._lines = {
            name: _Line(channel, self._attempted, timeout_s, clock)
            for name, channel in channels.items()
        }
        self._measure = measure or _unmeasured
        self._clock = clock
        self._random: Random = rng or random.Random()  # noqa: S311 - it only spreads attempts

    def take(self, outgoing: Iterable[Outgoing]) -> None:
        """Send them soon; what ``Keeper.due`` gave, the oldest first."""
        for one in outgoing:
            line = self._lines.get(one.channel)
            if line is not None:
                line.take(one)
            else:
                self._attempted(one, Outcome("refused", "There is no such channel (any more)."))

    def idle(self, timeout_s: float) -> bool:
        """Wait until nothing is left in memory; whether that came."""
        end_s = self._clock.monotonic_s() + timeout_s
        lines = self._lines.values()
        return all(one.idle(max(0.0, end_s - self._clock.monotonic_s())) for one in lines)

    def stop(self, timeout_s: float) -> None:
        """Finish what is on its way, begin nothing new; the rest stays in the outbox."""
        for line in self._lines.values():
            line.end()
        end_s = self._clock.monotonic_s() + timeout_s
        for line in self._lines.values():
            line.join(max(0.0, end_s - self._clock.monotonic_s()))

    def _attempted(self, one: Outgoing, outcome: Outcome) -> None:
        """Record it before anything else is sent through the channel."""
        at_ms = self._clock.now_ns() // 1_000_000
        outcome = settled(outcome, one.created_ms, at_ms)
        next_ms = None
        if outcome.result == "retry":
            next_ms = at_ms + round(delay_s(one.attempts + 1, outcome, self._random) * 1000)
        attempt = Attempt(one.key, one.channel, at_ms, outcome.result, outcome.detail, next_ms)
        with guard.guarded("alerts.delivery.record"):
            self._records.attempted(attempt)
        with guard.guarded("alerts.delivery.measure"):
            self._measure(attempt)


def _unmeasured(attempt: Attempt) -> None:
    """Nobody wants to know."""


class _Waiting(NamedTuple):
    outgoing: Outgoing
    until_s: float


def _size(one: Outgoing) -> int:
    alerts = one.document.get("alerts")
    return len(alerts) if isinstance(alerts, (list, tuple)) else 0


class _Line:
    """One channel's notifications, one after the other."""

    def __init__(
        self,
        channel: Channel,
        attempted: Callable[[Outgoing, Outcome], None],
        timeout_s: float,
        clock: Clock,
    ) -> None:
        self._channel = channel
        self._attempted = attempted
        self._timeout_s = timeout_s
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._sizes: dict[str, int] = {}  # of what waits or is being sent, by key
        self._thread: threading.Thread | None = None
        self._ends = False
        self._closed_until_s = 0.0

    def take(self, one: Outgoing) -> None:
        """Send it soon; not if it is here already, or too much is."""
        until_s = self._clock.monotonic_s() + SENDING_MS / 1000 - self._timeout_s
        with self._changed:
            if self._ends or one.key in self._sizes or sum(self._sizes.values()) >= MOST_WAITING:
                return
            self._sizes[one.key] = _size(one)
            self._waiting.append(_Waiting(one, until_s))
            if self._thread is None:
                self._thread = own_thread.start(
                    self._run, f"otel_django-alerts-{self._channel.name}"
                )
            self._changed.notify_all()

    def idle(self, timeout_s: float) -> bool:
        """Wait until nothing is here."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._sizes, timeout_s)

    def end(self) -> None:
        """Begin nothing new."""
        with self._changed:
            self._ends = True
            self._changed.notify_all()

    def join(self, timeout_s: float) -> None:
        """Wait for what is being sent."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        attach(Context({SUPPRESS_KEY: True}))  # addresses in spans would show secrets
        while (one := self._next()) is not None:
            try:
                if self._may_send(one):
                    self._send(one.outgoing)
            finally:
                with self._changed:
                    self._sizes.pop(one.outgoing.key, None)
                    self._changed.notify_all()

    def _next(self) -> _Waiting | None:
        with self._changed:
            self._changed.wait_for(lambda: self._ends or self._waiting)
            return None if self._ends else self._waiting.popleft()

    def _may_send(self, one: _Waiting) -> bool:
        """Once the receiver wants to be asked again; unless that is too late for this one."""
        opens_s = self._closed_until_s
        with self._changed:
            while not self._ends and (now_s := self._clock.monotonic_s()) < opens_s <= one.until_s:
                self._changed.wait(opens_s - now_s)
        return not self._ends and max(opens_s, self._clock.monotonic_s()) <= one.until_s

    def _send(self, one: Outgoing) -> None:
        try:
            outcome = self._channel.send(notification(one.document), self._timeout_s)
        except NotificationError as error:
            outcome = Outcome("refused", f"What was kept of it can't be read. {error}")
        except Exception as error:
            guard.caught(f"alerts.delivery {self._channel.name}")
            outcome = Outcome("retry", f"The channel failed ({type(error).__name__}).")
        if outcome.result == "retry" and outcome.after_s is not None:
            wish_s = min(outcome.after_s, MOST_PATIENCE_S)
            self._closed_until_s = self._clock.monotonic_s() + wish_s
        self._attempted(one, outcome)
