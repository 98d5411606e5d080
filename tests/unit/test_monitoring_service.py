"""The monitoring service: what is due when, who leads, what an evaluation keeps and tells."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from otel_django import metric_definitions as metrics
from otel_django import names
from otel_django.alerts import liveness
from otel_django.alerts.definitions import defined
from otel_django.alerts.delivery.routes import routes
from otel_django.alerts.delivery.stages import Delivery, planned
from otel_django.alerts.keeping.contract import (
    Attempt,
    Changes,
    Entry,
    Fence,
    Known,
    NotLeaderError,
    Outgoing,
)
from otel_django.alerts.liveness import LEASE_S
from otel_django.alerts.rules import Rule
from otel_django.alerts.service.duties import MOST_HANGING, Duties, Duty
from otel_django.alerts.service.evaluation import RENEW_MS, Evaluation, Step
from otel_django.alerts.service.heartbeat import Heartbeat
from otel_django.alerts.service.leading import AWAY_S, START_S, TAKE_OVER_S, Leading
from otel_django.alerts.service.measured import Measured
from otel_django.alerts.state import Key
from otel_django.alerts.telling import Policy
from otel_django.backends.embedded_metrics import EmbeddedMetricReader
from otel_django.clock import SYSTEM_CLOCK
from otel_django.conf import Settings
from otel_django.contracts import MetricQuery
from otel_django.errors import ReadError
from otel_django.health.checks.monitoring import MonitoringCheck
from otel_django.metrics import active
from otel_django.metrics.host_folder import HostFolder, usable_folder
from otel_django.models import HealthMetric, Lease
from otel_django.monitoring import alert_manager
from otel_django.observers.board import BoardAway, Result
from otel_django.observers.folder_board import FolderBoard
from otel_django.tasks import monitor
from tests import alert_stubs
from tests.alert_series import Memory, Told, flat
from tests.host_kit import Process, SteppedClock

FENCE = Fence(liveness.LEASE, "me")
BUSY = defined(
    {
        "name": "Busy",
        "form": "level",
        "metric": metrics.CELERY_QUEUE_LENGTH.name,
        "by": [names.MESSAGING_DESTINATION_NAME],
        "warning": 10,
        "warning_for": "30s",
        "critical": 100,
        "summary": "{value} wait in {messaging.destination.name}",
    }
)
SLOWLY = defined(
    {
        "name": "Slowly",
        "form": "level",
        "metric": metrics.CELERY_QUEUE_LENGTH.name,
        "warning": 1,
    }
)


# --- duties


class Threads:
    """Runs that begin, and end when the test says so."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, Callable[[], None]]] = []

    def start(self, run: Callable[[], None], name: str) -> None:
        self.begun.append((name.removeprefix("otel_django-"), run))

    def end(self, *names: str) -> None:
        ending = [one for one in self.begun if one[0] in names]
        self.begun = [one for one in self.begun if one not in ending]
        for _, run in ending:
            run()


def test_a_duty_is_done_each_interval_and_one_that_hangs_goes_on_beside() -> None:
    clock, threads = SteppedClock(), Threads()
    done: list[str] = []
    duties = Duties(
        [Duty("often", 5, lambda: done.append("often")), Duty("hangs", 5, lambda: None, 10)],
        clock=clock,
        start=threads.start,
    )
    for _ in range(12):
        duties.step()
        threads.end("often")
        clock.s += 5
    assert done == ["often"] * 12
    assert len(threads.begun) == MOST_HANGING + 1
    threads.end("hangs")
    duties.step()
    assert len(threads.begun) == 2


def test_a_duty_that_is_hurried_begins_with_the_next_step() -> None:
    clock, threads = SteppedClock(), Threads()
    duties = Duties([Duty("one", 60, lambda: None)], clock=clock, start=threads.start)
    duties.step()
    threads.end("one")
    duties.step()
    assert not threads.begun
    duties.hurry("one")
    duties.step()
    assert len(threads.begun) == 1


