"""The governor: times in, levels out; and how the times of other threads are found."""

from __future__ import annotations

import importlib
import threading
from time import thread_time_ns
from typing import Any

import pytest

from otel_django.bootstrap.governor import Governing
from otel_django.bootstrap.process import Runtime
from otel_django.conf import Settings
from otel_django.instrumentation import detail, http_request, probing, thrift
from otel_django.instrumentation.celery_execution import Executions
from otel_django.instrumentation.celery_publish import Publishing
from otel_django.instrumentation.database_metrics import DatabaseMetrics
from otel_django.instrumentation.database_recorder import Recorder
from otel_django.instrumentation.probing import Probe
from otel_django.logs.journal import Journal
from otel_django.tracing.governor import LEVELS, Governor, Look
from otel_django.tracing.tracer import Tracer
from tests.tracing_kit import Collected

REQUESTS: Any = http_request


class Site:
    """A process whose work is ``work`` of each second, and what telemetry adds to it."""

    def __init__(
        self, *, work: float = 0.8, always: float = 0.01, detail: float = 0.02, traces: float = 0.12
    ) -> None:
        self.work, self.always, self.detail, self.traces = work, always, detail, traces
        self.governor = Governor(0.05)
        self.now_s = self.process_s = self.own_s = self.spent_s = self.looked_at_s = 0.0
        self.changes: list[tuple[float, int]] = []
        self.kinds: list[str] = []

    def telemetry(self) -> float:
        """Seconds of each second."""
        level = LEVELS[self.governor.level]
        if not self.work:
            return 0.0001
        return self.always + level.detail * self.detail + level.ratio * self.traces

    @property
    def share(self) -> float:
        return self.telemetry() / max(self.telemetry() + self.work, 1.0)

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            telemetry = self.telemetry()
            self.now_s += 1.0
            self.own_s += telemetry / 3
            self.process_s += self.work + telemetry
            self.looked_at_s += 0.02 * (self.work + telemetry * 2 / 3)
            self.spent_s += 0.02 * telemetry * 2 / 3
            look = Look(self.now_s, self.process_s, self.own_s, self.spent_s, self.looked_at_s)
            change = self.governor.look(look)
            if change is not None:
                self.kinds.append(change)
                self.changes.append((self.now_s, self.governor.level))


def test_fifteen_per_cent_fall_below_five_within_a_minute() -> None:
    site = Site()
    assert site.share == pytest.approx(0.15)
    site.run(12)
    assert site.governor.share == pytest.approx(0.15, abs=0.01)
    site.run(48)
    assert site.share <= 0.05
    assert [level for _, level in site.changes] == list(range(1, site.governor.level + 1))


def test_everything_is_recorded_again_when_the_load_ends() -> None:
    site = Site()
    site.run(60)
    site.work = 0.0
    site.run(60)
    assert site.governor.level == 0


def test_everything_is_recorded_again_when_requests_become_longer() -> None:
    site = Site()
    site.run(60)
    site.always = site.detail = site.traces = 0.005
    site.run(300)
    assert site.governor.level == 0


def test_what_is_little_enough_stays_as_it_is() -> None:
    site = Site(always=0.01, detail=0.0, traces=0.02)
    site.run(600)
    assert site.changes == []


def test_an_idle_process_is_left_alone_though_telemetry_is_most_of_what_it_does() -> None:
    site = Site(work=0.001, always=0.003, detail=0.0, traces=0.0)
    site.run(600)
    assert site.changes == []


def test_a_level_that_does_not_last_is_tried_ever_more_seldom() -> None:
    site = Site(always=0.0, detail=0.0, traces=0.11)  # 0.0275 is too little, 0.055 too much
    site.run(1800)
    late = [when for when, _ in site.changes if when > 900]
    assert site.changes
    assert len(late) <= 8


def test_the_start_of_a_process_is_not_judged() -> None:
    site = Site(always=0.3, detail=0.0, traces=0.0)
    site.run(9)
    assert site.governor.share is None
    site.always = 0.01
    site.run(60)
    assert site.changes == []


