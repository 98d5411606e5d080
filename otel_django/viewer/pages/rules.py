"""The rules: what is looked at, from when on it is at fault, and what each finds now."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otel_django.alerts import promql
from otel_django.viewer.alert_rows import LOOKS, MS, OVER, Look, Row, limit, tabs
from otel_django.viewer.page import Context, page
from otel_django.viewer.table import Column, in_order
from otel_django.web import alert_records
from otel_django.web.alert_rules import rules_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_django.alerts.rules import Rule, Severity
    from otel_django.models import SystemAlert
    from otel_django.viewer.visit import Visit
    from otel_django.web.alert_rules import Rules

COLUMNS: Final = (
    Column("badness", "State", "What fires first", classes="state-word"),
    Column("name", "Rule", "By name", text=True),
    Column("warning", "Warning", text=True, classes="number"),
    Column("critical", "Critical", text=True, classes="number"),
    Column("origin", "Set in", "Where it was made, or changed last", text=True, classes="roomy"),
)
QUIET: Final = Look("✓", "good", "quiet", 0)
OFF: Final = Look("–", "quiet", "off", -1)


@dataclass(frozen=True)
class RuleRow:
    """A rule, and the alerts it has now."""

    rule: Rule
    rules: Rules
    alerts: Sequence[SystemAlert]

    @property
    def look(self) -> Look:
        """The worst of its alerts'."""
        if not self.rule.enabled:
            return OFF
        looks = [LOOKS.get((one.state, one.severity), OVER) for one in self.alerts]
        return max(looks, key=lambda look: look.badness, default=QUIET)

    @property
    def badness(self) -> int:
        """For sorting."""
        return self.look.badness

    @property
    def name(self) -> str:
        """The rule's."""
        return self.rule.name

    @property
    def warning(self) -> str:
        """From when on it warns, and for how long that has to last."""
        return threshold(self.rule, "warning")

    @property
    def critical(self) -> str:
        """The same of critical."""
        return threshold(self.rule, "critical")

    @property
    def set_by(self) -> list[str]:
        """The variables that set its thresholds."""
        found = (self.rules.set_by(self.name, severity) for severity in self.rule.severities)
        return list(dict.fromkeys(each for each in found if each))

    @property
    def origin(self) -> str:
        """Where it comes from."""
        return self.rules.origin(self.name)


def threshold(rule: Rule, severity: Severity) -> str:
    """``> 5 % for 1m``; empty where it has none."""
    if severity not in rule.severities:
        return ""
    for_s = rule.threshold(severity).for_s
    return limit(rule, severity) + (f" for {promql.duration(for_s)}" if for_s else "")


@page("rules", "Alert rules")
def rules(visit: Visit) -> Context:
    """All of them."""
    found = rules_of(visit.settings)
    database = visit.settings.database
    alerts = visit.parts.ask("alerts", lambda: alert_records.active(database)) or []
    by_rule: dict[str, list[SystemAlert]] = defaultdict(list)
    for one in alerts:
        by_rule[one.alert_type].append(one)
    if found.away and not visit.parts.notes:
        visit.parts.say(f"rules of the admin: {found.away}")
    words = visit.text("q").lower().split()
    every = [RuleRow(rule, found, by_rule[name]) for name, rule in found.rules.items()]
    shown = [row for row in every if _has(row, words)]
    rows, headings = in_order(visit, shown, COLUMNS, "badness")
    return {
        "tabs": tabs(visit, "rules"),
        "rows": rows,
        "headings": headings,
        "total": len(every),
        "firing": [row for row in every if row.badness > 1],
        "off": sum(not row.rule.enabled for row in every),
        "own": sum(found.is_own(row.name) for row in every),
        "problems": found.problems,
    }


def _has(row: RuleRow, words: Sequence[str]) -> bool:
    text = f"{row.name} {row.rule.description} {row.rule.summary} {row.origin}".lower()
    return all(word in text for word in words)


def alert_rows(visit: Visit, rule: Rule) -> list[Row]:
    """Its alerts of now, those that fire first."""
    database = visit.settings.database
    found = visit.parts.ask("alerts", lambda: alert_records.active(database)) or []
    back = visit.parts.ask(
        "silences", lambda: alert_records.held_back(found, database, visit.now_ns // MS)
    )
    return [
        Row(one, visit, rule, (back or {}).get(one.pk))
        for one in found
        if one.alert_type == rule.name
    ]
