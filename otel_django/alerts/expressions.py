"""The forms an alert's expression can have, as data.

One form is evaluated on what the store has (``evaluate``) and written as PromQL (``promql``), and
means the same in both: what Prometheus does with the samples of the last ``window_s``. ``by`` are
the attributes that tell alerts of one rule apart, in OpenTelemetry's names; series are added up
over all others. A form has one value for each set of their values, and none where nothing is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from otel_django import names
from otel_django.alerts.errors import RuleError

if TYPE_CHECKING:
    from otel_django.metric_points import Kind, MetricDefinition

MatchOperator = Literal["=", "!=", "=~", "!~"]
Operator = Literal[">", ">=", "<", "<="]
Combine = Literal["sum", "max", "min", "avg"]
Over = Literal["last", "avg", "max", "min"]
Part = Literal["value", "count", "sum", "bucket"]

BY_SERVICE: Final = (names.SERVICE_NAME,)
ERROR_GROUP: Final = "error.group"
"""The fingerprint of an error group, as an attribute."""


@dataclass(frozen=True, slots=True)
class Match:
    """A condition on one attribute; that a series doesn't have it is the same as empty.

    ``=~`` and ``!~`` are regular expressions that must fit the whole value.
    """

    key: str
    operator: MatchOperator
    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """The series of one metric; ``kind`` and ``unit`` are part of its name in Prometheus."""

    metric: str
    kind: Kind
    unit: str = ""
    where: tuple[Match, ...] = ()


def select(metric: MetricDefinition, *where: Match) -> Selector:
    """The series of a metric of ours."""
    return Selector(metric.name, metric.kind, metric.unit, where)


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a counter grows, a second; of a histogram how many measurements, or their sum."""

    of: Selector
    window_s: int
    by: tuple[str, ...] = BY_SERVICE
    part: Literal["value", "count", "sum"] = "value"


@dataclass(frozen=True, slots=True)
class Increase:
    """How much a counter grew in the window.

    A series that has only begun counts in full where its process was heard of before: the first
    error of all is one more than none.
    """

    of: Selector
    window_s: int
    by: tuple[str, ...] = BY_SERVICE


@dataclass(frozen=True, slots=True)
class Ratio:
    """``part`` over ``whole``; 0 where there is only the whole."""

    part: Rate
    whole: Rate


@dataclass(frozen=True, slots=True)
class Quantile:
    """The ``share`` quantile (0.95) of a histogram's measurements in the window."""

    of: Selector
    share: float
    window_s: int
    by: tuple[str, ...] = BY_SERVICE


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of a histogram's measurements in the window."""

    of: Selector
    window_s: int
    by: tuple[str, ...] = BY_SERVICE


@dataclass(frozen=True, slots=True)
class Level:
    """A gauge: each series ``over`` the window, then the series combined.

    ``last`` is the newest sample, five minutes old at most, whatever the window. ``ago_s`` is how
    long ago that is looked at.
    """

    of: Selector
    over: Over = "last"
    window_s: int = 0
    by: tuple[str, ...] = BY_SERVICE
    combine: Combine = "max"
    ago_s: int = 0


@dataclass(frozen=True, slots=True)
class Absence:
    """1 where no series has a sample in the window."""

    of: Selector
    window_s: int


@dataclass(frozen=True, slots=True)
class Above:
    """The share of a histogram's measurements above ``bound``, which is one of its buckets'."""

    of: Selector
    bound: float
    window_s: int
    by: tuple[str, ...] = BY_SERVICE


@dataclass(frozen=True, slots=True)
class BurnRate:
    """How many times faster than allowed an error budget is spent: the lesser of two windows'.

    ``budget`` is the share of failures that is allowed. The windows stand in for those that
    ``share`` has.
    """

    share: Ratio | Above
    budget: float
    long_s: int
    short_s: int


@dataclass(frozen=True, slots=True)
class Trend:
    """Seconds until a gauge reaches ``limit`` if it goes on as in the window.

    No value unless it rises, and unless the window is known from its middle on.
    """

    of: Selector
    window_s: int
    limit: float = 1.0
    by: tuple[str, ...] = BY_SERVICE


@dataclass(frozen=True, slots=True)
class Growing:
    """By how much a gauge (the highest series) is above what it was a window ago.

    No value unless it was higher at the end of each of ``parts`` equal parts of the window.
    """

    of: Selector
    window_s: int
    by: tuple[str, ...] = BY_SERVICE
    parts: int = 5


@dataclass(frozen=True, slots=True)
class Scaled:
    """Another form times ``factor``: 100 makes per cent of shares."""

    of: Expression
    factor: float


