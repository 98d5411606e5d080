"""One metric as lines: what is drawn for its kind, split and filtered as was asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from otel_django.cli.inert_text import inert
from otel_django.viewer import units
from otel_django.viewer.chart import Line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otel_django.contracts import MetricInfo
    from otel_django.viewer.series import Group, Key, Reading, Values

Figures: TypeAlias = "tuple[tuple[float | None, str], ...]"
MOST_LINES: Final = 12
PERCENTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
PERCENTILE_COLOURS: Final = {"p50": "database", "p95": "code", "p99": "messaging"}
LONGEST_VALUE: Final = 120
OTHERS: Final = "others"
ALL: Final = "all together"
WAYS: Final[Mapping[str, Mapping[str, str]]] = {
    "counter": {"rate": "rate", "increase": "increase"},
    "up_down_counter": {"sum": "sum", "mean": "mean", "max": "largest", "min": "smallest"},
    "gauge": {"mean": "mean", "max": "largest", "min": "smallest", "sum": "sum"},
    "histogram": {
        "percentiles": "p50, p95, p99",
        "p50": "p50",
        "p95": "p95",
        "p99": "p99",
        "mean": "mean",
        "rate": "rate",
    },
}
"""Kind → how it can be shown, the usual way first, with words for it."""


def ways(info: MetricInfo) -> Mapping[str, str]:
    """How a metric can be shown, the usual way first."""
    return WAYS["histogram" if info.kind == "exponential_histogram" else info.kind]


def is_distribution(info: MetricInfo) -> bool:
    """Whether it has percentiles."""
    return info.kind in {"histogram", "exponential_histogram"}


class Row(NamedTuple):
    """One line's figures: its key is None for all together and for what is left over.

    ``figures`` are in the order of ``titles``, each with its unit; ``texts`` the same for a table.
    """

    label: str
    key: Key | None
    figures: Figures
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class View:
    """What a page shows of a metric. ``left_out`` is how many series "others" stands for."""

    unit: str
    lines: list[Line]
    titles: tuple[str, ...]
    rows: list[Row]
    left_out: int = 0


def view(reading: Reading, info: MetricInfo, way: str) -> View:
    """``way`` is one of ``ways``; with a split, percentiles are the 95th of each."""
    if way == "percentiles" and not reading.by:
        lines = _percentiles(reading.all)
        return View(info.unit, lines, *_table(info, way, [(ALL, None, reading.all)]))
    parts, left_out = _parts(reading, info)
    lines = [
        Line(label, _values(group, way, info), "quiet" if label == OTHERS and key is None else "")
        for label, key, group in parts
    ]
    unit = f"{info.unit}/s" if way == "rate" and not is_distribution(info) else info.unit
    if way == "rate" and is_distribution(info):
        unit = "{measurement}/s"
    return View(unit, lines, *_table(info, way, parts), left_out)


def _percentiles(group: Group) -> list[Line]:
    found = group.quantiles(*PERCENTILES.values())
    return [
        Line(name, values, PERCENTILE_COLOURS[name])
        for name, values in zip(PERCENTILES, found, strict=True)
    ]


def _parts(reading: Reading, info: MetricInfo) -> tuple[list[tuple[str, Key | None, Group]], int]:
    """The largest groups and the others together, with what they are called."""
    if not reading.by:
        return [(ALL, None, reading.all)], 0
    groups = sorted(reading.groups.items(), key=lambda item: -_weight(item[1], info))
    parts: list[tuple[str, Key | None, Group]] = [
        (label(reading.by, key), key, group) for key, group in groups[:MOST_LINES]
    ]
    rest = [group for _, group in groups[MOST_LINES:]]
    if rest:
        parts.append((OTHERS, None, reading.together(rest)))
    return parts, len(rest)


def label(by: Sequence[str], key: Key) -> str:
    """What a group is called: its values, those that it has."""
    told = " · ".join(value[:LONGEST_VALUE] for value in key if value) or f"no {by[0]}"
    return inert(told)


def _weight(group: Group, info: MetricInfo) -> float:
    if info.kind in {"gauge", "up_down_counter"}:
        return max((value for value in group.levels("max") if value is not None), default=0.0)
    return group.total or 0.0


def _values(group: Group, way: str, info: MetricInfo) -> Values:
    if way == "rate":
        return group.rates
    if way == "increase":
        return group.counts
    if way == "mean" and is_distribution(info):
        return group.means
    if way == "percentiles" or way in PERCENTILES:
        return group.quantiles(PERCENTILES.get(way, PERCENTILES["p95"]))[0]
    return group.levels(way)


# --- the table


def _table(
    info: MetricInfo, way: str, parts: Sequence[tuple[str, Key | None, Group]]
) -> tuple[tuple[str, ...], list[Row]]:
    told = [figures(group, info, way) for _, _, group in parts]
    rows = [
        Row(label, key, each, text)
        for (label, key, _), each, text in zip(parts, told, _texts(told), strict=True)
    ]
    return titles(info), rows


def _texts(rows: Sequence[Figures]) -> list[tuple[str, ...]]:
    """The figures in words; all of one unit alike."""
    values: dict[str, list[float | None]] = {}
    for row in rows:
        for value, unit in row:
            values.setdefault(unit, []).append(value)
    texts = {unit: iter(units.alike(each, unit)) for unit, each in values.items()}
    return [tuple(next(texts[unit]) for _, unit in row) for row in rows]


def titles(info: MetricInfo) -> tuple[str, ...]:
    """What ``figures`` are."""
    if is_distribution(info):
        return ("Measurements", "Rate", "Mean", "p50", "p95", "p99")
    if info.kind == "counter":
        return ("In the range", "Mean rate", "Largest rate", "Last rate")
    return ("Last", "Least", "Mean", "Largest")


def figures(group: Group, info: MetricInfo, way: str) -> Figures:
    """A group's figures of the whole range, each with its unit."""
    if is_distribution(info):
        return _distribution(group, info.unit)
    if info.kind == "counter":
        return _sum(group, info.unit)
    return _level(group, info.unit, way)


def _distribution(group: Group, unit: str) -> Figures:
    spread = group.spread
    count = spread.count
    told = spread.quantiles(*PERCENTILES.values()) if count else (None,) * len(PERCENTILES)
    return (
        (None if group.total is None else round(count), ""),
        (_mean(group.rates), "{measurement}/s"),
        (spread.mean if count else None, unit),
        *((each, unit) for each in told),
    )


def _sum(group: Group, unit: str) -> Figures:
    rates = [value for value in group.rates if value is not None]
    per_second = f"{unit}/s"
    return (
        (group.total, unit),
        (_mean(rates), per_second),
        (max(rates, default=None), per_second),
        (rates[-1] if rates else None, per_second),
    )


def _level(group: Group, unit: str, way: str) -> Figures:
    values = [value for value in group.levels(way) if value is not None]
    if not values:
        return ((None, unit),) * 4
    return ((values[-1], unit), (min(values), unit), (_mean(values), unit), (max(values), unit))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
