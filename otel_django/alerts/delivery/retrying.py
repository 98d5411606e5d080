"""When a notification is tried again, and when no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_django.alerts.delivery.contract import Outcome

if TYPE_CHECKING:
    from otel_django.pipeline.retry import Random

FIRST_S: Final = 2.0
LONGEST_S: Final = 60.0
"""So that a channel that is back tells soon what it missed."""
MOST_PATIENCE_S: Final = 3600.0
"""A receiver may ask to be left alone for so long."""
GIVEN_UP_S: Final = 24 * 3600.0
"""A notification that nobody took for so long is no news any more."""


def delay_s(attempts: int, outcome: Outcome, random: Random) -> float:
    """Seconds until the next attempt; ``attempts`` have been made. A receiver's wish is a minimum.

    Half of the delay is chance: many that failed together don't come back together.
    """
    longest = min(FIRST_S * float(2 ** min(attempts - 1, 10)), LONGEST_S)
    delay = longest / 2 + random.uniform(0, longest / 2)
    return max(delay, min(outcome.after_s or 0.0, MOST_PATIENCE_S))


def settled(outcome: Outcome, created_ms: int, at_ms: int) -> Outcome:
    """The outcome, or that the notification is given up."""
    if outcome.result == "retry" and at_ms - created_ms >= GIVEN_UP_S * 1000:
        return Outcome("refused", f"Given up after a day. {outcome.detail}".rstrip())
    return outcome
