"""Prometheus's own rule engine, given the same series, says the same at every step."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from otel_django import metric_definitions as metrics
from otel_django.alerts.catalogue import rules
from otel_django.alerts.expressions import Above, Absence, Level, Rate, select
from otel_django.alerts.promql import label_name, metric_name, rule_file
from otel_django.alerts.rules import Rule, Threshold
from otel_django.alerts.state import Alert, Key
from tests.alert_scenarios import SCENARIOS, STEPS, Scenario, check, phases, requests
from tests.alert_series import Memory, Told, histogram, states
from tests.integration.servers import program

RULES: Final = {rule.name: rule for rule in rules()}
DURATION: Final = metrics.HTTP_SERVER_REQUEST_DURATION


@pytest.fixture(scope="module")
def promtool() -> str:
    return program("promtool")


@pytest.fixture(scope="module")
def left_open(promtool: str) -> bool:
    """Windows are open on the left since Prometheus 3."""
    answer = subprocess.run([promtool, "--version"], capture_output=True, text=True, check=True)
    said = answer.stdout + answer.stderr
    return int(said.split("version ")[1].split(".")[0]) >= 3


def metric(told: Told) -> str:
    """A series as Prometheus writes it."""
    labels = ", ".join(
        f"{label_name(key)}={json.dumps(value)}" for key, value in told.labels.items()
    )
    return f"{metric_name(told.of, told.part)}{{{labels}}}"


def written(values: Sequence[float | None]) -> str:
    return " ".join("_" if value is None else repr(float(value)) for value in values)


def sample(key: Key, alert: Alert) -> dict[str, Any]:
    labels = {
        "alertname": key.rule,
        "alertstate": alert.state,
        "severity": key.severity,
        **{label_name(name): value for name, value in key.labels},
    }
    listed = ", ".join(f"{name}={json.dumps(value)}" for name, value in labels.items())
    return {"labels": f"ALERTS{{{listed}}}", "value": 1}


def expected(course: Sequence[Mapping[Key, Alert]], step_s: int) -> list[dict[str, Any]]:
    return [
        {
            "expr": "ALERTS",
            "eval_time": f"{step * step_s}s",
            "exp_samples": [
                sample(key, alert) for key, alert in alerts.items() if alert.state != "resolved"
            ],
        }
        for step, alerts in enumerate(course)
    ]


def judge(
    promtool: str,
    folder: Path,
    rule: Rule,
    told: Sequence[Told],
    steps: int,
    step_s: int,
    **how: Any,
) -> list[dict[Key, Alert]]:
    """Have promtool compare its states with ours at every step; returns ours."""
    course = states(rule, Memory(told, step_s), steps, **how)
    (folder / "rules.yml").write_text(rule_file([rule]), encoding="utf-8")
    test = {
        "interval": f"{step_s}s",
        "input_series": [{"series": metric(one), "values": written(one.values)} for one in told],
        "promql_expr_test": expected(course, step_s),
    }
    file = {"rule_files": ["rules.yml"], "evaluation_interval": f"{step_s}s", "tests": [test]}
    (folder / "test.yml").write_text(json.dumps(file), encoding="utf-8")
    found = subprocess.run(
        [promtool, "test", "rules", "test.yml"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, (found.stdout + found.stderr)[:4000]
    return course


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_prometheus_has_the_same_states(
    scenario: Scenario, promtool: str, tmp_path: Path, left_open: bool
) -> None:
    judge(
        promtool,
        tmp_path,
        RULES[scenario.rule],
        scenario.told,
        scenario.steps,
        scenario.step_s,
        left_open=left_open,
    )


def scraped_badly(told: Told, chance: random.Random) -> Told:
    """With gaps, and begun anew now and then."""
    taken = 0.0
    before = 0.0
    for step, value in enumerate(told.values):
        if value is None:
            continue
        if chance.random() < 0.01:
            taken = before
        before = value
        told.values[step] = None if chance.random() < 0.1 else value - taken  # type: ignore[index]
    begin = chance.randrange(60)
    told.values = [None] * begin + list(told.values[begin:])
    return told


@pytest.mark.parametrize("seed", range(12))
def test_prometheus_has_the_same_states_of_series_with_gaps_and_restarts(
    seed: int, promtool: str, tmp_path: Path, left_open: bool
) -> None:
    chance = random.Random(seed)
    shares = [chance.choice((0, 0.005, 0.02, 0.2)) for _ in range(20) for _ in range(10)]
    shares = [share for share in shares for _ in range(1)]
    told = [
        scraped_badly(one, chance)
        for instance in ("web-1", "web-2")
        for one in requests(shares, service__instance__id=instance)
    ]
    course = judge(promtool, tmp_path, RULES["HighErrorRate"], told, 220, 15, left_open=left_open)
    assert any(course)


def rule_of(expression: Any, operator: Any, value: float, **more: Any) -> Rule:
    return Rule("OfItsOwn", expression, operator, "{value}", critical=Threshold(value, 60), **more)


OTHER_FORMS = {
    "rate": (
        rule_of(Rate(select(DURATION), 300, part="count"), ">", 5.9),
        requests(phases(0, 1, 0)),
    ),
    "absence": (
        rule_of(Absence(select(metrics.HEALTH_CHECK_STATUS), 120), ">=", 1),
        [Told(metrics.HEALTH_CHECK_STATUS, [*[1.0] * 20, *[None] * 30, *[1.0] * 30])],
    ),
    "above": (
        rule_of(Above(select(DURATION), 1.0, 300), ">", 0.1),
        histogram(DURATION, phases(0.2, 1.6, 0.3)),
    ),
    "keep_firing": (
        rule_of(Level(select(metrics.HEALTH_CHECK_STATUS)), "<", 0.5, keep_firing_s=300),
        [check("disk", 20)],
    ),
    "maximum": (
        rule_of(Level(select(metrics.HEALTH_CHECK_STATUS), "max", 300), "<", 0.5),
        [check("disk", 40)],
    ),
}


@pytest.mark.parametrize("name", OTHER_FORMS)
def test_prometheus_has_the_same_states_of_forms_that_no_rule_has(
    name: str, promtool: str, tmp_path: Path, left_open: bool
) -> None:
    rule, told = OTHER_FORMS[name]
    course = judge(promtool, tmp_path, rule, told, STEPS, 15, left_open=left_open)
    assert any(alert.state == "firing" for alerts in course for alert in alerts.values())


def test_promtool_finds_no_fault_in_the_rule_file(promtool: str) -> None:
    path = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules" / "otel_django.yml"
    found = subprocess.run(
        [promtool, "check", "rules", str(path)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
