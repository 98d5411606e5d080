"""Rules as Prometheus has them: the same forms as PromQL, and rule files.

Metric and label names are those that Prometheus's OTLP receiver and a scrape give alike
(underscores); ``service.name`` is ``job`` and ``service.instance.id`` is ``instance``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from otel_django import metric_definitions as metrics
from otel_django import names
from otel_django.alerts import expressions as forms
from otel_django.alerts.errors import RuleError
from otel_django.metrics import prometheus_names

if TYPE_CHECKING:
    from otel_django.alerts.rules import Rule, Severity

PRESENCE: Final = metrics.PROCESS_CPU_TIME
"""What every process tells all the time: a series of it shows that its process was heard of."""
_BREAKS: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_LABELS: Final = {names.SERVICE_NAME: "job", names.SERVICE_INSTANCE_ID: "instance"}


def label_name(key: str) -> str:
    """An attribute's name as a label."""
    return _LABELS.get(key) or prometheus_names.label_name(key)


def metric_name(of: forms.Selector, part: forms.Part = "value") -> str:
    """A series' name; ``part`` is which one of a histogram's."""
    family = prometheus_names.family_name(of.metric, of.unit, of.kind)
    if part != "value":
        return f"{family}_{part}"
    return f"{family}_total" if of.kind == "counter" else family


def promql(form: forms.Expression) -> str:
    """The form as PromQL.

    Raises:
        RuleError: Prometheus doesn't know what it asks for.
    """
    write = _WRITERS.get(type(form))
    if write is None:
        raise RuleError(f"{type(form).__name__} can't be written as PromQL")
    return write(form)


# --- selectors


def _selector(of: forms.Selector, part: forms.Part = "value", window_s: int = 0) -> str:
    matchers = ", ".join(
        f"{label_name(one.key)}{one.operator}{json.dumps(one.value, ensure_ascii=False)}"
        for one in of.where
    )
    name = metric_name(of, part)
    return f"{name}{{{matchers}}}{_range(window_s)}" if matchers else f"{name}{_range(window_s)}"


def _range(window_s: int) -> str:
    return f"[{duration(window_s)}]" if window_s else ""


