"""How much the caches find, and how long they take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otel_django import metric_definitions as metrics
from otel_django import names
from otel_django.viewer import search_terms, series
from otel_django.viewer.chart import Line, chart
from otel_django.viewer.levels import last_known
from otel_django.viewer.page import Context, page
from otel_django.viewer.table import Column, in_order
from otel_django.web import ratings
from otel_django.web.metric_sums import Spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otel_django.viewer.series import Group, Key, Reading, Values
    from otel_django.viewer.visit import Visit
    from otel_django.web.ratings import Rating

MOST_ROWS: Final = 100
MOST_LINES: Final = 6
STEPS: Final = 60
_BY: Final = (
    names.DJANGO_CACHE_ALIAS,
    names.DJANGO_CACHE_OPERATION,
    names.DJANGO_CACHE_RESULT,
    names.DJANGO_CACHE_KEY_PREFIX,
)
_ALIAS, _OPERATION, _RESULT, _PREFIX = range(4)
_RESULTS: Final = {
    "hit": ("hits", "good"),
    "miss": ("misses", "warn"),
    "error": ("errors", "error"),
}
_SERVER: Final = {
    "memory": metrics.REDIS_MEMORY_USED,
    "stored": metrics.REDIS_KEYS,
    "evicted": metrics.REDIS_EVICTIONS,
}
_COLUMNS: Final = (
    Column("prefix", "Key prefix", text=True),
    Column("alias", "Cache", text=True),
    Column("lookups", "Look-ups", "Keys that were asked for"),
    Column("hits", "Hits"),
    Column("misses", "Misses"),
    Column("ratio", "Hit ratio", classes="wide"),
)


@dataclass(slots=True)
class Lookups:
    """Keys of one cache, and of those that begin alike where ``prefix`` says so."""

    alias: str
    prefix: str = ""
    hits: int = 0
    misses: int = 0
    errors: int = 0

    def add(self, result: str, count: int) -> None:
        """``count`` more keys of which that came."""
        if result == "hit":
            self.hits += count
        elif result == "miss":
            self.misses += count
        elif result == "error":
            self.errors += count

    @property
    def lookups(self) -> int:
        """Keys that were there or not."""
        return self.hits + self.misses

    @property
    def ratio(self) -> float | None:
        """The share that was there."""
        return self.hits / self.lookups if self.lookups else None

    @property
    def rating(self) -> Rating | None:
        """By the limits of the reference."""
        return ratings.of_hit_ratio(self.ratio)

    @property
    def query(self) -> str:
        """The search for its traces."""
        key = names.DJANGO_CACHE_KEY_PREFIX if self.prefix else names.DJANGO_CACHE_ALIAS
        return search_terms.written(key, self.prefix or self.alias)


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of call of one cache; percentiles are None where there was none."""

    alias: str
    operation: str
    calls: int
    errors: int
    p50_ns: float | None
    p95_ns: float | None
    p99_ns: float | None


@page("cache", "Cache")
def cache(visit: Visit) -> Context:
    """Look-ups by cache and key prefix, calls by operation."""
    keys = _read(visit, metrics.DJANGO_CACHE_OPERATIONS.name, _BY)
    aliases = _tallies(keys.groups, by_prefix=False)
    prefixes = [each for each in _tallies(keys.groups, by_prefix=True) if each.lookups]
    text = visit.text("q").lower()
    matching = [each for each in prefixes if text in f"{each.prefix} {each.alias}".lower()]
    rows, headings = in_order(visit, matching, _COLUMNS, "lookups")
    whole = Lookups("")
    for each in aliases:
        whole.hits, whole.misses = whole.hits + each.hits, whole.misses + each.misses
    operations, p95_ns, note = _operations(visit, keys.groups)
    return {
        "whole": whole,
        "rating": ratings.worst(each.rating for each in aliases),
        "errors": sum(each.errors for each in aliases),
        "p95_ns": p95_ns,
        "aliases": aliases,
        "servers": _servers(visit, aliases),
        "rows": rows[:MOST_ROWS],
        "headings": headings,
        "matching": len(matching),
        "has_prefixes": any(each.prefix for each in prefixes),
        "operations": operations,
        "partial": keys.partial or note,
        "ratios": chart("1", keys.steps.times_s, _ratio_lines(keys, aliases)),
        "rates": chart("/s", keys.steps.times_s, _rate_lines(keys)),
    }