def test_what_hangs_holds_neither_the_others_nor_the_end() -> None:
    ended = threading.Event()
    duties = Duties([Duty("hangs", 1, ended.wait), Duty("works", 1, lambda: 1)], clock=SYSTEM_CLOCK)
    duties.step()
    began_s = time.monotonic()
    assert not duties.wait(0.2)
    assert time.monotonic() - began_s < 5
    assert duties.done_s("works") is not None
    assert duties.done_s("hangs") is None
    ended.set()
    assert duties.wait(5)


# --- who leads


class Table:
    """A board of a database that can go away."""

    def __init__(self) -> None:
        self.owner = ""
        self.away = False
        self.text = ""

    def _ask(self) -> None:
        if self.away:
            raise BoardAway("OperationalError")

    def claim(self, name: str, owner: str, ttl_s: float) -> bool:
        self._ask()
        self.owner = self.owner or owner
        return self.owner == owner

    def release(self, name: str, owner: str) -> None:
        self._ask()
        self.owner = "" if self.owner == owner else self.owner

    def put(self, name: str, owner: str, text: str) -> bool:
        self._ask()
        self.text = text
        return True

    def get(self, name: str) -> Result | None:
        raise NotImplementedError

    def post(self, name: str, owner: str, text: str) -> None:
        raise NotImplementedError

    def posted(self, prefix: str) -> Mapping[str, Result]:
        raise NotImplementedError

    def remove(self, name: str, owner: str | None = None) -> None:
        raise NotImplementedError


def contender(table: Table, clock: SteppedClock, owner: str) -> Leading:
    return Leading(table, lambda: None, owner=owner, clock=clock)


def test_who_holds_the_lease_leads_until_it_runs_out() -> None:
    clock, table = SteppedClock(), Table()
    one, other = contender(table, clock, "one"), contender(table, clock, "other")
    assert not one.leads()
    one.claim()
    other.claim()
    assert (one.leads(), other.leads()) == (True, False)
    one.leave("last words")
    one.claim()
    assert table.text == "last words"
    one.release()
    other.claim()
    assert (one.leads(), other.leads()) == (False, True)


def test_while_the_database_is_away_who_led_goes_on_and_others_wait() -> None:
    clock, table = SteppedClock(), Table()
    one, other = contender(table, clock, "one"), contender(table, clock, "other")
    one.claim()
    other.claim()
    table.away = True
    clock.s += LEASE_S + 1
    one.claim()
    other.claim()
    assert (one.leads(), other.leads()) == (True, False)
    clock.s += TAKE_OVER_S
    assert other.leads()  # it has not heard of another one for too long
    table.away = False
    other.claim()
    assert not other.leads()


def test_a_database_that_hangs_is_away_without_an_answer() -> None:
    clock = SteppedClock()
    seen: list[bool] = []

    class Hanging(Table):
        def claim(self, name: str, owner: str, ttl_s: float) -> bool:
            seen.append(one.leads())
            clock.s += max(START_S, AWAY_S)
            seen.append(one.leads())
            return super().claim(name, owner, ttl_s)

    one = contender(Hanging(), clock, "one")
    clock.s += 60
    assert not one.leads()  # nobody has asked yet
    one.claim()
    assert seen == [False, True]
    one.claim()
    assert seen[2:] == [True, True]


def test_of_a_hosts_processes_one_leads_whatever_the_database_says(tmp_path: Path) -> None:
    clock, table = SteppedClock(), Table()
    boards = [FolderBoard(HostFolder(tmp_path / "run", pause=lambda: None)) for _ in range(2)]
    one, other = (
        Leading(table, lambda board=board: board, owner=name, clock=clock)  # type: ignore[misc]
        for board, name in zip(boards, ("one", "other"), strict=True)
    )
    one.claim_host()
    other.claim_host()
    table.away = True
    one.claim()
    other.claim()
    clock.s += 1
    assert (one.leads(), other.leads()) == (True, False)
    clock.s += TAKE_OVER_S
    one.release()
    other.claim_host()
    assert not other.leads()  # before it has asked the database
    other.claim()
    assert other.leads()
    other.release()


