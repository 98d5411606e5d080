"""What a process and its host use."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from otel_django import conf
from otel_django import metric_definitions as metrics
from otel_django.instrumentation.host_metrics import HostSystemMetrics
from otel_django.instrumentation.process_metrics import EVERY_S, Observed, ProcessMetrics
from otel_django.metrics import active
from tests.metrics_kit import Measured
from tests.tracing_kit import Collected

if TYPE_CHECKING:
    from otel_django.metric_points import ResourceMetrics


class Host:
    """A process's place among those of its host."""

    def __init__(self, elected: bool) -> None:
        self.elected = elected

    def read(self) -> tuple[ResourceMetrics, ...]:
        return ()


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def measured() -> Iterator[Measured]:
    measured = Measured()
    before = active.recorder(), active.host()
    active.activate(measured.recorder, Host(elected=True))
    yield measured
    active.activate(*before)


def installed(observed: Observed, measured: Measured) -> Observed:
    observed.measure_with(measured.recorder)
    settings = conf.load({}, {}, base_dir=None, debug=False, settings_module=None)
    observed.install(Collected().tracer, settings)
    return observed


def test_a_process_says_what_it_uses(measured: Measured) -> None:
    installed(ProcessMetrics(), measured)
    gc.collect()

    cpu = measured.counts(metrics.PROCESS_CPU_TIME)
    assert sum(cpu.values()) == pytest.approx(sum(os.times()[:2]), abs=1.0)
    assert measured.counts(metrics.PROCESS_MEMORY_USAGE)[()] > 10 << 20
    assert measured.counts(metrics.PROCESS_THREAD_COUNT)[()] >= 1
    assert measured.counts(metrics.PROCESS_UNIX_FILE_DESCRIPTOR_COUNT)[()] > 2
    assert measured.counts(metrics.CPYTHON_GC_COLLECTIONS)[2,] >= 1
    assert set(measured.counts(metrics.PROCESS_CONTEXT_SWITCHES)) == {
        ("voluntary",),
        ("involuntary",),
    }


def test_no_series_names_a_process(measured: Measured) -> None:
    installed(ProcessMetrics(), measured)

    for metric in measured.recorder.collect():
        for point in metric.points:
            assert not {"process.pid", "pid"} & {key for key, _ in point.attributes}


def test_it_is_looked_at_seldom(measured: Measured) -> None:
    clock = Clock()
    process = installed(ProcessMetrics(clock), measured)
    measured.recorder.collect()
    first = process._seen
    clock.now_s += EVERY_S / 2
    measured.recorder.collect()
    assert process._seen is first

    clock.now_s += EVERY_S
    measured.recorder.collect()
    assert process._seen is not first


def test_P1_a_forked_child_does_not_tell_of_its_parents_collections(measured: Measured) -> None:
    installed(ProcessMetrics(), measured)
    gc.collect()
    assert measured.counts(metrics.CPYTHON_GC_COLLECTIONS)[2,] >= 1

    measured.recorder.after_fork()

    assert measured.counts(metrics.CPYTHON_GC_COLLECTIONS)[2,] == 0
    gc.collect()


def test_nothing_is_looked_at_where_no_hosts_sums_are_kept(measured: Measured) -> None:
    installed(ProcessMetrics(), measured)
    active.activate(measured.recorder, None)

    assert measured.counts(metrics.PROCESS_CPU_TIME) == {}


def test_the_elected_process_tells_of_the_host(measured: Measured) -> None:
    clock = Clock()
    installed(HostSystemMetrics(clock), measured)
    first: Any = {metric.name: metric for metric in measured.recorder.collect()}
    clock.now_s += EVERY_S
    time.sleep(0.05)

    assert sum(measured.counts(metrics.SYSTEM_CPU_UTILIZATION).values()) == pytest.approx(1.0)
    memory = measured.counts(metrics.SYSTEM_MEMORY_USAGE)
    assert 0 < sum(memory.values()) < 1.1 * measured.counts(metrics.SYSTEM_MEMORY_LIMIT)[()]
    places = measured.counts(
        metrics.SYSTEM_FILESYSTEM_USAGE, "system.filesystem.mountpoint", "system.filesystem.state"
    )
    assert places["/", "used"] > 0
    assert len(measured.counts(metrics.SYSTEM_CPU_LOAD_AVERAGE_1M)) == 1
    for name in ("system.disk.io", "system.network.io"):
        assert all(point.value == 0 for point in getattr(first.get(name), "points", ()))


def test_the_other_processes_of_a_host_do_not_tell_of_it(measured: Measured) -> None:
    installed(HostSystemMetrics(), measured)
    assert measured.counts(metrics.SYSTEM_MEMORY_LIMIT) != {}

    active.activate(measured.recorder, Host(elected=False))

    assert measured.recorder.collect() == ()


def test_what_is_sent_while_another_process_is_elected_is_that_ones_to_count(
    measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, sent = Clock(), {"eth0": 5000, "lo": 7, "veth1a2b3c4": 8, "cali5d6e7f8": 9}
    monkeypatch.setattr(
        psutil,
        "net_io_counters",
        lambda pernic: {
            name: SimpleNamespace(bytes_sent=count, bytes_recv=0) for name, count in sent.items()
        },
    )
    installed(HostSystemMetrics(clock), measured)

    def counted(elected: bool, **now: int) -> dict[Any, float]:
        sent.update(now)
        clock.now_s += EVERY_S
        active.activate(measured.recorder, Host(elected))
        found = measured.counts(metrics.SYSTEM_NETWORK_IO)
        return {key[0]: value for key, value in found.items() if key[1] == "transmit"}

    assert counted(True) == {"eth0": 0}
    assert counted(True, eth0=5100) == {"eth0": 100}
    assert counted(False, eth0=5700) == {}
    assert counted(True, eth0=5800) == {"eth0": 100}
    assert counted(True, eth0=5803) == {"eth0": 103}
    assert counted(True, eth0=7, tun0=900) == {"eth0": 103, "tun0": 0}
    assert counted(True, eth0=8, tun0=901) == {"eth0": 104, "tun0": 1}

    measured.recorder.after_fork()

    assert counted(True, eth0=9) == {"eth0": 0, "tun0": 0}
