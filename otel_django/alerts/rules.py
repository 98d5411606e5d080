"""What an alert rule is: an expression, thresholds and the words that go with it."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from otel_django.alerts import expressions
from otel_django.alerts.errors import RuleError
from otel_django.alerts.expressions import ErrorGroups, Expression, OnlyPromql, Operator

Severity = Literal["warning", "critical"]
SEVERITIES: Final[tuple[Severity, ...]] = ("warning", "critical")

COMPARE: Final[Mapping[Operator, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
CRITICAL_INTERVAL_S: Final = 15
INTERVAL_S: Final = 60
RUNBOOKS: Final = "docs/runbooks/alerts"

_NAME: Final = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")
_PLACEHOLDER: Final = re.compile(r"{([A-Za-z_][\w.]*)}")


@dataclass(frozen=True, slots=True)
class Threshold:
    """From which value on, and for how long, before an alert of a severity fires.

    ``expression`` stands in for the rule's own where a severity looks at something else.
    """

    value: float
    for_s: int = 0
    expression: Expression | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert rule.

    A value that compares with a threshold as ``operator`` says is a breach. ``unit`` is that of the
    thresholds. ``summary`` may name ``{value}`` and the attributes of the expression
    (``{http.route}``). ``page`` is the address, below the viewer's, to look at first.
    ``keep_firing_s`` is how long an alert goes on after its last breach.

    Raises:
        RuleError: it can't be used; the text says why.
    """

    name: str
    expression: Expression
    operator: Operator
    summary: str
    description: str = ""
    warning: Threshold | None = None
    critical: Threshold | None = None
    unit: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    page: str = ""
    runbook: str = ""
    keep_firing_s: int = 0
    enabled: bool = True

    def __post_init__(self) -> None:
        try:
            self._check()
        except RuleError as error:
            raise RuleError(f"Rule {self.name!r} can't be used: {error}.") from error

    def _check(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise RuleError("its name must be like HighErrorRate: letters and digits only")
        if self.operator not in COMPARE:
            raise RuleError(f"its operator must be one of {', '.join(COMPARE)}")
        if not self.severities:
            raise RuleError("it has neither a warning nor a critical threshold")
        for severity in self.severities:
            expressions.check(self.expression_of(severity))
            if self.threshold(severity).for_s < 0:
                raise RuleError(f"for how long ({severity}) can't be negative")
        known = {"value", *self.labels, *expressions.labels(self.expression)}
        unknown = set(_PLACEHOLDER.findall(self.summary)) - known
        if unknown and not isinstance(self.expression, OnlyPromql):
            raise RuleError(
                f"its summary names {{{min(unknown)}}}; there are {', '.join(sorted(known))}"
            )

    @property
    def severities(self) -> tuple[Severity, ...]:
        """Those it has thresholds of."""
        return tuple(severity for severity in SEVERITIES if getattr(self, severity) is not None)

    def threshold(self, severity: Severity) -> Threshold:
        """Of one of ``severities``."""
        found: Threshold | None = getattr(self, severity)
        if found is None:
            raise RuleError(f"{self.name} has no {severity} threshold")
        return found

    def expression_of(self, severity: Severity) -> Expression:
        """What is compared with the severity's threshold."""
        return self.threshold(severity).expression or self.expression

    @property
    def interval_s(self) -> int:
        """How often it is evaluated: those that can become critical more often."""
        return INTERVAL_S if self.critical is None else CRITICAL_INTERVAL_S

    @property
    def is_embedded_only(self) -> bool:
        """Whether Prometheus can't tell."""
        return isinstance(self.expression, ErrorGroups)

    def breached(self, severity: Severity, value: float) -> bool:
        """Whether the value is at fault; NaN never is."""
        return COMPARE[self.operator](value, self.threshold(severity).value)

    def with_thresholds(self, values: Mapping[Severity, float]) -> Rule:
        """The rule with other values; a severity that it hasn't gets one without delay."""
        rule = self
        for severity, value in values.items():
            threshold = replace(getattr(self, severity) or Threshold(0.0), value=value)
            if severity == "warning":
                rule = replace(rule, warning=threshold)
            else:
                rule = replace(rule, critical=threshold)
        return rule

    def summarize(self, value: float, labels: Mapping[str, str]) -> str:
        """The summary in figures; label values are as they came, to be escaped where shown."""
        texts = {**self.labels, **labels, "value": f"{value:.4g}"}
        return _PLACEHOLDER.sub(lambda found: texts.get(found[1], ""), self.summary)

    def summary_template(self, label: Callable[[str], str]) -> str:
        """The summary as a template of Prometheus's; ``label`` gives a label's name there."""

        def written(found: re.Match[str]) -> str:
            if found[1] == "value":
                return '{{ printf "%.4g" $value }}'
            return self.labels.get(found[1]) or f"{{{{ $labels.{label(found[1])} }}}}"

        return _PLACEHOLDER.sub(written, self.summary)
