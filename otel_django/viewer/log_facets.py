"""What the lines that match have in common: levels, loggers, services, each with its number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_django.viewer import search, search_terms
from otel_django.viewer.log_lines import LEVELS

if TYPE_CHECKING:
    from otel_django.contracts import LogQuery
    from otel_django.roll_ups import LogSummary
    from otel_django.viewer.visit import Visit

FIRST: Final = 8
"""So many values are shown at once, the others below them."""


class Choice(NamedTuple):
    """A value; its address chooses it, or all again where it is ``chosen``."""

    value: str
    number: int
    address: str
    chosen: bool


class Facet(NamedTuple):
    """A field to choose a value of."""

    title: str
    choices: Sequence[Choice]
    more: Sequence[Choice] = ()


def facets_of(visit: Visit, summary: LogSummary, query: LogQuery) -> tuple[Facet, ...]:
    """Counts are of what matches the rest of the search."""
    loggers = [
        _of_search(visit, "logger", each.value, each.count, query.logger == each.value)
        for each in summary.loggers
        if each.value
    ]
    services = [
        Choice(
            each.value,
            each.count,
            visit.here(service=None if visit.service == each.value else each.value, cursor=None),
            visit.service == each.value,
        )
        for each in summary.services
        if each.value
    ]
    found = (
        Facet("Level, and worse", _levels(visit, summary, query)),
        Facet("Logger", loggers[:FIRST], loggers[FIRST:]),
        Facet("Service", services[:FIRST], services[FIRST:]),
    )
    return tuple(each for each in found if each.choices)


def _levels(visit: Visit, summary: LogSummary, query: LogQuery) -> list[Choice]:
    least = query.min_severity
    return [
        _of_search(visit, "level", level, summary.choices[level], least == search.LEVELS[level])
        for level in LEVELS
        if summary.choices.get(level)
    ]


def _of_search(visit: Visit, key: str, value: str, number: int, chosen: bool) -> Choice:
    """Its term takes the place of others with the same key."""
    terms = search_terms.split(visit.text("q"))[0]
    texts = [str(term) for term in terms if term.key != key]
    if not chosen:
        texts.append(search_terms.written(key, value))
    return Choice(value, number, visit.here(q=" ".join(texts), cursor=None), chosen)
