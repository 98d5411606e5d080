"""Checks of django-health-check itself, and some written for it, as checks of this site."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache.backends.locmem import LocMemCache

pytest.importorskip("health_check")  # it needs Django 5.2
from health_check.base import HealthCheck
from health_check.exceptions import (
    ServiceReturnedUnexpectedResult,
    ServiceUnavailable,
    ServiceWarning,
)

from otel_django.clock import SYSTEM_CLOCK
from otel_django.conf import Settings
from otel_django.errors import ConfigurationError
from otel_django.health.django_health_check import adapt
from otel_django.health.engine import Engine
from otel_django.health.registry import SITE
from otel_django.health.results import CheckReport


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = {check.name for check in SITE.checks("all")}
    yield
    for check in SITE.checks("all"):
        if check.name not in before:
            SITE.remove(check.name)


def report_of(name: str) -> CheckReport:
    engine = Engine(Settings(), SITE, folder=None, clock=SYSTEM_CLOCK)
    (report,) = engine.report(names=[name]).checks
    return report


def failing(error: BaseException) -> type[Any]:
    class Sync(HealthCheck):  # type: ignore[misc]
        def run(self) -> None:
            raise error

    return Sync


def failing_later(error: BaseException) -> type[Any]:
    class Async(HealthCheck):  # type: ignore[misc]
        async def run(self) -> None:
            await asyncio.sleep(0)
            raise error

    return Async


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("health_check.checks.Database", "database"),
        ("health_check.checks.Cache", "cache"),
        ("health_check.checks.Storage", "storage"),
    ],
)
def test_its_own_checks_are_healthy(path: str, name: str, database: Any, tmp_path: Any) -> None:
    adapt(path, critical=True)
    found = report_of(name)
    assert (found.status, found.message) == ("healthy", "")
    assert found.critical


def test_its_own_database_check_says_what_is_wrong(settings_changed: Any) -> None:
    from health_check.checks import Database

    adapt(Database(alias="nowhere"), name="nowhere")
    found = report_of("nowhere")
    assert (found.status, found.message) == ("unhealthy", "Database alias does not exist")


def test_its_own_cache_check_sees_a_cache_that_forgets() -> None:
    adapt("health_check.checks.Cache", name="their_cache")
    forgetful = pytest.MonkeyPatch()
    with forgetful.context() as patched:
        patched.setattr(LocMemCache, "get", lambda *args, **kwargs: None)
        found = report_of("their_cache")
    assert found.status == "unhealthy"
    assert "does not match" in found.message


@pytest.mark.parametrize("make", [failing, failing_later])
@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ServiceWarning("slow today"), "degraded", "slow today"),
        (ServiceUnavailable("closed"), "unhealthy", "closed"),
        (ServiceReturnedUnexpectedResult("odd"), "unhealthy", "odd"),
        (ValueError("secret"), "unhealthy", "raised ValueError"),
        (asyncio.CancelledError("secret"), "unhealthy", "raised CancelledError"),
        (SystemExit("secret"), "unhealthy", "raised SystemExit"),
    ],
)
def test_N1_warnings_failures_and_cancellations_are_findings_of_that_check_alone(
    make: Callable[[BaseException], type[Any]], error: BaseException, status: str, message: str
) -> None:
    adapt(make(error), name="theirs")
    adapt("health_check.checks.Cache", name="their_cache")
    engine = Engine(Settings(), SITE, folder=None, clock=SYSTEM_CLOCK)
    found = {check.name: check for check in engine.report(names=["theirs", "their_cache"]).checks}
    assert (found["theirs"].status, found["theirs"].message) == (status, message)
    assert found["their_cache"].status == "healthy"


def test_one_with_options_is_asked_as_it_was_made() -> None:
    asked = []

    @dataclasses.dataclass
    class PayGate(HealthCheck):  # type: ignore[misc]
        url: str = ""

        async def run(self) -> None:
            asked.append(self.url)

    adapt(PayGate(url="https://pay.example"))
    assert report_of("pay_gate").status == "healthy"
    assert asked == ["https://pay.example"]
    with pytest.raises(ConfigurationError, match="another name"):
        adapt(PayGate)
