"""Every rule of the catalogue is quiet, fires and is resolved as its series say."""

from __future__ import annotations

import pytest

from otel_django.alerts.catalogue import rules
from tests.alert_scenarios import SCENARIOS, Scenario
from tests.alert_series import Memory, fired, states

RULES = {rule.name: rule for rule in rules()}
ELSEWHERE = {"NewErrorGroup", "ErrorRegression", "TargetDown"}
"""Not of metrics; and what only Prometheus knows."""


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_a_rule_is_quiet_fires_and_is_resolved(scenario: Scenario) -> None:
    source = Memory(scenario.told, scenario.step_s)
    course = states(RULES[scenario.rule], source, scenario.steps)
    assert not course[10], "it is quiet at first"
    assert fired(course) == scenario.fires
    assert fired(course[-1:]) == set()
    ended = {key.severity for key, alert in course[-1].items() if alert.state == "resolved"}
    assert ended == scenario.fires


def test_every_rule_of_metrics_has_series() -> None:
    assert {scenario.rule for scenario in SCENARIOS} == RULES.keys() - ELSEWHERE
