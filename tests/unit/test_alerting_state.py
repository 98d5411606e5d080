"""What the status endpoint says of who evaluates and of the channels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from otel_django.alerts import liveness
from otel_django.alerts.keeping.contract import Attempt, Changes, Fence
from otel_django.alerts.keeping.database import AlertDatabase
from otel_django.alerts.keeping.merging import Backlog
from otel_django.observers.database_board import DatabaseBoard
from otel_django.web.alerting_state import alerting
from otel_django.web.site_settings import site_settings
from tests.alerts_kit import now_ms
from tests.endpoints_kit import by_token, ours
from tests.keeping_kit import outgoing

FENCE = Fence(liveness.LEASE, "me")


@pytest.fixture(autouse=True)
def site(tmp_path: Path, database: None) -> Iterator[None]:
    with ours(TOKENS=["sesame"], RUN_DIR=str(tmp_path), SLACK_WEBHOOK_URL="https://x.example/mark"):
        yield


def status() -> dict[str, Any]:
    found: dict[str, Any] = by_token().get("/monitoring/status/").json()
    return found


def test_nobody_evaluates_yet() -> None:
    found = status()
    assert found["evaluator"] == {
        "kind": "embedded",
        "leads": False,
        "lease_age_s": None,
        "host": "",
        "evaluated_s": None,
        "interval_s": None,
        "late": False,
        "rules": 0,
        "firing": 0,
        "failed": [],
        "reason": "",
    }
    assert [one["name"] for one in found["channels"]] == ["log", "slack"]
    assert "mark" not in str(found)


def test_who_leads_and_what_came_of_the_last_evaluation_are_told() -> None:
    board = DatabaseBoard("default")
    assert board.claim(liveness.LEASE, "me", liveness.LEASE_S)
    last = liveness.Evaluated(15, 37, 2, ("HighCpu",), "the store is away", "web-1")
    board.put(liveness.LEASE, "me", last.written())
    found = status()["evaluator"]
    assert (found["leads"], found["host"], found["rules"], found["firing"]) == (
        True,
        "web-1",
        37,
        2,
    )
    assert (found["failed"], found["reason"]) == (["HighCpu"], "the store is away")
    assert 0 <= found["lease_age_s"] < 15
    assert 0 <= found["evaluated_s"] < 15
    assert not found["late"]


def test_what_waits_was_delivered_and_failed_is_told_by_channel() -> None:
    now = now_ms()
    DatabaseBoard("default").claim(liveness.LEASE, "me", liveness.LEASE_S)
    kept = AlertDatabase("default")
    made = [outgoing(name, at_ms=now) for name in ("n1", "n2", "n3")]
    kept.save(Changes(outgoing=[*made, outgoing("n4", "pager", at_ms=now)]), FENCE)
    backlog = Backlog()
    backlog.attempted(Attempt("n1", "slack", now + 1, "delivered", "200"))
    backlog.attempted(Attempt("n2", "slack", now + 2, "retry", "It answered with HTTP 500.", now))
    kept.merge(backlog)
    channels = {one["name"]: one for one in status()["channels"]}
    slack = channels["slack"]
    assert (slack["queued"], slack["retrying"]) == (2, 1)
    assert slack["failure"] == "It answered with HTTP 500."
    assert slack["delivered"] < slack["failed"]
    assert channels["pager"]["queued"] == 1  # that was taken out of the settings meanwhile
    assert channels["log"] == {
        "name": "log",
        "queued": 0,
        "retrying": 0,
        "delivered": None,
        "failed": None,
        "failure": "",
    }


def test_without_a_database_nobody_knows_what_waits() -> None:
    settings = replace(site_settings(), database="nowhere")
    evaluator, channels = alerting(settings).state()
    assert (evaluator["leads"], channels) == (None, None)


def test_with_prometheus_nobody_is_expected_to_lead() -> None:
    with ours(TOKENS=["sesame"], ALERTS_EVALUATOR="prometheus"):
        found = status()["evaluator"]
    assert (found["kind"], found["late"], found["evaluated_s"]) == ("prometheus", False, None)