# --- an evaluation


class Memo:
    """A keeper in memory; with ``lost`` another one has the lease."""

    def __init__(self) -> None:
        self.known = Known()
        self.saved: list[Changes] = []
        self.lost = False

    def load(self, now_ms: int) -> Known:
        return self.known

    def save(self, changes: Changes, fence: Fence) -> None:
        if self.lost:
            raise NotLeaderError
        self.saved.append(changes)
        alerts: dict[Key, Entry] = dict(self.known.alerts)
        for gone in changes.gone:
            del alerts[gone.alert.key]
        alerts.update({entry.alert.key: entry for entry in changes.alerts})
        self.known = Known(alerts, self.known.silences, self.known.rules)

    def due(self, now_ms: int, fence: Fence, limit: int = 100) -> list[Outgoing]:
        raise NotImplementedError

    def attempted(self, attempt: Attempt) -> None:
        raise NotImplementedError

    @property
    def outgoing(self) -> list[Outgoing]:
        return [one for changes in self.saved for one in changes.outgoing]


class Bench:
    """An evaluation of one queue's length, every 15 s."""

    def __init__(self, *rules: Rule, lengths: list[float | None]) -> None:
        told = Told(metrics.CELERY_QUEUE_LENGTH, lengths, messaging__destination__name="mail")
        self.source: Any = Memory([told], 15)
        self.rules = list(rules)
        self.keeper = Memo()
        delivery = Delivery(routes((), ["log"]), group_interval_s=0)
        self.evaluation = Evaluation(
            keeper=self.keeper,
            rules=lambda rows: [*self.rules, *(defined(row) for row in rows)],
            source=lambda: self.source,
            announce=lambda notices, entries, known, now_ms, newest: planned(
                notices, entries, known, delivery, now_ms, newest
            ),
            policy=Policy(),
        )

    def steps(self, first: int, last: int) -> list[Step]:
        made = [self.evaluation.step(step * 15_000, FENCE) for step in range(first, last + 1)]
        return [step for step in made if step is not None]

    @property
    def states(self) -> dict[str, str]:
        return {key.severity: one.alert.state for key, one in self.keeper.known.alerts.items()}

    def said(self) -> list[tuple[str, str]]:
        return [(one.kind, one.severity) for one in self.keeper.outgoing]


def test_an_alert_is_pending_fires_is_told_once_and_resolved() -> None:
    bench = Bench(BUSY, lengths=flat((2, 0), (10, 50), (10, 0)))
    bench.steps(1, 2)
    assert bench.states == {"warning": "pending"}
    assert bench.said() == []
    bench.steps(3, 8)
    assert bench.states == {"warning": "firing"}
    assert bench.said() == [("fired", "warning")]
    assert [event.kind for changes in bench.keeper.saved for event in changes.events] == ["fired"]
    (entry,) = bench.keeper.known.alerts.values()
    assert (entry.message, entry.threshold) == ("50 wait in mail", 10)
    bench.steps(9, 14)
    assert bench.states == {"warning": "resolved"}
    assert bench.said() == [("fired", "warning"), ("resolved", "warning")]


def test_a_critical_alert_fires_at_its_first_breach_and_mutes_its_warning() -> None:
    bench = Bench(BUSY, lengths=flat((2, 0), (20, 500)))
    (step,) = bench.steps(2, 2)
    assert step.firing == {"critical": 1}
    assert [entry.alert.key.severity for entry in step.alerts] == ["critical"]
    bench.steps(3, 8)
    assert bench.states == {"warning": "firing", "critical": "firing"}
    assert bench.said() == [("fired", "critical")]


