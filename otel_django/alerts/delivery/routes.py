"""Who is told of which alert."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otel_django.alerts.definitions import match
from otel_django.alerts.expressions import Match
from otel_django.alerts.muting import matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from otel_django.alerts.delivery.contract import Kind

URGENT: Final = "pagerduty"
"""Wakes people up: without routes, for what is critical."""


@dataclass(frozen=True, slots=True)
class Route:
    """Alerts that ``matchers`` fit (all, if there are none) are told by ``levels[0]``, and by each
    further level once they have gone unacknowledged for too long.
    """

    matchers: tuple[Match, ...]
    levels: tuple[tuple[str, ...], ...]

    @property
    def id(self) -> str:
        """The same as long as it is for the same alerts."""
        return hashlib.sha256(repr(self.matchers).encode("utf-8", "replace")).hexdigest()[:8]

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether it is for an alert with these labels."""
        return not self.matchers or matches(self.matchers, labels)

    def recipients(self, kind: Kind, level: int) -> tuple[str, ...]:
        """The channels that are told, each once; of a level beyond the last one: the last one.

        Who is escalated to is told alone: the others have been. Of all else they are told, too.
        """
        level = min(level, len(self.levels) - 1)
        levels = self.levels[level : level + 1] if kind == "escalated" else self.levels[: level + 1]
        return tuple(dict.fromkeys(name for names in levels for name in names))


def routes(given: Sequence[Mapping[str, Any]], channels: Iterable[str]) -> tuple[Route, ...]:
    """Those of the settings, without channels that there aren't; the usual ones if there are none.

    Nobody is told of an alert that no route fits.
    """
    there = tuple(channels)
    if not given:
        return _usual(there)
    return tuple(_route(one, there) for one in given)


def first(all_of: Sequence[Route], labels: Mapping[str, str]) -> Route | None:
    """The route of an alert."""
    return next((route for route in all_of if route.fits(labels)), None)


def _usual(there: tuple[str, ...]) -> tuple[Route, ...]:
    calm = tuple(name for name in there if name != URGENT)
    return (
        Route((Match("severity", "=", "critical"),), (there, there)),
        Route((), (calm, there)),
    )


def _route(given: Mapping[str, Any], there: Sequence[str]) -> Route:
    names = [given["channels"], *([name] for name in given.get("escalate", ()))]
    levels = tuple(tuple(name for name in level if name in there) for level in names)
    return Route(
        tuple(match(key, value) for key, value in given.get("match", {}).items()),
        (levels[0], *filter(None, levels[1:])),
    )
