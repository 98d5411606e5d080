"""Rules that a site writes, thresholds it sets, and what is said about mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from docs import generate_reference
from otel_django import metric_definitions as metrics
from otel_django.alerts import catalogue, promql, slo
from otel_django.alerts.configured import Configured, configured
from otel_django.alerts.definitions import defined, seconds
from otel_django.alerts.errors import RuleError
from otel_django.alerts.expressions import selectors
from otel_django.alerts.rules import Rule
from otel_django.conf.alert_thresholds import DEFAULTS
from otel_django.conf.load import load

ROOT = Path(__file__).parents[2]
RULES = catalogue.rules()
CHECKOUT: dict[str, Any] = {
    "name": "SlowCheckout",
    "form": "quantile",
    "share": 0.95,
    "metric": "http.server.request.duration",
    "where": {"http.route": "/checkout/"},
    "operator": ">",
    "warning": 0.5,
    "warning_for": "5m",
    "summary": "Checkout takes {value} s",
}


def of(rules: Any = None, environ: dict[str, str] | None = None, **more: Any) -> Configured:
    overrides = {**({} if rules is None else {"ALERT_RULES": rules}), **more}
    settings = load(
        environ or {}, overrides, base_dir=None, debug=True, settings_module="shop.settings"
    )
    assert not settings.problems
    return configured(settings)


def rule(found: Configured, name: str) -> Rule:
    return {one.name: one for one in found.rules}[name]


def test_thresholds_come_from_the_environment_then_the_settings() -> None:
    found = of(
        environ={"OTEL_DJANGO_ALERT_HIGH_CPU_WARNING": "70"},
        ALERT_HIGH_CPU_WARNING=60,
        ALERT_HIGH_CPU_CRITICAL=75,
    )
    cpu = rule(found, "HighCpu")
    assert (cpu.threshold("warning").value, cpu.threshold("critical").value) == (70, 75)
    assert cpu.threshold("warning").for_s == 300


def test_a_rule_of_its_own_stands_beside_the_others() -> None:
    found = of([CHECKOUT])
    assert not found.problems
    assert len(found.rules) == len(RULES) + 1
    own = rule(found, "SlowCheckout")
    assert promql.condition(own, "warning") == (
        "(histogram_quantile(0.95, sum by (job, le) (rate("
        'http_server_request_duration_seconds_bucket{http_route="/checkout/"}[5m])))) > 0.5'
    )
    assert own.summarize(0.61234, {}) == "Checkout takes 0.6123 s"


def test_rules_can_be_written_as_json_in_the_environment() -> None:
    found = of(environ={"OTEL_DJANGO_ALERT_RULES": json.dumps([CHECKOUT])})
    assert rule(found, "SlowCheckout").threshold("warning").value == 0.5


def test_a_known_rule_can_be_changed_and_switched_off() -> None:
    found = of(
        [
            {"name": "HighCpu", "enabled": False},
            {
                "name": "HighMemory",
                "warning": None,
                "critical_for": "2m",
                "labels": {"team": "ops"},
            },
        ]
    )
    assert not found.problems
    assert not rule(found, "HighCpu").enabled
    assert "HighCpu" not in promql.rule_file(found.rules)
    memory = rule(found, "HighMemory")
    assert memory.severities == ("critical",)
    assert memory.threshold("critical").for_s == 120
    assert 'team: "ops"' in promql.rule_file([memory])


def test_a_threshold_of_the_environment_wins_over_a_rule_of_the_settings() -> None:
    changes = [{"name": "HighCpu", "warning": 55, "critical": 66}]
    found = of(changes, {"OTEL_DJANGO_ALERT_HIGH_CPU_WARNING": "70"})
    assert rule(found, "HighCpu").threshold("warning").value == 70
    assert rule(found, "HighCpu").threshold("critical").value == 66


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"form": "percentile"}, "form must be one of"),
        ({"metric": "orders.placed"}, "kind must be given"),
        ({"metric": "health.score"}, "is no histogram"),
        ({"share": 95}, "between 0 and 1"),
        ({"share": "much"}, "share must be a number"),
        ({"operator": "="}, "operator must be one of"),
        ({"window": "five"}, "is no time"),
        ({"window": "999999999d"}, "is too long; 366d is the longest"),
        ({"critical_for": "8785h"}, "is too long"),
        ({"window": 0}, "longer than 0"),
        ({"warning": None}, "neither a warning nor a critical"),
        ({"name": "slow checkout"}, "its name must be like"),
        ({"summary": "{http.target}"}, "its summary names {http.target}"),
        ({"where": {"http.route": "~("}}, "is no regular expression"),
        ({"where": {"http.route": "~(a+)+"}}, "is too slow a pattern"),
        ({"where": "/checkout/"}, "where must be a dict"),
        ({"by": "service.name"}, "by must be a list"),
        ({"treshold": 3}, "it has no 'treshold'"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said_and_the_others_stand(
    change: dict[str, Any], words: str
) -> None:
    found = of([{**CHECKOUT, **change}])
    (problem,) = found.problems
    assert words in problem
    assert problem.startswith(f"Rule {change.get('name', 'SlowCheckout')!r} can't be used: ")
    assert len(found.rules) == len(RULES)


FORMS: list[dict[str, Any]] = [
    {"form": "rate", "metric": "django.exceptions"},
    {"form": "increase", "metric": "orders.placed", "kind": "counter", "unit": "{order}"},
    {
        "form": "ratio",
        "metric": "http.server.request.duration",
        "part_where": {"http.response.status_code": "~4.."},
        "scale": 100,
    },
    {"form": "mean", "metric": "messaging.process.duration", "by": ["celery.task.name"]},
    {"form": "above", "metric": "http.server.request.duration", "bound": 0.5},
    {"form": "level", "metric": "redis.keys", "over": "max", "combine": "sum"},
    {"form": "trend", "metric": "redis.memory.used", "limit": 1e9, "window": "1h"},
    {"form": "growing", "metric": "celery.queue.length", "window": "15m"},
    {"form": "absence", "metric": "health.score", "where": {"health.check.group": "!live"}},
]


@pytest.mark.parametrize("given", FORMS, ids=lambda given: str(given["form"]))
def test_every_form_can_be_written(given: dict[str, Any]) -> None:
    made = defined({"name": "Mine", "operator": ">", "critical": 1, **given})
    assert promql.condition(made, "critical")


@pytest.mark.parametrize(
    ("text", "length"), [("30s", 30), ("5m", 300), ("6h", 21600), ("3d", 259200), (90, 90)]
)
def test_times_are_written_in_their_units(text: object, length: int) -> None:
    assert seconds(text) == length


def test_every_rule_reads_metrics_that_there_are_by_attributes_that_they_have() -> None:
    known = {one.name: one for one in metrics.ALL}
    for one in RULES:
        for severity in one.severities:
            for selector in selectors(one.expression_of(severity)):
                definition = known[selector.metric]
                assert (selector.kind, selector.unit) == (definition.kind, definition.unit)
                assert {match.key for match in selector.where} <= set(definition.attributes)


def test_every_rule_has_thresholds_that_settings_can_change() -> None:
    assert {one.name for one in RULES} == DEFAULTS.keys()


def test_the_committed_rule_file_is_the_one_of_the_catalogue() -> None:
    committed = generate_reference.RULES.read_text(encoding="utf-8")
    assert committed == promql.rule_file(RULES), "run `make docs`"


@pytest.mark.parametrize("one", RULES, ids=lambda one: one.name)
def test_every_rule_has_a_runbook_that_tells_what_to_do(one: Rule) -> None:
    page = (ROOT / one.runbook).read_text(encoding="utf-8")
    assert page.startswith(f"# {one.name}\n")
    for heading in ("## First look", "## Usual causes", "## Cure"):
        assert heading in page
    if one.page:
        assert f"`/monitoring/{one.page}`" in page


def test_there_is_no_runbook_without_a_rule() -> None:
    pages = {page.stem for page in (ROOT / "docs/runbooks/alerts").glob("*.md")} - {"README"}
    assert pages == {one.name for one in RULES}


def test_an_error_budget_is_spent_by_what_fails() -> None:
    objective = slo.availability(0.999)
    spent, remaining = slo.budget(objective, 0.00025)
    assert spent == pytest.approx(0.25)
    assert remaining == pytest.approx(0.75)
    assert slo.budget(objective, 0.002).remaining == pytest.approx(-1)


def test_an_objective_of_latency_needs_a_bound_that_is_measured() -> None:
    assert "le=~" in promql.promql(slo.latency(0.95, 1.0).burn_rate(3600, 300))
    with pytest.raises(RuleError, match=r"nearest is 0\.75 s"):
        slo.latency(0.95, 0.8)
    with pytest.raises(RuleError, match="between 0 and 1"):
        slo.availability(99.9)


@pytest.mark.parametrize(
    "given",
    [
        {"name": "HighErrorRate", "operator": []},
        {"name": "HighErrorRate", "warning": 10**400},
        {**CHECKOUT, "scale": 10**400},
        {**CHECKOUT, "where": {"http.route": "~a{99999999999999}"}},
        {**CHECKOUT, "where": {"http.route": f"~{'(' * 5000}"}},
    ],
)
def test_a_rule_of_any_values_leaves_the_others_as_they_are(given: dict[str, Any]) -> None:
    found = of([given])
    assert [rule.name for rule in found.rules] == [rule.name for rule in RULES]
    [problem] = found.problems
    assert given["name"] in problem