def test_what_ended_before_it_fired_is_gone() -> None:
    bench = Bench(BUSY, lengths=flat((1, 0), (1, 50), (5, 0)))
    bench.steps(0, 3)
    assert bench.states == {}
    assert sum(len(changes.gone) for changes in bench.keeper.saved) == 1


def test_while_only_the_value_changes_little_is_written() -> None:
    bench = Bench(BUSY, lengths=[float(500 + step) for step in range(41)])
    bench.steps(1, 40)
    critical = [
        entry
        for changes in bench.keeper.saved
        for entry in changes.alerts
        if entry.alert.key.severity == "critical"
    ]
    assert len(critical) <= 2 + 40 * 15_000 / RENEW_MS


def test_rules_without_a_critical_threshold_are_evaluated_each_minute() -> None:
    bench = Bench(SLOWLY, lengths=flat((1, 0), (20, 5)))
    bench.steps(0, 3)
    assert bench.states == {}
    bench.steps(4, 4)
    assert bench.states == {"warning": "firing"}


def test_warnings_leave_room_for_what_is_critical() -> None:
    bench = Bench(BUSY, lengths=[])
    lengths = flat((2, 50), (4, 500))
    bench.source = Memory(
        [
            Told(metrics.CELERY_QUEUE_LENGTH, lengths, messaging__destination__name=f"q{number}")
            for number in range(600)
        ],
        15,
    )
    *_, step = bench.steps(1, 3)
    assert step.firing["critical"] == 600
    assert step.reason == ""


def test_an_alert_stays_while_nothing_can_be_read_and_it_is_said() -> None:
    class Broken:
        def series(self, *_: object) -> list[Any]:
            raise ReadError("the store is away")

        def error_groups(self, *_: object) -> list[Any]:
            return []

    bench = Bench(BUSY, lengths=flat((20, 500)))
    bench.steps(0, 2)
    bench.source = Broken()
    (step,) = bench.steps(3, 3)
    assert (step.failed, step.reason) == (("Busy",), "the store is away")
    assert step.firing["critical"] == 1
    assert bench.said() == [("fired", "critical")]


def test_what_a_rule_that_is_gone_had_firing_is_resolved() -> None:
    bench = Bench(BUSY, lengths=flat((20, 500)))
    bench.steps(0, 2)
    bench.rules = []
    bench.steps(3, 3)
    assert bench.states["critical"] == "resolved"
    assert bench.said() == [("fired", "critical"), ("resolved", "critical")]


def test_rules_of_the_admin_count_from_the_next_step_on() -> None:
    bench = Bench(lengths=flat((20, 5)))
    bench.steps(0, 1)
    rows = (
        {
            "name": "Mine",
            "form": "level",
            "metric": metrics.CELERY_QUEUE_LENGTH.name,
            "critical": 3,
        },
    )
    bench.keeper.known = Known(rules=rows)
    bench.steps(2, 2)
    assert bench.states == {"critical": "firing"}


def test_without_the_lease_nothing_is_told() -> None:
    bench = Bench(BUSY, lengths=flat((20, 500)))
    bench.keeper.lost = True
    with pytest.raises(NotLeaderError):
        bench.steps(1, 1)
    assert bench.keeper.saved == []


def test_an_evaluation_that_hung_changes_nothing_once_a_later_one_has_begun() -> None:
    bench = Bench(BUSY, lengths=flat((20, 500)))
    whole, results = bench.source, []

    class Slow:
        def series(self, *given: Any) -> Any:
            bench.source = whole
            results.append(bench.evaluation.step(30_000, FENCE))
            return whole.series(*given)

    bench.source = Slow()
    assert bench.evaluation.step(15_000, FENCE) is None
    assert results[0] is not None
    assert len(bench.keeper.saved) == 1


# --- what others see of it