@dataclass(frozen=True, slots=True)
class When:
    """``value`` where ``condition`` compares as told; ``unless``: where it doesn't.

    Both are joined on the attributes ``on``.
    """

    value: Expression
    condition: Expression
    operator: Operator
    bound: float
    on: tuple[str, ...]
    unless: bool = False


@dataclass(frozen=True, slots=True)
class ErrorGroups:
    """How many error groups appeared, or came back after they were resolved, in the window.

    One value a group, with its fingerprint and service. Prometheus doesn't know groups.
    """

    what: Literal["new", "regressed"]
    window_s: int


@dataclass(frozen=True, slots=True)
class OnlyPromql:
    """What only Prometheus knows, such as whether it reached its targets."""

    text: str


Expression = (
    Rate
    | Increase
    | Ratio
    | Quantile
    | Mean
    | Level
    | Absence
    | Above
    | BurnRate
    | Trend
    | Growing
    | Scaled
    | When
    | ErrorGroups
    | OnlyPromql
)


def selectors(expression: Expression) -> tuple[Selector, ...]:
    """Every metric that is read."""
    if isinstance(expression, Ratio):
        return (expression.part.of, expression.whole.of)
    if isinstance(expression, BurnRate):
        return selectors(expression.share)
    if isinstance(expression, Scaled):
        return selectors(expression.of)
    if isinstance(expression, When):
        return (*selectors(expression.value), *selectors(expression.condition))
    if isinstance(expression, (ErrorGroups, OnlyPromql)):
        return ()
    return (expression.of,)


def labels(expression: Expression) -> tuple[str, ...]:
    """The attributes that its values are told apart by."""
    if isinstance(expression, Ratio):
        return expression.whole.by
    if isinstance(expression, BurnRate):
        return labels(expression.share)
    if isinstance(expression, Scaled):
        return labels(expression.of)
    if isinstance(expression, When):
        return labels(expression.value)
    if isinstance(expression, ErrorGroups):
        return (names.SERVICE_NAME, ERROR_GROUP, names.ERROR_TYPE)
    if isinstance(expression, (Absence, OnlyPromql)):
        return ()
    return expression.by


def check(expression: Expression) -> None:
    """Raise RuleError for a form that can't be evaluated."""
    for selector in selectors(expression):
        if not selector.metric:
            raise RuleError("it names no metric")
    if isinstance(expression, Scaled):
        check(expression.of)
    elif isinstance(expression, BurnRate):
        check(expression.share)
        if not 0 < expression.budget < 1:
            raise RuleError("an error budget is a share between 0 and 1")
    elif isinstance(expression, When):
        check(expression.value)
        check(expression.condition)
    elif isinstance(expression, Ratio):
        _check_same(expression.part.by, expression.whole.by)
    elif isinstance(expression, Quantile) and not 0 < expression.share < 1:
        raise RuleError("a quantile's share lies between 0 and 1, such as 0.95")
    _check_kinds(expression)
    _check_window(expression)


def _check_same(part: tuple[str, ...], whole: tuple[str, ...]) -> None:
    if part != whole:
        raise RuleError("both rates must be told apart by the same attributes")


_HISTOGRAMS = ("histogram", "exponential_histogram")
_GAUGES = ("gauge", "up_down_counter")


def _check_kinds(expression: Expression) -> None:
    if isinstance(expression, (Quantile, Mean, Above)) and expression.of.kind not in _HISTOGRAMS:
        raise RuleError(f"{expression.of.metric} is no histogram")
    if isinstance(expression, (Level, Trend, Growing)) and expression.of.kind not in _GAUGES:
        raise RuleError(f"{expression.of.metric} is no gauge")
    if isinstance(expression, Increase) and expression.of.kind != "counter":
        raise RuleError(f"{expression.of.metric} is no counter")
    rates = [
        one for one in _rates(expression) if (one.part == "value") != (one.of.kind == "counter")
    ]
    if rates:
        raise RuleError(f"{rates[0].of.metric} has no rate of its {rates[0].part}")


def _rates(expression: Expression) -> tuple[Rate, ...]:
    if isinstance(expression, Rate):
        return (expression,)
    if isinstance(expression, Ratio):
        return (expression.part, expression.whole)
    return ()


def _check_window(expression: Expression) -> None:
    window_s = getattr(expression, "window_s", None)
    is_needed = not (isinstance(expression, Level) and expression.over == "last")
    if window_s is not None and is_needed and window_s <= 0:
        raise RuleError("its window must be longer than 0 s")