def duration(seconds: int) -> str:
    """``5m``; the largest unit that leaves no rest."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def _by(keys: Sequence[str], *more: str) -> str:
    return f"by ({', '.join([*map(label_name, keys), *more])}) "


# --- forms


def _rate(form: forms.Rate) -> str:
    return f"sum {_by(form.by)}(rate({_selector(form.of, form.part, form.window_s)}))"


def _increase(form: forms.Increase) -> str:
    series, ago = _selector(form.of), f"offset {duration(form.window_s)}"
    present = metric_name(forms.select(PRESENCE))
    newborn = f"({series} unless {series} {ago}) and on (job, instance) {present} {ago}"
    grown = f"increase({_selector(form.of, window_s=form.window_s)})"
    return f"sum {_by(form.by)}(({newborn}) or {grown})"


def _ratio(form: forms.Ratio) -> str:
    part, whole = promql(form.part), promql(form.whole)
    return f"({part} or 0 * {whole}) / {whole}"


def _quantile(form: forms.Quantile) -> str:
    rates = f"rate({_selector(form.of, 'bucket', form.window_s)})"
    return f"histogram_quantile({form.share:g}, sum {_by(form.by, 'le')}({rates}))"


def _mean(form: forms.Mean) -> str:
    sums = promql(forms.Rate(form.of, form.window_s, form.by, "sum"))
    counts = promql(forms.Rate(form.of, form.window_s, form.by, "count"))
    return f"{sums} / {counts}"


def _level(form: forms.Level) -> str:
    ago = f" offset {duration(form.ago_s)}" if form.ago_s else ""
    if form.over == "last":
        return f"{form.combine} {_by(form.by)}({_selector(form.of)}{ago})"
    series = f"{_selector(form.of, window_s=form.window_s)}{ago}"
    return f"{form.combine} {_by(form.by)}({form.over}_over_time({series}))"


def _absence(form: forms.Absence) -> str:
    part: forms.Part = "count" if form.of.kind.endswith("histogram") else "value"
    return f"absent_over_time({_selector(form.of, part, form.window_s)})"


def _above(form: forms.Above) -> str:
    # Prometheus writes whole bounds with or without a point, by where they came from.
    bound = forms.Match("le", "=~", f"{form.bound:g}".replace(".", "[.]") + "([.]0)?")
    bounded = replace(form.of, where=(*form.of.where, bound))
    within = f"sum {_by(form.by)}(rate({_selector(bounded, 'bucket', form.window_s)}))"
    all_ = promql(forms.Rate(form.of, form.window_s, form.by, "count"))
    return f"1 - {within} / {all_}"


def _burn_rate(form: forms.BurnRate) -> str:
    long, short = (
        f"({promql(during(form.share, window_s))}) / {form.budget:.12g}"
        for window_s in (form.long_s, form.short_s)
    )
    return f"({long} <= {short}) or ({short} < {long})"


def during(share: forms.Ratio | forms.Above, window_s: int) -> forms.Ratio | forms.Above:
    """The share in another window."""
    if isinstance(share, forms.Above):
        return replace(share, window_s=window_s)
    part, whole = (replace(rate, window_s=window_s) for rate in (share.part, share.whole))
    return forms.Ratio(part, whole)


def _trend(form: forms.Trend) -> str:
    by, series = _by(form.by), _selector(form.of)
    slope = f"deriv({_selector(form.of, window_s=form.window_s)}) > 0"
    known = f"{series} offset {duration(form.window_s // 2)}"
    return f"min {by}(({form.limit:.12g} - {series}) / ({slope}) and {known})"


def _growing(form: forms.Growing) -> str:
    part_s = form.window_s // form.parts

    def at(part: int) -> str:
        ago = f" offset {duration(part * part_s)}" if part else ""
        return f"max {_by(form.by)}({_selector(form.of)}{ago})"

    steps = " and ".join(f"({at(part)} > {at(part + 1)})" for part in range(form.parts))
    return f"({at(0)} - {at(form.parts)}) and {steps}"


def _scaled(form: forms.Scaled) -> str:
    return f"{form.factor:.12g} * ({promql(form.of)})"


def _when(form: forms.When) -> str:
    word = "unless" if form.unless else "and"
    on = ", ".join(map(label_name, form.on))
    condition = f"({promql(form.condition)}) {form.operator} {form.bound:.12g}"
    return f"({promql(form.value)}) {word} on ({on}) ({condition})"


_WRITERS: Final[dict[type, Callable[[Any], str]]] = {
    forms.Rate: _rate,
    forms.Increase: _increase,
    forms.Ratio: _ratio,
    forms.Quantile: _quantile,
    forms.Mean: _mean,
    forms.Level: _level,
    forms.Absence: _absence,
    forms.Above: _above,
    forms.BurnRate: _burn_rate,
    forms.Trend: _trend,
    forms.Growing: _growing,
    forms.Scaled: _scaled,
    forms.When: _when,
    forms.OnlyPromql: lambda form: form.text,
}


# --- rule files


def condition(rule: Rule, severity: Severity) -> str:
    """What is true while a rule is breached."""
    text = promql(rule.expression_of(severity))
    return f"({text}) {rule.operator} {rule.threshold(severity).value:.12g}"


def rule_file(rules: Iterable[Rule], *, runbooks: str = "") -> str:
    """A rule file (YAML) of all rules that Prometheus can evaluate.

    ``runbooks`` is where the runbook pages are served, ending in a slash.
    """
    usable = [rule for rule in rules if rule.enabled and not rule.is_embedded_only]
    lines = ["groups:"]
    for interval_s in sorted({rule.interval_s for rule in usable}):
        lines += [
            f"  - name: otel_django_{duration(interval_s)}",
            f"    interval: {duration(interval_s)}",
            "    rules:",
        ]
        for rule in usable:
            if rule.interval_s == interval_s:
                for severity in rule.severities:
                    lines += _rule(rule, severity, runbooks)
    return "\n".join(lines) + "\n"


def _rule(rule: Rule, severity: Severity, runbooks: str) -> Iterator[str]:
    yield f"      - alert: {rule.name}"
    yield f"        expr: {_quoted(condition(rule, severity))}"
    for_s = rule.threshold(severity).for_s
    if for_s:
        yield f"        for: {duration(for_s)}"
    if rule.keep_firing_s:
        yield f"        keep_firing_for: {duration(rule.keep_firing_s)}"
    yield "        labels:"
    for key, value in {**rule.labels, "severity": severity}.items():
        yield f"          {label_name(key)}: {_quoted(value)}"
    yield "        annotations:"
    yield f"          summary: {_quoted(rule.summary_template(label_name))}"
    if rule.description:
        yield f"          description: {_quoted(rule.description)}"
    if rule.runbook:
        yield f"          runbook_url: {_quoted(runbooks + rule.runbook)}"


def _quoted(text: str) -> str:
    """A text in YAML: as in JSON, but that YAML knows more line breaks and no halves of pairs."""
    whole = _SURROGATES.sub("\ufffd", text)
    return _BREAKS.sub(
        lambda found: f"\\u{ord(found[0]):04x}", json.dumps(whole, ensure_ascii=False)
    )