def test_a_process_that_is_hardly_busy_is_left_alone_though_telemetry_is_half_of_it() -> None:
    site = Site(work=0.04, always=0.03, detail=0.0, traces=0.01)
    site.run(600)
    assert site.changes == []
    assert site.governor.share == pytest.approx(0.04, abs=0.001)


def test_of_a_process_on_several_processors_it_is_the_share_of_what_they_do() -> None:
    site = Site(work=3.9, always=0.05, detail=0.0, traces=0.05)
    site.run(60)
    assert site.governor.share == pytest.approx(0.025, abs=0.001)
    assert site.changes == []


def test_a_step_that_does_not_help_is_taken_back_and_not_tried_again_for_ten_minutes() -> None:
    site = Site(always=0.2, detail=0.0, traces=0.03)
    site.run(60)
    assert site.governor.level == 0
    assert site.kinds == ["reduced", "reduced", "undone"]
    undone_s = site.changes[-1][0]
    site.run(1200)
    assert site.governor.level == 0
    assert [when for when, _ in site.changes[3:4]] == [pytest.approx(undone_s + 600, abs=2)]


def test_it_stops_where_the_next_step_saves_hardly_anything() -> None:
    site = Site(always=0.1)
    site.run(60)
    assert site.kinds[-1] == "undone"
    assert LEVELS[site.governor.level].ratio == 0.125
    site.run(500)
    assert LEVELS[site.governor.level].ratio == 0.125


def test_details_that_cost_nothing_do_not_keep_from_thinning() -> None:
    site = Site(always=0.01, detail=0.0, traces=0.12)
    site.run(60)
    assert site.share <= 0.05
    assert "undone" not in site.kinds


def test_a_step_is_not_taken_back_for_a_few_bad_seconds() -> None:
    site = Site()
    while not site.changes or site.changes[-1][1] < 2:
        site.run(1)
    site.traces *= 2
    site.run(4)
    site.traces /= 2
    site.run(30)
    assert "undone" not in site.kinds
    assert site.share <= 0.05


def test_a_step_that_helps_less_because_more_is_asked_has_helped() -> None:
    site = Site(work=0.3, always=0.01, detail=0.0, traces=0.08)
    site.run(14)
    assert site.governor.level == 1
    site.run(3)
    site.work, site.always, site.traces = 0.6, 0.02, 0.16  # twice the requests
    site.run(60)
    assert "undone" not in site.kinds
    assert site.share <= 0.05


# --- looking


def busy(thread_ms: float) -> None:
    end_ns = thread_time_ns() + int(thread_ms * 1e6)
    while thread_time_ns() < end_ns:
        pass


class Writer:
    def write(self) -> None:
        busy(4)
        self.tell()

    def tell(self) -> None:
        busy(4)

    emit = hand_on = tell


@pytest.fixture
def probe() -> Probe:
    return Probe(Collected().provider, lambda: None)


def on_another_thread(work: Any) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_what_is_called_on_other_threads_is_timed_once() -> None:
    journal = Writer()
    probe = Probe(Collected().provider, lambda: journal)

    def request() -> None:
        busy(20)
        journal.write()

    probe.open()
    on_another_thread(request)
    probe.close()
    assert 0.0079 < probe.spent_s < 0.0145
    assert 0.027 < probe.looked_at_s < 0.1
    assert vars(journal) == {}


def test_the_thread_that_sends_is_not_looked_at() -> None:
    journal = Writer()
    probe = Probe(Collected().provider, lambda: journal)
    probe.open()
    journal.write()
    probe.close()
    assert probe.spent_s == 0
    assert probe.looked_at_s < 0.004


def test_everything_is_as_it_was_afterwards(probe: Probe) -> None:
    served, inside = REQUESTS.ServedRequest, detail._Inside
    probe.open()
    assert REQUESTS.ServedRequest is not served
    probe.close()
    assert REQUESTS.ServedRequest is served
    assert detail._Inside is inside


def test_spans_that_are_made_by_hand_are_looked_at() -> None:
    collected = Collected()
    probe = Probe(collected.provider, lambda: None)
    probe.open()
    on_another_thread(lambda: [collected.tracer.start_span("x").end() for _ in range(50)])
    probe.close()
    assert probe.spent_s > 0
    assert len(collected.spans) == 50


