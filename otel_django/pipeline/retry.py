"""What an answer means and when to try again: the OTLP specification as pure functions.

Where the specification and "nothing is lost silently" pull apart:

- only 2xx is success over HTTP. A redirect is none: following it would send data, and credentials,
  somewhere nobody configured, and its target is mostly a login page. The data is kept;
- a 2xx that carries HTML is a proxy's or a login page's, not a receiver's: the data is kept. Any
  other 2xx counts as delivered, readable or not;
- 4xx and 5xx that the specification doesn't call retryable are final, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from otel_django.pipeline.otlp_answers import (
    partial_success,
    readable,
    retry_delay_s,
    status_message,
)

INITIAL_DELAY_S: Final = 1.0
MAX_DELAY_S: Final = 5.0
"""So that the end of an outage is noticed within five seconds."""
MIN_DELAY_S: Final = 0.1
MAX_RETRY_AFTER_S: Final = 300.0
"""A receiver may ask for patience, but not switch telemetry off."""

RETRYABLE_HTTP: Final = frozenset({429, 502, 503, 504})
RETRYABLE_GRPC: Final = frozenset(
    {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
)
_TOO_LARGE_GRPC: Final = "larger than max"
"""What gRPC servers say, with RESOURCE_EXHAUSTED, of a message beyond their limit."""


class Outcome(Enum):
    """What became of a request."""

    DELIVERED = "delivered"
    RETRY = "retry"
    TOO_LARGE = "too large"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Verdict:
    """An answer, judged.

    ``rejected`` counts the items refused of a request that was otherwise delivered;
    ``retry_after_s`` is the receiver's wish; ``message`` is one line for people.
    """

    outcome: Outcome
    message: str = ""
    retry_after_s: float | None = None
    rejected: int = 0

    @property
    def settled(self) -> bool:
        """Nothing more can be done for the request."""
        return self.outcome in (Outcome.DELIVERED, Outcome.REJECTED)


def judge_http(status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Verdict:
    """Judge a response. Header names are in lower case; ``now_s`` is Unix time."""
    if 200 <= status < 300:
        if _is_html(headers, body):
            text = f"HTTP {status} with an HTML page: not an OTLP receiver (a proxy or a login?)"
            return Verdict(Outcome.RETRY, text)
        return judge_response(body)
    message = _describe(status, headers, body)
    if status == 413:
        return Verdict(Outcome.TOO_LARGE, message)
    if status in RETRYABLE_HTTP:
        wish = retry_after_s(headers.get("retry-after", ""), now_s)
        return Verdict(Outcome.RETRY, message, wish)
    if 300 <= status < 400:
        return Verdict(Outcome.RETRY, f"{message}: name the final address in the endpoint")
    return Verdict(Outcome.REJECTED, message)


def judge_response(body: bytes) -> Verdict:
    """Judge the body of a successful answer, of HTTP or gRPC."""
    try:
        rejected, message = partial_success(body)
    except ValueError:
        return Verdict(Outcome.DELIVERED)
    return Verdict(Outcome.DELIVERED, message, rejected=rejected)


def judge_grpc(code: str, message: str, details: bytes = b"") -> Verdict:
    """Judge a failed call: status name, its text, ``grpc-status-details-bin``."""
    text = f"gRPC {code}: {readable(message)}"
    wish = retry_delay_s(details)
    if wish is not None:
        wish = min(wish, MAX_RETRY_AFTER_S)
    if code == "RESOURCE_EXHAUSTED":
        if _TOO_LARGE_GRPC in message:
            return Verdict(Outcome.TOO_LARGE, text)
        return Verdict(Outcome.REJECTED if wish is None else Outcome.RETRY, text, wish)
    return Verdict(Outcome.RETRY if code in RETRYABLE_GRPC else Outcome.REJECTED, text, wish)


def retry_after_s(value: str, now_s: float, most_s: float = MAX_RETRY_AFTER_S) -> float | None:
    """``Retry-After`` in seconds or as an HTTP date; None where it is missing or unreadable."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), most_s)
    if not value:
        return None
    from email.utils import parsedate_to_datetime

    try:
        wish = parsedate_to_datetime(value).timestamp() - now_s
    except (ValueError, OverflowError, TypeError):
        return None
    return min(max(wish, 0.0), most_s)


def _is_html(headers: Mapping[str, str], body: bytes) -> bool:
    kind = headers.get("content-type", "").lower()
    start = body[:64].lstrip().lower()
    return kind.startswith(("text/html", "application/xhtml")) or start.startswith(
        (b"<!doctype html", b"<html")
    )


def _describe(status: int, headers: Mapping[str, str], body: bytes) -> str:
    text = f"HTTP {status}"
    if headers.get("content-type", "").startswith("application/x-protobuf"):
        said = status_message(body)
        return f"{text}: {said}" if said else text
    return text


class Random(Protocol):
    """What is used of ``random.Random``."""

    def uniform(self, a: float, b: float) -> float: ...

    def seed(self) -> None: ...


class Backoff:
    """Exponential back-off with full jitter; time comes in as monotonic seconds."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._failures = 0
        self._due_s = 0.0

    @property
    def failing(self) -> bool:
        """The last attempt failed."""
        return self._failures > 0

    def wait_s(self, now_s: float) -> float:
        """Seconds until the next attempt, 0 when it is due."""
        return max(self._due_s - now_s, 0.0) if self._failures else 0.0

    def failed(self, now_s: float, retry_after_s: float | None = None) -> None:
        """An attempt failed; a receiver's wish is a minimum."""
        ceiling = min(INITIAL_DELAY_S * 2 ** min(self._failures, 10), MAX_DELAY_S)
        delay = self._rng.uniform(MIN_DELAY_S, ceiling)
        if retry_after_s is not None:
            delay = retry_after_s + self._rng.uniform(0.0, MIN_DELAY_S)
        self._failures += 1
        self._due_s = now_s + delay

    def succeeded(self) -> None:
        """The receiver answered."""
        self._failures = 0
