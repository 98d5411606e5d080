"""docs/reference/alerts.md, from the catalogue of alert rules."""

from __future__ import annotations

from otel_django.alerts import promql
from otel_django.alerts.catalogue import rules
from otel_django.alerts.rules import RUNBOOKS, Rule, Severity
from otel_django.conf.alert_thresholds import words

_INTRO = """# Alert rules

<!-- Written by docs/generate_reference.py: change the code and run `make docs`. -->

What is looked at, from when on it is a warning and from when on critical, and for how long that has
to last before an alert fires. `OTEL_DJANGO_ALERT_<NAME>_WARNING` and `_CRITICAL` change the
thresholds; [Write alert rules](../how-to/write-alert-rules.md) tells how to change the rest and how
to add rules. Rules that can be critical are evaluated every 15 s, the others every minute. Where
nothing is known of a rule, it doesn't fire, and an alert that did is resolved.

| rule | warning | critical | what is looked at |
|---|---|---|---|
"""

_PROMQL_INTRO = """
## In PromQL

`manage.py otel rules` writes them as a rule file with a site's own thresholds.
"""


def page() -> str:
    """The page."""
    made = rules()
    return "".join([_INTRO, *map(_row, made), _PROMQL_INTRO, *map(_in_promql, made)])


def _row(rule: Rule) -> str:
    link = f"[{rule.name}](../runbooks/{RUNBOOKS.rpartition('/')[2]}/{rule.name}.md)"
    cells = (link, _threshold(rule, "warning"), _threshold(rule, "critical"), rule.description)
    return f"| {' | '.join(cells)} |\n"


def _threshold(rule: Rule, severity: Severity) -> str:
    if severity not in rule.severities:
        return "–"
    threshold = rule.threshold(severity)
    lasts = f", for {promql.duration(threshold.for_s)}" if threshold.for_s else ""
    return f"{rule.operator} {threshold.value:g} {rule.unit}{lasts}"


def _in_promql(rule: Rule) -> str:
    if rule.is_embedded_only:
        return f"\n### {rule.name}\n\nOnly the embedded store knows.\n"
    severities = rule.severities
    texts = dict.fromkeys(promql.promql(rule.expression_of(severity)) for severity in severities)
    queries = "".join(f"\n```promql\n{text}\n```\n" for text in texts)
    names = ", ".join(
        f"`OTEL_DJANGO_ALERT_{words(rule.name)}_{severity.upper()}`" for severity in severities
    )
    return f"\n### {rule.name}\n\n{names}\n{queries}"
