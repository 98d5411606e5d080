"""An alert as pages show it: what, since when, how far over its threshold, who takes care of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import parse_qsl, urlencode

from otel_django import names
from otel_django.viewer import units
from otel_django.web.alert_records import labels_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_django.alerts.rules import Rule, Severity
    from otel_django.models import SystemAlert
    from otel_django.viewer.visit import Visit
    from otel_django.web.alert_records import Quiet

MS: Final = 1_000_000
AROUND_MS: Final = 15 * 60_000
"""How long before an alert began, and after it ended, its pages begin and end."""
_BARE: Final = frozenset({"status", "up"})


class Look(NamedTuple):
    """A state's shape and class; ``badness`` is the larger, the worse."""

    glyph: str
    colour: str
    word: str
    badness: int


LOOKS: Final = {
    ("firing", "critical"): Look("✗", "bad", "critical", 3),
    ("firing", "warning"): Look("!", "warn", "warning", 2),
    ("pending", "critical"): Look("…", "quiet", "pending", 1),
    ("pending", "warning"): Look("…", "quiet", "pending", 1),
}
OVER: Final = Look("✓", "good", "resolved", 0)


def figure(value: float, unit: str) -> str:
    """A value in the unit of a rule's thresholds."""
    if unit == "%":
        return f"{value:.3g} %"
    if unit == "ms":
        return units.measured(value / 1000, "s")
    if unit == "s":
        return units.measured(value, unit)
    word = unit.removesuffix("s") if value == 1 else unit
    return units.count(value) if unit in _BARE else f"{units.count(value)} {word}".rstrip()


def limit(rule: Rule, severity: Severity) -> str:
    """``> 5 %``."""
    return f"{rule.operator} {figure(rule.threshold(severity).value, rule.unit)}"


@dataclass(frozen=True)
class Row:
    """``rule`` is None where it isn't there any more; ``quiet`` is what holds the alert back."""

    alert: SystemAlert
    visit: Visit
    rule: Rule | None = None
    quiet: Quiet | None = None

    @property
    def look(self) -> Look:
        """Its state's."""
        return LOOKS.get((self.alert.state, self.alert.severity), OVER)

    @property
    def badness(self) -> tuple[int, int]:
        """The worst first; of those as bad, who nobody takes care of."""
        return self.look.badness, int(not self.alert.acknowledged_by and self.quiet is None)

    @property
    def name(self) -> str:
        """Its rule's."""
        return self.alert.alert_type

    @property
    def since_ns(self) -> int:
        """When it began."""
        return self.alert.since_ms * MS

    @property
    def ended_ns(self) -> int | None:
        """When it was over."""
        return None if self.alert.resolved_ms is None else self.alert.resolved_ms * MS

    @property
    def lasted_ns(self) -> int:
        """How long, until now if it isn't over."""
        return max(0, (self.ended_ns or self.visit.now_ns) - self.since_ns)

    @property
    def acknowledged_ns(self) -> int | None:
        """When somebody took care of it."""
        taken_ms = self.alert.acknowledged_ms
        return None if taken_ms is None else taken_ms * MS

    @property
    def quiet_until_ns(self) -> int | None:
        """Until when it is silent."""
        now_ms = self.visit.now_ns // MS
        return None if self.quiet is None else self.quiet.until_ms(now_ms) * MS

    @property
    def value(self) -> str:
        """The last one; empty where another evaluator knows it."""
        if self.alert.source != "embedded":
            return ""
        return figure(self.alert.value, self.rule.unit if self.rule else "")

    @property
    def limit(self) -> str:
        """The threshold it was beyond."""
        if self.alert.threshold is None:
            return ""
        unit = self.rule.unit if self.rule else ""
        operator = f"{self.rule.operator} " if self.rule else ""
        return f"{operator}{figure(self.alert.threshold, unit)}"

    @property
    def labels(self) -> dict[str, str]:
        """What tells it from others of its rule."""
        return labels_of(self.alert)

    @property
    def service(self) -> str:
        """The service it is about; empty where it is none in particular."""
        return self.labels.get(names.SERVICE_NAME, "")

    @property
    def address(self) -> str:
        """Its page."""
        return self.visit.url("alert", self.alert.fingerprint)

    @property
    def first_look(self) -> str:
        """The page to look at first, at its time and of its service; empty: none in particular."""
        if self.rule is None or not self.rule.page:
            return ""
        path, _, query = self.rule.page.partition("?")
        until_ms = self.visit.now_ns // MS
        if self.alert.resolved_ms is not None:
            until_ms = min(until_ms, self.alert.resolved_ms + AROUND_MS)
        parameters = dict(parse_qsl(query))
        parameters |= {"from": str(self.alert.since_ms - AROUND_MS), "to": str(until_ms)}
        if self.service:
            parameters["service"] = self.service
        return f"{self.visit.base}{path}?{urlencode(parameters, errors='replace')}"


class Tab(NamedTuple):
    """One of the pages about alerts; ``number`` is how many it shows, None: not counted."""

    title: str
    address: str
    chosen: bool
    number: int | None = None


def tabs(visit: Visit, chosen: str, firing: int | None = None) -> list[Tab]:
    """What there is about alerts."""
    return [
        Tab("Active", visit.url("alerts"), chosen == "active", firing),
        Tab("History", visit.url("alerts", state="history"), chosen == "history"),
        Tab("Silences", visit.url("silences"), chosen == "silences"),
        Tab("Rules", visit.url("rules"), chosen == "rules"),
    ]


def has(row: Row, words: Sequence[str]) -> bool:
    """Whether all words are in its texts."""
    text = f"{row.name} {row.alert.message} {row.alert.severity} {' '.join(row.labels.values())}"
    return all(word in text.lower() for word in words)
