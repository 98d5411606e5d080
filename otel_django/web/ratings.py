"""When something is good, fair or poor: the limits are in docs/reference/endpoints.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Rating = Literal["good", "fair", "poor"]

POOR_FACTOR: Final = 5
"""Statements are poor from this many times OTEL_DJANGO_SLOW_QUERY_MS on."""
GOOD_HIT_RATIO: Final = 0.8
FAIR_HIT_RATIO: Final = 0.5
_ORDER: Final[tuple[Rating, ...]] = ("poor", "fair", "good")


def of_statement(p95_s: float, slow_s: float) -> Rating:
    """By how long 95 of 100 runs take at most."""
    if p95_s >= POOR_FACTOR * slow_s:
        return "poor"
    return "fair" if p95_s >= slow_s else "good"


def of_hit_ratio(ratio: float | None) -> Rating | None:
    """By the share of look-ups that found something; None where nothing was looked up."""
    if ratio is None:
        return None
    return "good" if ratio >= GOOD_HIT_RATIO else "fair" if ratio >= FAIR_HIT_RATIO else "poor"


def worst(ratings: Iterable[Rating | None]) -> Rating | None:
    """Of several; None for none."""
    found = set(ratings)
    return next((rating for rating in _ORDER if rating in found), None)
