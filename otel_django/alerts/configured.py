"""The rules of a site: those of the catalogue with what its settings say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from otel_django.alerts import catalogue
from otel_django.alerts.definitions import changed, defined
from otel_django.alerts.errors import RuleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from otel_django.alerts.rules import Rule, Severity
    from otel_django.conf import Settings


class Configured(NamedTuple):
    """Rules by their order in the catalogue, then the site's own; and what is wrong with others."""

    rules: tuple[Rule, ...]
    problems: tuple[str, ...]


def configured(
    settings: Settings,
    critical_checks: Iterable[str] | None = None,
    rows: Iterable[Mapping[str, Any]] = (),
) -> Configured:
    """Every rule, switched-off ones included.

    ``critical_checks`` are the health checks that are critical; None: those that are so by default
    and by the settings. ``rows`` are rules that the admin has, which come after the settings'.
    """
    if critical_checks is None:
        critical_checks = _critical(settings.health_critical)
    made = catalogue.rules(
        catalogue.Parameters(
            queue_capacity=settings.alerts_queue_capacity,
            stuck_s=max(1, round(settings.stuck_s)),
            critical_checks=tuple(critical_checks),
            availability=settings.slo_availability_percent / 100,
            thresholds=vars(settings.alert_thresholds),
        )
    )
    rules = {rule.name: rule for rule in made}
    problems: list[str] = []
    for given in (*settings.alert_rules, *rows):
        try:
            rule = _rule(rules, given)
        except RuleError as error:
            problems.append(str(error))
        else:
            rules[rule.name] = _as_environment_says(rule, settings)
    return Configured(tuple(rules.values()), tuple(problems))


def _rule(rules: Mapping[str, Rule], given: Mapping[str, Any]) -> Rule:
    known = rules.get(str(given.get("name", "")))
    return defined(given) if known is None else changed(known, given)


def _as_environment_says(rule: Rule, settings: Settings) -> Rule:
    """Thresholds of the environment go before those of the settings' rules."""
    values: dict[Severity, float] = {}
    for severity in rule.severities:
        origin = settings.origins.get(f"alert_thresholds.{rule.name}_{severity}")
        if origin is not None and origin.place == "environment":
            values[severity] = getattr(settings.alert_thresholds, f"{rule.name}_{severity}")
    return rule.with_thresholds(values)


def _critical(said: Iterable[str]) -> tuple[str, ...]:
    critical = dict.fromkeys(catalogue.CRITICAL_CHECKS)
    for name in said:
        if name.startswith("-"):
            critical.pop(name[1:], None)
        else:
            critical[name] = None
    return tuple(critical)