def _read(visit: Visit, name: str, by: tuple[str, ...]) -> Reading:
    reader, when = visit.readers.metrics, visit.range
    return series.read(reader, name, when, by=by, service=visit.service, most_steps=STEPS)


def _tallies(groups: Mapping[Key, Group], *, by_prefix: bool) -> list[Lookups]:
    """Most look-ups first."""
    found: dict[tuple[str, str], Lookups] = {}
    for key, group in groups.items():
        which = (key[_ALIAS], key[_PREFIX] if by_prefix else "")
        found.setdefault(which, Lookups(*which)).add(key[_RESULT], _total(group))
    return sorted(found.values(), key=lambda each: -each.lookups)


def _operations(
    visit: Visit, keys: Mapping[Key, Group]
) -> tuple[list[Operation], float | None, str]:
    """Most calls first; the 95th percentile of all, and what to say about them."""
    times = _read(visit, metrics.DJANGO_CACHE_OPERATION_DURATION.name, _BY[:2])
    errors: dict[Key, int] = {}
    for key, group in keys.items():
        if key[_RESULT] == "error":
            which = key[:_RESULT]
            errors[which] = errors.get(which, 0) + _total(group)
    found = []
    whole = Spread()
    for (alias, operation), group in times.groups.items():
        calls = round(group.spread.count)
        if calls:
            whole.merge(group.spread)
            figures = _percentiles_ns(group.spread)
            failed = errors.get((alias, operation), 0)
            found.append(Operation(alias, operation, calls, failed, *figures))
    found.sort(key=lambda each: -each.calls)
    return found, _percentiles_ns(whole)[1], times.partial


def _percentiles_ns(spread: Spread) -> list[float | None]:
    if not spread.count:
        return [None, None, None]
    return [each * 1e9 for each in spread.quantiles(0.5, 0.95, 0.99)]


def _total(group: Group) -> int:
    """Steps that the range cuts are told in parts."""
    return round(group.total or 0)


def _servers(visit: Visit, aliases: Iterable[Lookups]) -> dict[str, dict[str, float | None]]:
    """What servers tell of themselves: a cache's alias → ``_SERVER``'s figures; empty if none."""
    found: dict[str, dict[str, float | None]] = {
        each.alias: dict.fromkeys(_SERVER) for each in aliases
    }
    is_any = False
    for figure, metric in _SERVER.items():
        reading = _read(visit, metric.name, (names.DJANGO_CACHE_ALIAS,))
        for (alias,), group in reading.groups.items():
            if alias in found:
                found[alias][figure] = last_known(group.levels("max"))
                is_any = True
    return found if is_any else {}


def _ratio_lines(keys: Reading, aliases: Iterable[Lookups]) -> list[Line]:
    lines = []
    for each in list(aliases)[:MOST_LINES]:
        hits, misses = (_counts(keys, result, each.alias) for result in ("hit", "miss"))
        points = [
            (hit or 0) / looked_up if (looked_up := (hit or 0) + (miss or 0)) else None
            for hit, miss in zip(hits, misses, strict=True)
        ]
        lines.append(Line(each.alias, points))
    return lines


def _rate_lines(keys: Reading) -> list[Line]:
    lines = []
    for result, (name, colour) in _RESULTS.items():
        counts = _counts(keys, result)
        if any(count is not None for count in counts):
            rates = [
                None if count is None or not length_s else count / length_s
                for count, length_s in zip(counts, keys.lengths_s, strict=True)
            ]
            lines.append(Line(name, rates, colour))
    return lines


def _counts(keys: Reading, result: str, alias: str | None = None) -> Values:
    """Keys in each step; None where nothing is known."""
    counts = [
        group.counts
        for key, group in keys.groups.items()
        if key[_RESULT] == result and alias in (None, key[_ALIAS])
    ]
    if not counts:
        return [None] * keys.steps.count
    rows = ([count for count in row if count is not None] for row in zip(*counts, strict=True))
    return [sum(row) if row else None for row in rows]
