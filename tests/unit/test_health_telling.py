"""What telemetry says of health checks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from otel_django import conf, health, span
from otel_django.health import active, registry
from otel_django.health.results import CheckReport, Report, Result, worst
from otel_django.health.telling import Change, HealthTelling, changes, most_urgent
from otel_django.metrics import active as measuring
from otel_django.testing import Captured, capture
from tests.host_kit import Process, SteppedClock, metrics_of
from tests.tracing_kit import Collected

NAME = "telling.example"
TTL_S = 0.05


@pytest.fixture
def check() -> Iterator[Callable[[Callable[[], health.Result | None]], None]]:
    """Registers a check of the site's, which is asked anew at each look."""

    def register(run: Callable[[], health.Result | None]) -> None:
        health.register(NAME, groups=("ready", "startup"), critical=True, ttl_s=TTL_S)(run)

    active.engine().forget()
    yield register
    registry.SITE.remove(NAME)
    active.engine().forget()


def look() -> Report:
    """The check is asked each time."""
    time.sleep(1.2 * TTL_S)
    return active.engine().report("all", [NAME], within_s=10)


def events(captured: Captured) -> list[dict[str, object]]:
    return [
        dict(record.attributes)
        for record in captured.logs
        if record.event == "health.check.changed"
    ]


# --- spans, durations, events


def test_a_run_that_finds_all_well_leaves_no_trace(check: Callable[..., None]) -> None:
    check(lambda: None)
    with capture() as captured:
        assert look().status == "healthy"
    assert not captured.find(f"health {NAME}")


def test_a_run_that_fails_is_a_trace_of_its_own_in_which_nothing_else_is_recorded(
    check: Callable[..., None],
) -> None:
    def run() -> Result:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return Result("unhealthy")

    check(run)
    with capture() as captured, span("checkout") as outer:
        assert look().status == "unhealthy"
        trace_id = f"{outer.get_span_context().trace_id:032x}"
    found = captured.one(f"health {NAME}")
    assert found in captured.roots
    assert found.trace_id != trace_id
    assert found.parent_span_id is None
    assert not found.children
    assert not captured.queries
    assert found.status == "ERROR"
    assert dict(found.attributes) == {
        "health.check.name": NAME,
        "health.check.group": "ready",
        "health.check.critical": True,
        "health.check.status": "unhealthy",
        "error.type": "unhealthy",
    }


def test_the_span_of_an_unhealthy_check_has_failed_and_says_why_without_secrets(
    check: Callable[..., None],
) -> None:
    def run() -> None:
        raise health.CheckError("no answer from redis://user:hunter2@cache/0, password=hunter2")

    check(run)
    with capture() as captured:
        look()
    found = captured.one(f"health {NAME}")
    assert found.status == "ERROR"
    assert found.attributes["error.type"] == "unhealthy"
    assert found.attributes["health.check.status"] == "unhealthy"
    assert "no answer" in str(found.status_description)
    assert "hunter2" not in repr(found) + repr(captured.logs)


def test_a_run_is_measured_by_the_process_that_made_it(check: Callable[..., None]) -> None:
    check(lambda: None)
    with capture() as captured:
        look()
        look()
    measured = captured.metric("health.check.duration", health__check__name=NAME)
    assert measured.count == 2
    assert measured.attributes["health.check.group"] == "ready"


def test_a_change_is_an_event_and_the_same_again_is_none(check: Callable[..., None]) -> None:
    now = [Result("healthy")]
    check(lambda: now[0])
    with capture() as captured:
        look()
        now[0] = Result("unhealthy", "token=hunter2 refused", instance="a")
        look()
        look()
        now[0] = Result("degraded", "slow", instance="a")
        look()
        now[0] = Result("healthy", instance="a")
        look()
    told = events(captured)
    assert [(each["health.check.status_before"], each["health.check.status"]) for each in told] == [
        ("healthy", "unhealthy"),
        ("unhealthy", "degraded"),
        ("degraded", "healthy"),
    ]
    assert told[0]["health.check.name"] == NAME
    assert told[0]["health.check.instance"] == "a"
    assert told[0]["message"] == "token=[redacted] refused"
    levels = [record.level for record in captured.logs if record.event == "health.check.changed"]
    assert [level.lower() for level in levels] == ["error", "warning", "info"]


