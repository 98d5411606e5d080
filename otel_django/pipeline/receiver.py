"""What is known of the receiver: when to try it again, how the last answers were."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from otel_django import guard, names
from otel_django.errors import TransportError
from otel_django.pipeline.retry import Backoff, Outcome, Random, Verdict

if TYPE_CHECKING:
    from otel_django.clock import Clock

LOG_EVERY_S: Final = 60.0

_logger = logging.getLogger(guard.LOGGER_NAME)


class Transport(Protocol):
    """How requests travel. ``destination`` names the receiver without secrets."""

    destination: str

    def prepare(self) -> None:
        """Begin what takes time and needs no request, without waiting."""
        ...

    def send(self, body: bytes, deadline_s: float, on_wait: Callable[[], object]) -> Verdict:
        """Send one request; TransportError when no answer came until the monotonic deadline."""
        ...

    def close(self) -> None:
        """Close the connection; a later ``send`` opens another."""
        ...

    def after_fork(self) -> None:
        """In a forked child: drop the parent's connection without a word to its peer."""
        ...


class Receiver:
    """The other end. Its times are monotonic seconds, None for never; its texts hold no secret."""

    def __init__(
        self, transport: Transport, clock: Clock, rng: Random, headers: Mapping[str, str]
    ) -> None:
        self.transport = transport
        self._headers = headers
        self._clock = clock
        self._rng = rng
        self._reset()

    def _reset(self) -> None:
        self._backoff = Backoff(self._rng)
        self.last_success_s: float | None = None
        self.last_error_s: float | None = None
        self.last_error = ""
        self._next_log_s: dict[str, float] = {}
        self._said_failing = False
        self._prepared = False

    @property
    def failing(self) -> bool:
        """The last request must be sent again."""
        return self._backoff.failing

    @property
    def wait_s(self) -> float:
        """Seconds until it should be tried again; 0 for now."""
        return self._backoff.wait_s(self._clock.monotonic_s())

    @property
    def away_s(self) -> float:
        """For how long it has taken nothing; infinity for never."""
        if self.last_success_s is None:
            return math.inf
        return self._clock.monotonic_s() - self.last_success_s

    def prepare(self) -> None:
        """Once a process, before the first request."""
        if not self._prepared:
            self._prepared = True
            self.transport.prepare()

    def post(self, body: bytes, deadline_s: float, on_wait: Callable[[], object]) -> Verdict:
        """Send one request and take note of the outcome; never raises (but in strict mode)."""
        try:
            verdict = self.transport.send(body, deadline_s, on_wait)
        except TransportError as error:
            verdict = Verdict(Outcome.RETRY, str(error))
        except Exception as error:
            guard.caught("sender.send")
            verdict = Verdict(Outcome.RETRY, type(error).__name__)
        if verdict.message:
            verdict = replace(verdict, message=masked(verdict.message, self._headers))
        self._note(verdict)
        return verdict

    def _note(self, verdict: Verdict) -> None:
        now_s = self._clock.monotonic_s()
        if verdict.outcome is Outcome.DELIVERED:
            self.last_success_s = now_s
        else:
            self.last_error, self.last_error_s = verdict.message, now_s
        if verdict.outcome is Outcome.RETRY:
            self._backoff.failed(now_s, verdict.retry_after_s)
            what = f"{self.transport.destination}: {verdict.message}; kept until it answers"
            self._said_failing |= self.say(names.DELIVERY_FAILED, what)
            return
        self._backoff.succeeded()
        if self._said_failing and verdict.outcome is Outcome.DELIVERED:
            self._said_failing = False
            destination = self.transport.destination
            _logger.info("%s: %s answers again", names.DELIVERY_RESUMED, destination)

    def say(self, event: str, text: str) -> bool:
        """Log, each event at most once a minute: what is logged may come back as telemetry."""
        now_s = self._clock.monotonic_s()
        if now_s < self._next_log_s.get(event, float("-inf")):
            return False
        self._next_log_s[event] = now_s + LOG_EVERY_S
        _logger.warning("%s: %s", event, text)
        return True

    def after_fork(self) -> None:
        """In a forked child: nothing is known yet."""
        self.transport.after_fork()
        self._reset()


def masked(text: str, headers: Mapping[str, str]) -> str:
    """Without our credentials, as a receiver may quote what it refused.

    They are the values of ``headers`` and their words ("Bearer …"); short ones are no secrets.
    """
    words = {word for value in headers.values() for word in (value, *value.split())}
    for secret in sorted((word for word in words if len(word) >= 8), key=len, reverse=True):
        text = text.replace(secret, "…")
    return text
