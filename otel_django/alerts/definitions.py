"""Rules as users write them: dicts of plain values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from otel_django import metric_definitions as metrics
from otel_django.alerts import expressions as forms
from otel_django.alerts import patterns
from otel_django.alerts.errors import RuleError
from otel_django.alerts.rules import SEVERITIES, Rule, Threshold

if TYPE_CHECKING:
    from otel_django.metric_points import Kind

KINDS: Final = ("counter", "up_down_counter", "gauge", "histogram", "exponential_histogram")
_TIME: Final = re.compile(r"(\d{1,9})\s*([smhd]?)")
LONGEST_S: Final = 366 * 86400
_UNITS_S: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_KNOWN: Final = {one.name: one for one in metrics.ALL}
_TEXTS: Final = ("summary", "description", "unit", "page", "runbook")
_OF_RULES: Final = frozenset(
    {
        *("name", "operator", "labels", "enabled", "keep_firing", *_TEXTS),
        *SEVERITIES,
        *(f"{severity}_for" for severity in SEVERITIES),
    }
)
_OF_METRICS: Final = frozenset({"form", "metric", "kind", "unit", "where", "by", "window", "scale"})

_UNUSABLE: Final = (TypeError, ValueError, KeyError, OverflowError)
"""What comes of values of other types and sizes than are meant."""


def defined(given: Mapping[str, Any]) -> Rule:
    """A rule of its own.

    Raises:
        RuleError: it can't be understood; the text says what is allowed.
    """
    name = str(given.get("name", ""))
    try:
        expression = _expression(given)
        rule = Rule(
            name,
            expression,
            given.get("operator", ">"),
            str(given.get("summary") or f"{name} is {{value}}"),
            **{severity: _threshold(given, severity, None) for severity in SEVERITIES},
        )
        return _with_the_rest(rule, given)
    except RuleError as error:
        raise _of(name, error) from error
    except _UNUSABLE as error:
        raise RuleError(f"Rule {name!r} can't be used: {error}.") from error


def changed(rule: Rule, given: Mapping[str, Any]) -> Rule:
    """A rule with what ``given`` says otherwise.

    Raises:
        RuleError: something can't be changed, or not in that way.
    """
    try:
        _refuse(set(given) - _OF_RULES, _OF_RULES)
        thresholds = {
            severity: _threshold(given, severity, getattr(rule, severity))
            for severity in SEVERITIES
        }
        rule = replace(rule, operator=given.get("operator", rule.operator), **thresholds)
        return _with_the_rest(rule, given)
    except RuleError as error:
        raise _of(rule.name, error) from error
    except _UNUSABLE as error:
        raise RuleError(f"Rule {rule.name!r} can't be used: {error}.") from error


def _of(name: str, error: RuleError) -> RuleError:
    text = str(error)
    return error if text.startswith("Rule ") else RuleError(f"Rule {name!r} can't be used: {text}.")


def _with_the_rest(rule: Rule, given: Mapping[str, Any]) -> Rule:
    rest: dict[str, Any] = {key: str(given[key]) for key in _TEXTS if key in given}
    if "labels" in given:
        labels = _mapping(given, "labels")
        rest["labels"] = {str(key): str(value) for key, value in labels.items()}
    if "enabled" in given:
        rest["enabled"] = given["enabled"] is True or given["enabled"] == "true"
    if "keep_firing" in given:
        rest["keep_firing_s"] = seconds(given["keep_firing"])
    return replace(rule, **rest)


def _threshold(given: Mapping[str, Any], severity: str, before: Threshold | None) -> Any:
    for_s = before.for_s if before else 0
    if f"{severity}_for" in given:
        for_s = seconds(given[f"{severity}_for"])
    if severity not in given:
        return None if before is None else replace(before, for_s=for_s)
    if given[severity] is None:
        return None
    value = _number(given, severity)
    return Threshold(value, for_s) if before is None else replace(before, value=value, for_s=for_s)


def _number(given: Mapping[str, Any], key: str) -> float:
    value = given[key]
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise RuleError(f"its {key} must be a number")
    try:
        return float(value)
    except ValueError:
        raise RuleError(f"its {key} must be a number") from None


def _mapping(given: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = given.get(key) or {}
    if not isinstance(value, Mapping):
        raise RuleError(f"its {key} must be a dict")
    return value


def seconds(value: object) -> int:
    """Of ``5m``, or of a number of seconds; a year at most.

    Raises:
        RuleError: it is neither, or longer.
    """
    found = _TIME.fullmatch(str(value).strip())
    if found is None:
        raise RuleError(f"{value!r} is no time; write 30s, 5m, 6h or 3d")
    length_s = int(found[1]) * _UNITS_S[found[2]]
    if length_s > LONGEST_S:
        raise RuleError(f"{value!r} is too long; {LONGEST_S // 86400}d is the longest")
    return length_s


def _refuse(unknown: set[str], known: frozenset[str]) -> None:
    if unknown:
        raise RuleError(f"it has no {min(unknown)!r}; there are {', '.join(sorted(known))}")


# --- expressions


def _expression(given: Mapping[str, Any]) -> forms.Expression:
    make, more = _FORMS.get(given.get("form", ""), (None, frozenset()))
    if make is None:
        raise RuleError(f"its form must be one of {', '.join(_FORMS)}")
    known = _OF_RULES | _OF_METRICS | more
    _refuse(set(given) - known, known)
    made = make(_selector(given), given)
    return forms.Scaled(made, _number(given, "scale")) if "scale" in given else made


def _selector(given: Mapping[str, Any]) -> forms.Selector:
    metric = str(given.get("metric", ""))
    known = _KNOWN.get(metric)
    where = _matches(_mapping(given, "where"))
    if known is not None:
        return forms.select(known, *where)
    if given.get("kind") not in KINDS:
        raise RuleError(f"{metric!r} is no metric of this package: its kind must be given")
    return forms.Selector(metric, cast("Kind", given["kind"]), str(given.get("unit", "")), where)


def _matches(where: Mapping[str, Any]) -> tuple[forms.Match, ...]:
    return tuple(match(str(key), str(value)) for key, value in where.items())


def match(key: str, value: str) -> forms.Match:
    """``~`` begins a regular expression; ``!`` turns the condition round.

    Raises:
        RuleError: the expression is none.
    """
    negated = value.startswith("!")
    value = value[negated:]
    if not value.startswith("~"):
        return forms.Match(key, "!=" if negated else "=", value)
    try:
        patterns.check(value[1:])
    except ValueError as error:
        raise RuleError(f"{value[1:]!r} is {error}") from error
    return forms.Match(key, "!~" if negated else "=~", value[1:])


def _by(given: Mapping[str, Any]) -> tuple[str, ...]:
    by = given.get("by", forms.BY_SERVICE)
    if isinstance(by, str) or not isinstance(by, Sequence):
        raise RuleError("its by must be a list of attributes")
    return tuple(map(str, by))


def _window(given: Mapping[str, Any]) -> int:
    return seconds(given.get("window", "5m"))


def _part(of: forms.Selector, given: Mapping[str, Any]) -> Any:
    default = "value" if of.kind == "counter" else "count"
    part = given.get("part", default)
    if part not in ("value", "count", "sum"):
        raise RuleError("its part must be count or sum")
    return part


def _rate(of: forms.Selector, given: Mapping[str, Any]) -> forms.Rate:
    return forms.Rate(of, _window(given), _by(given), _part(of, given))


def _ratio(of: forms.Selector, given: Mapping[str, Any]) -> forms.Ratio:
    narrowed = replace(of, where=(*of.where, *_matches(_mapping(given, "part_where"))))
    return forms.Ratio(_rate(narrowed, given), _rate(of, given))


def _level(of: forms.Selector, given: Mapping[str, Any]) -> forms.Level:
    over, combine = given.get("over", "last"), given.get("combine", "max")
    if over not in ("last", "avg", "max", "min"):
        raise RuleError("its over must be last, avg, max or min")
    if combine not in ("sum", "avg", "max", "min"):
        raise RuleError("its combine must be sum, avg, max or min")
    return forms.Level(of, over, _window(given), _by(given), combine)


_FORMS: Final[
    dict[str, tuple[Callable[[forms.Selector, Mapping[str, Any]], Any], frozenset[str]]]
] = {
    "rate": (_rate, frozenset({"part"})),
    "increase": (
        lambda of, given: forms.Increase(of, _window(given), _by(given)),
        frozenset(),
    ),
    "ratio": (_ratio, frozenset({"part", "part_where"})),
    "quantile": (
        lambda of, given: forms.Quantile(of, _number(given, "share"), _window(given), _by(given)),
        frozenset({"share"}),
    ),
    "mean": (lambda of, given: forms.Mean(of, _window(given), _by(given)), frozenset()),
    "above": (
        lambda of, given: forms.Above(of, _number(given, "bound"), _window(given), _by(given)),
        frozenset({"bound"}),
    ),
    "level": (_level, frozenset({"over", "combine"})),
    "trend": (
        lambda of, given: forms.Trend(
            of, _window(given), _number({"limit": 1, **given}, "limit"), _by(given)
        ),
        frozenset({"limit"}),
    ),
    "growing": (lambda of, given: forms.Growing(of, _window(given), _by(given)), frozenset()),
    "absence": (lambda of, given: forms.Absence(of, _window(given)), frozenset()),
}
FORMS: Final = tuple(_FORMS)
"""Their names, as users write them."""
