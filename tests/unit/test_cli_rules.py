"""``manage.py otel rules``: what it prints, and what it says about mistakes."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
import yaml
from django.core.management import call_command

from tests.endpoints_kit import ours


def printed(*arguments: str) -> dict[str, dict[str, Any]]:
    """The rules of the file, by name and severity."""
    stdout = StringIO()
    call_command("otel", "rules", *arguments, stdout=stdout)
    groups = yaml.safe_load(stdout.getvalue())["groups"]
    return {
        f"{rule['alert']} {rule['labels']['severity']}": rule
        for group in groups
        for rule in group["rules"]
    }


def test_the_file_has_the_sites_thresholds_and_links() -> None:
    with ours(ALERT_HIGH_ERROR_RATE_WARNING=2.5):
        rule = printed("--runbooks", "https://wiki.example/")["HighErrorRate warning"]
    assert rule["expr"].endswith(" > 2.5")
    assert rule["for"] == "1m"
    assert rule["annotations"]["runbook_url"] == (
        "https://wiki.example/docs/runbooks/alerts/HighErrorRate.md"
    )
    assert rule["annotations"]["summary"] == (
        '{{ printf "%.4g" $value }} % of the requests to {{ $labels.job }} fail'
    )


def test_texts_of_the_site_stay_texts_in_the_file() -> None:
    hostile = 'a: "b"\n- c \u2028 {{ $value }} # d'
    rule = {"name": "HighCpu", "description": hostile, "labels": {"team": "a\nb: c"}}
    with ours(ALERT_RULES=[rule]):
        found = printed()["HighCpu critical"]
    assert found["annotations"]["description"] == hostile
    assert found["labels"] == {"team": "a\nb: c", "severity": "critical"}


def test_a_rule_that_cant_be_used_is_left_out_and_told() -> None:
    stdout, stderr = StringIO(), StringIO()
    with ours(ALERT_RULES=[{"name": "Mine"}]), pytest.raises(SystemExit) as ended:
        call_command("otel", "rules", stdout=stdout, stderr=stderr)
    assert ended.value.code == 1
    assert "Rule 'Mine' can't be used: its form must be one of" in stderr.getvalue()
    assert "HighErrorRate" in stdout.getvalue()