def test_a_child_that_is_forked_meanwhile_leaves_everything_as_it_was(probe: Probe) -> None:
    served = REQUESTS.ServedRequest
    probe.open()
    probe.after_fork()
    assert REQUESTS.ServedRequest is served
    assert probe.looked_at_s == 0


def test_thrift_makes_no_spans_of_parts() -> None:
    thrift.set_on(True)
    try:
        inside = detail._Inside("part")
        with inside:
            assert inside._span is None
    finally:
        thrift.set_on(False)


def test_what_is_to_be_looked_at_is_there() -> None:
    for module, functions in probing._FUNCTIONS:
        for name in functions:
            assert hasattr(importlib.import_module(f"otel_django.instrumentation.{module}"), name)
    for module, cls, methods in probing._CLASSES:
        found = getattr(importlib.import_module(f"otel_django.instrumentation.{module}"), cls)
        assert all(name in vars(found) for name in methods)
    owners = {
        "_recorder": Recorder,
        "_recorder.metrics": DatabaseMetrics,
        "_executions": Executions,
        "_publishing": Publishing,
    }
    for module, name, methods in probing._OBJECTS:
        importlib.import_module(f"otel_django.instrumentation.{module}")
        known = (*vars(owners[name]), "begin_alike")
        assert all(method in known for method in methods)
    assert all(hasattr(Tracer, name) or name == "emit" for name in probing._OF_TRACER)
    assert all(hasattr(Journal, name) for name in probing._OF_JOURNAL)


# --- in a process


@pytest.fixture
def runtime() -> Runtime:
    return Runtime(Settings(strict=True))


def governing_of(runtime: Runtime) -> Governing:
    (governing,) = [each for each in runtime.instrumentations if isinstance(each, Governing)]
    return governing


def test_a_busy_process_is_looked_at_for_a_moment_each_second(runtime: Runtime) -> None:
    governing = governing_of(runtime)
    tracer = runtime.provider.tracer("tests")
    governing.install(tracer, runtime.settings)
    served = REQUESTS.ServedRequest
    try:
        on_another_thread(lambda: busy(20))
        wish_s = governing.poll(100.0)
        assert wish_s is not None
        assert wish_s < 0.2
        assert REQUESTS.ServedRequest is not served
        assert governing.poll(100.0 + wish_s) == pytest.approx(1.0 - wish_s)
        assert REQUESTS.ServedRequest is served
        governing.poll(110.0)
        governing.poll(110.0 + wish_s)
        governing.poll(111.0)
        assert governing.governor.share is not None
        assert 0.0 <= governing.governor.share <= 1.0
    finally:
        governing.uninstall()
    assert REQUESTS.ServedRequest is served


def test_a_process_that_ends_meanwhile_is_left_as_it_was(runtime: Runtime) -> None:
    governing = governing_of(runtime)
    governing.install(runtime.provider.tracer("tests"), runtime.settings)
    served = REQUESTS.ServedRequest
    on_another_thread(lambda: busy(10))
    governing.poll(100.0)
    assert REQUESTS.ServedRequest is not served
    runtime.worker.shutdown(1.0)
    assert REQUESTS.ServedRequest is served
    governing.uninstall()


def test_when_it_is_taken_off_everything_is_recorded_again(runtime: Runtime) -> None:
    governing = governing_of(runtime)
    governing.install(runtime.provider.tracer("tests"), runtime.settings)
    governing._apply(4)
    assert runtime.provider.thinning is not None
    assert thrift.on
    governing.uninstall()
    assert runtime.provider.thinning is None
    assert not thrift.on


def test_a_forked_child_begins_with_everything(runtime: Runtime) -> None:
    governing = governing_of(runtime)
    governing.install(runtime.provider.tracer("tests"), runtime.settings)
    try:
        governing.governor.level = 4
        governing._apply(4)
        governing.after_fork()
        assert governing.governor.level == 0
        assert runtime.provider.thinning is None
    finally:
        governing.uninstall()


def test_without_a_limit_nobody_looks() -> None:
    runtime = Runtime(Settings(strict=True, max_overhead=0.0))
    assert not any(isinstance(each, Governing) for each in runtime.instrumentations)
