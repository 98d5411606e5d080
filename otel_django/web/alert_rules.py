"""The rules of a site as they hold: the catalogue's, the settings', and those of the admin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from otel_django.conf.alert_thresholds import DEFAULTS
from otel_django.web.alert_records import AlertsAwayError, tables

if TYPE_CHECKING:
    from otel_django.alerts.rules import Rule, Severity
    from otel_django.conf import Settings
    from otel_django.models import CustomMetric

Origin = Literal["built in", "settings", "environment", "admin"]


@dataclass(frozen=True, slots=True)
class Rules:
    """``in_settings`` and ``in_admin`` name those that were made or changed there.

    ``problems`` are what is wrong with others, ``away`` why the admin's aren't known.
    """

    rules: Mapping[str, Rule]
    problems: tuple[str, ...] = ()
    in_settings: frozenset[str] = frozenset()
    in_admin: frozenset[str] = frozenset()
    away: str = ""
    thresholds: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def origin(self, name: str) -> Origin:
        """Where the rule comes from, or was changed last."""
        if name in self.in_admin:
            return "admin"
        return "settings" if name in self.in_settings else "built in"

    def set_by(self, name: str, severity: Severity) -> str:
        """The variable that a threshold was set by; empty: none."""
        return self.thresholds.get((name, severity), "")

    def is_own(self, name: str) -> bool:
        """Whether it is none of the catalogue's."""
        return name not in DEFAULTS


def rules_of(settings: Settings) -> Rules:
    """All of them, by name; switched-off ones included."""
    from otel_django.alerts.configured import configured

    rows, away = _rows(settings.database)
    found = configured(replace(settings, alert_rules=(*settings.alert_rules, *rows)))
    return Rules(
        {rule.name: rule for rule in found.rules},
        found.problems,
        frozenset(str(given.get("name")) for given in settings.alert_rules),
        frozenset(str(given["name"]) for given in rows),
        away,
        _thresholds(settings),
    )


def _thresholds(settings: Settings) -> dict[tuple[str, str], str]:
    found = {}
    for name, origin in settings.origins.items():
        if name.startswith("alert_thresholds.") and origin.place != "default":
            rule, _, severity = name.removeprefix("alert_thresholds.").rpartition("_")
            found[rule, severity] = origin.variable
    return found


def _rows(database: str) -> tuple[list[Mapping[str, Any]], str]:
    try:
        with tables(database):
            from otel_django.alerts.keeping.rows import metric_of, rule_of
            from otel_django.models import AlertRule, CustomMetric

            rules = list(AlertRule._base_manager.using(database).order_by("name"))
            metrics = CustomMetric._base_manager.using(database).filter(enabled=True)
            return [
                *map(rule_of, rules),
                *(metric_of(one) for one in metrics.order_by("name") if has_threshold(one)),
            ], ""
    except AlertsAwayError as error:
        return [], str(error)


def has_threshold(row: CustomMetric) -> bool:
    """Whether it is a rule, too."""
    return row.warning is not None or row.critical is not None