@pytest.fixture
def check(tmp_path: Path) -> tuple[MonitoringCheck, FolderBoard]:
    settings = Settings(run_dir=tmp_path / "run", service_name="shop")
    folder = usable_folder(settings.run_dir, "shop", pause=lambda: None)
    assert folder is not None
    return MonitoringCheck(settings), FolderBoard(folder)


@pytest.mark.usefixtures("database")
def test_the_check_finds_an_evaluator_that_is_late(
    check: tuple[MonitoringCheck, FolderBoard],
) -> None:
    asked, board = check
    assert asked.run().status == "healthy"
    last = liveness.Evaluated(15, 37, 1, host="web-1")
    board.post(liveness.LEASE, "me", last.written())
    assert asked.run().observed["firing"] == 1
    board.post(liveness.LEASE, "me", last.written(), age_s=44)
    assert asked.run().status == "healthy"
    board.post(liveness.LEASE, "me", last.written(), age_s=46)
    found = asked.run()
    assert (found.status, found.message) == (
        "unhealthy",
        "Alerts were last evaluated 46 s ago, on web-1.",
    )


@pytest.mark.usefixtures("database")
def test_the_check_names_rules_that_fail(check: tuple[MonitoringCheck, FolderBoard]) -> None:
    asked, board = check
    last = liveness.Evaluated(15, 37, 0, ("HighCpu",), "the store is away")
    board.post(liveness.LEASE, "me", last.written())
    found = asked.run()
    assert found.status == "degraded"
    assert found.message == "Rules that can't be evaluated: HighCpu (the store is away)."


@pytest.mark.parametrize("text", ["", "{", "[]", '{"interval_s": "x"}', "null"])
def test_what_somebody_else_left_is_no_evaluation(text: str) -> None:
    assert liveness.read(text) is None


def test_a_heartbeat_is_one_get_and_its_address_stays_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with alert_stubs.webhook("/ping/mark-5231") as stub:
        assert Heartbeat(stub.url.replace("//", "//ada:hush@"), clock=SYSTEM_CLOCK).beat()
        assert stub.requests[0].path == "/ping/mark-5231"
        assert stub.requests[0].headers["authorization"] == "Basic YWRhOmh1c2g="
        stub.answers.append(alert_stubs.Answer(500))
        assert not Heartbeat(stub.url, clock=SYSTEM_CLOCK).beat()
    assert not Heartbeat(stub.url, clock=SYSTEM_CLOCK).beat()
    assert "it answered 500" in caplog.text
    assert "mark-5231" not in caplog.text


# --- what it is evaluated on, and without a process of its own


def test_without_a_store_the_hosts_sums_are_kept_in_one_of_the_service(tmp_path: Path) -> None:
    process = Process(tmp_path / "run", SteppedClock())
    process.count(3)
    measured = Measured(Settings(), tmp_path, clock=SYSTEM_CLOCK, resolved=dict)
    assert measured.path is None
    active.activate(process.recorder, process.host)
    try:
        measured.take()
        path = measured.path
        assert path == tmp_path / "alerts.sqlite3"
        (series,) = EmbeddedMetricReader(path).read(MetricQuery("requests", 0, 1 << 62)).series
        assert [getattr(point, "value", None) for point in series.points] == [3]
    finally:
        measured.close(1.0)
        active.activate(None)


@pytest.mark.usefixtures("database")
def test_a_scheduler_can_have_it_done_again_and_again() -> None:
    for _ in range(2):
        monitor()
    assert HealthMetric._base_manager.filter(metric_name="score").count() == 2
    lease = Lease._base_manager.get(name=liveness.LEASE)
    assert lease.until_ms == 0


@pytest.mark.usefixtures("database")
def test_code_can_have_it_done_every_five_minutes() -> None:
    alert_manager.check_and_send_alerts()
    last = liveness.read(Lease._base_manager.get(name=liveness.LEASE).result)
    assert last is not None
    assert last.interval_s == 300
