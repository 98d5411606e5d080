"""The page of health checks."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from otel_django import metric_definitions as metrics
from otel_django.health.results import CheckError, Result
from tests.endpoints_kit import STRANGER, ours
from tests.health_kit import Add, hanging, only_checks_of_the_test, site_checks
from tests.tables_kit import HOSTILE, Telemetry, page, rows, site
from tests.viewer_kit import text

PATH = "health/checks/"


@pytest.fixture(autouse=True)
def telemetry(tmp_path: Path) -> Iterator[Telemetry]:
    with site(tmp_path) as made, only_checks_of_the_test(tmp_path / "run"):
        yield made


def refuses() -> Result:
    raise CheckError("connection refused")


def nearly_full() -> Result:
    return Result("degraded", "91 % used", {"used_ratio": 0.91, "free_bytes": 4_100_000_000})


def test_where_all_is_well_one_line_says_so(add: Add) -> None:
    add("till", Result)
    add("warehouse", Result)
    assert text(page(PATH)).startswith("All 2 checks are healthy; 100 of 100")


def test_the_worst_comes_first_with_what_it_found(add: Add) -> None:
    add("till", Result, critical=False)
    add("shelf", nearly_full, critical=False)
    add("bank", refuses)
    html = page(PATH)
    answer = "Unhealthy: 2 of 3 checks aren't healthy, bank is unhealthy (connection refused)"
    assert text(html).startswith(answer)
    found = rows(html)[1:]
    assert found[0].startswith(
        "✗ unhealthy bank critical log of changes of bank connection refused"
    )
    assert found[1].startswith(
        "! degraded shelf log of changes of shelf 91 % used used 91 % free 4.1 GB"
    )
    assert found[2].startswith("✓ healthy till log")


def test_each_of_several_findings_is_shown(add: Add) -> None:
    add("queues", lambda: [Result(instance="mail"), Result("unhealthy", "no worker", {}, "pay")])
    found = rows(page(PATH))[1]
    assert "✗ unhealthy pay no worker ✓ healthy mail" in found


def test_a_group_shows_its_checks_and_what_probes_of_it_get(add: Add) -> None:
    add("bank", refuses, "ready")
    add("tables", Result, "startup")
    html = page(PATH)
    assert "All ✗ 503 Ready ✗ 503 Start-up ✓ 200" in text(html)
    assert "Live" not in text(html)
    assert text(page(f"{PATH}?group=startup")).startswith("The check is healthy")


def test_a_heading_sorts(add: Add) -> None:
    add("till", refuses)
    add("bank", Result)
    assert [row.split()[2] for row in rows(page(PATH))[1:]] == ["till", "bank"]
    assert [row.split()[2] for row in rows(page(f"{PATH}?sort=name"))[1:]] == ["bank", "till"]


def test_a_check_that_is_not_back_is_pending_and_holds_nobody_up(add: Add) -> None:
    with hanging() as hangs:
        add("bank", hangs)
        began_s = time.monotonic()
        html = page(PATH)
        assert time.monotonic() - began_s < 5
    assert rows(html)[1].startswith(
        "… pending bank critical log of changes of bank Being asked for"
    )
    assert "no answer yet" in rows(html)[1]


def test_how_a_check_was_in_the_range_is_drawn_and_said(
    telemetry: Telemetry, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("bank", Result)
    levels = [1.0] * 6 + [0.0] * 2
    for instance in ("", "eu"):
        worst = levels if instance else [1.0] * 8
        telemetry.measured(
            metrics.HEALTH_CHECK_STATUS, *worst, check_name="bank", check_instance=instance
        )
    telemetry.keep()
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    with ours():
        html = page(f"{PATH}?range=15m")
    assert re.findall(r'<rect class="(\w+)"', html) == ["healthy", "unhealthy"]
    assert re.search(r"6\d %$|7\d %$", rows(html)[1])


def test_it_goes_on_by_itself_where_asked_to(add: Add) -> None:
    add("bank", Result)
    assert "hx-trigger" not in page(PATH)
    assert 'hx-trigger="every 5s"' in page(f"{PATH}?live=1")


def test_without_checks_and_without_a_store_the_page_stands(telemetry: Telemetry) -> None:
    assert text(page(PATH)).startswith("No checks There is nothing to check here.")
    with ours(STORE="off"), site_checks() as add:
        add("bank", Result)
        assert text(page(PATH)).startswith("The check is healthy")


def test_a_store_that_cannot_be_read_leaves_the_checks(telemetry: Telemetry, add: Add) -> None:
    add("bank", Result)
    broken = telemetry.path.with_suffix(".broken")
    broken.parent.mkdir(exist_ok=True)
    broken.write_bytes(b"no database " * 1000)
    with ours(STORE=str(broken)):
        assert "How the checks were: " in text(page(PATH))


def test_hostile_texts_are_shown_as_text(add: Add) -> None:
    add("bank", lambda: Result("degraded", HOSTILE, {HOSTILE: HOSTILE}, HOSTILE))
    html = page(PATH)
    assert "<script>alert" not in html
    assert "\u202e" not in html


def test_strangers_see_no_check_and_run_none(telemetry: Telemetry, add: Add) -> None:
    asked: list[Any] = []
    add("bank", lambda: asked.append(1))
    response = Client(REMOTE_ADDR=STRANGER).get(f"/monitoring/{PATH}")
    assert response.status_code in {302, 403}
    assert asked == []