def test_nothing_is_told_where_nobody_observes(check: Callable[..., None]) -> None:
    check(lambda: Result("unhealthy"))
    assert look().status == "unhealthy"
    with capture() as captured:
        pass
    assert not captured.find(f"health {NAME}")


# --- changes


def report(*results: Result) -> CheckReport:
    return CheckReport(NAME, worst(results), True, results)


A_BAD = Result("unhealthy", "gone", instance="a")
A_GOOD, B_GOOD = Result(instance="a"), Result(instance="b")
TIMED_OUT = Result("unhealthy", "did not come back")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, (Result(),), []),
        (None, (A_GOOD, B_GOOD), []),
        (None, (A_BAD, B_GOOD), [Change("a", "healthy", "unhealthy", "gone")]),
        ((A_GOOD, B_GOOD), (A_BAD, B_GOOD), [Change("a", "healthy", "unhealthy", "gone")]),
        ((A_BAD, B_GOOD), (A_BAD, B_GOOD), []),
        ((A_BAD, B_GOOD), (A_GOOD, B_GOOD), [Change("a", "unhealthy", "healthy", "")]),
        (
            (A_GOOD, B_GOOD),
            (TIMED_OUT,),
            [Change("", "healthy", "unhealthy", "did not come back")],
        ),
        ((TIMED_OUT,), (A_GOOD, B_GOOD), [Change("", "unhealthy", "healthy", "")]),
        ((A_BAD, B_GOOD), (B_GOOD,), [Change("", "unhealthy", "healthy", "")]),
        ((A_BAD,), (TIMED_OUT,), []),
    ],
)
def test_what_counts_as_a_change(
    before: tuple[Result, ...] | None, after: tuple[Result, ...], told: list[Change]
) -> None:
    assert changes(None if before is None else report(*before), report(*after)) == told


def test_the_most_urgent_group_names_a_check() -> None:
    assert most_urgent({"ready", "startup"}) == "ready"
    assert most_urgent({"startup"}) == "startup"
    assert most_urgent(set()) == "all"


# --- status and score


def test_status_and_score_are_told_by_the_elected_process_of_the_host(
    tmp_path: Path, check: Callable[..., None]
) -> None:
    check(lambda: [Result("healthy", instance="a"), Result("degraded", instance="b")])
    look()
    clock = SteppedClock()
    processes = [Process(tmp_path, clock), Process(tmp_path, clock)]
    told = []
    for process in processes:
        telling = HealthTelling()
        telling.measure_with(process.recorder)
        telling.install(Collected().tracer, conf.Settings())
        process.count(1)
        process.poll()
        process.poll(5)
        measuring.activate(process.recorder, process.host)
        try:
            told.append({metric.name for metric in process.recorder.collect()})
            found = metrics_of(process.host.read())
        finally:
            measuring.activate(None)
            telling.uninstall()
    assert [process.host.elected for process in processes] == [True, False]
    names = {"health.check.status", "health.score"}
    assert names <= told[0]
    assert not names & told[1]
    values = {
        tuple(value for _, value in point.attributes): getattr(point, "value", None)
        for point in found["health.check.status"].points
    }
    assert values == {("ready", "a", NAME): 1.0, ("ready", "b", NAME): 0.5}
    scores = {
        dict(point.attributes)["health.check.group"]: getattr(point, "value", None)
        for point in found["health.score"].points
    }
    assert scores == {"ready": 50.0, "startup": 50.0, "all": 50.0}
