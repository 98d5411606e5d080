"""The sums of a host's processes: added up, never backwards, exported once."""

from __future__ import annotations

import itertools
import logging
import os
import random
import resource
import signal
import tempfile
import threading
import time
from pathlib import Path

import pytest

from otel_django.file_lock import try_lock
from otel_django.metric_definitions import CELERY_QUEUE_LENGTH
from otel_django.metric_points import AttributeValue, HistogramPoint, MetricDefinition, NumberPoint
from otel_django.metrics import host, host_file
from otel_django.metrics.host_folder import FOLD_LOCK, HostFolder, folder_name, usable_folder
from otel_django.metrics.roles import role_resource
from tests.host_kit import (
    ACTIVE,
    DURATION,
    REQUESTS,
    TEMPERATURE,
    Process,
    SteppedClock,
    metrics_of,
    nothing,
    points,
    sums,
)


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


def files(path: Path, ending: str = ".sums") -> list[Path]:
    return [entry for entry in path.iterdir() if entry.name.endswith(ending)]


# --- adding up


def test_counters_and_histograms_of_all_processes_are_added(
    tmp_path: Path, clock: SteppedClock
) -> None:
    one, other = Process(tmp_path, clock), Process(tmp_path, clock)
    for process, seconds in ((one, 0.05), (other, 0.5), (other, 5.0)):
        process.recorder.histogram(DURATION).record(seconds, ("/a/",))
        process.count(2)
    other.count(1, "/b/")
    data = one.host.read()
    assert sums(data) == {"/a/": 6, "/b/": 1}
    duration = points(data, "duration")["/a/"]
    assert isinstance(duration, HistogramPoint)
    assert duration.counts == (1, 1, 1)
    assert (duration.sum, duration.min, duration.max) == (5.55, 0.05, 5.0)
    assert metrics_of(data)["duration"].bounds == DURATION.bounds
    assert sums(other.host.read()) == sums(data)


def test_N2_no_counter_falls_while_processes_come_are_killed_and_are_folded(
    tmp_path: Path, clock: SteppedClock
) -> None:
    rng = random.Random(7)
    watcher = Process(tmp_path, clock)
    watcher.count(0)
    living: list[Process] = []
    expected = last = 0
    for _ in range(200):
        living.append(Process(tmp_path, clock))
        for process in living:
            process.count(1)
            expected += 1
        if len(living) > 4:
            gone = living.pop(rng.randrange(len(living)))
            rng.choice([gone.kill, gone.end])()
        watcher.poll(rng.choice([0.1, 6.0]))
        total = sums(watcher.host.read())["/a/"]
        assert total == expected >= last
        last = total
    assert len(files(tmp_path)) < 12


def test_what_was_true_then_goes_with_its_process(tmp_path: Path, clock: SteppedClock) -> None:
    one, other = Process(tmp_path, clock), Process(tmp_path, clock)
    for process in (one, other):
        process.recorder.counter(ACTIVE).add(3, ("/a/",))
        process.count(1)
    other.recorder.gauge(TEMPERATURE).set(20, ("kitchen",))
    other.host.flush()
    assert sums(one.host.read(), "active") == {"/a/": 6}
    other.kill()
    for folded in (False, True):  # at once, and once it is folded
        if folded:
            one.poll(3)
            assert len(files(tmp_path)) == 1
        data = one.host.read()
        assert sums(data, "active") == {"/a/": 3}
        assert "temperature" not in metrics_of(data)
        assert sums(data) == {"/a/": 2}


def test_of_gauges_the_one_set_last_counts(tmp_path: Path, clock: SteppedClock) -> None:
    one, other = Process(tmp_path, clock), Process(tmp_path, clock)
    for process, degrees in ((one, 19), (other, 20), (one, 21)):
        process.recorder.gauge(TEMPERATURE).set(degrees, ("kitchen",))
        process.host.flush()
    other.host.flush()  # changes nothing
    assert list(sums(one.host.read(), "temperature").values()) == [21]


def test_an_observed_gauge_that_is_not_seen_any_more_is_gone(
    tmp_path: Path, clock: SteppedClock
) -> None:
    process = Process(tmp_path, clock)
    seen: list[tuple[float, tuple[str, ...]]] = [(20.0, ("kitchen",)), (18.0, ("hall",))]
    process.recorder.observe(TEMPERATURE, lambda: seen)
    assert len(sums(process.host.read(), "temperature")) == 2
    seen.pop()
    assert len(sums(process.host.read(), "temperature")) == 1
    seen.clear()
    assert "temperature" not in metrics_of(process.host.read())
    seen.append((17.0, ("hall",)))
    assert list(sums(process.host.read(), "temperature").values()) == [17.0]


def test_roles_are_kept_apart_and_the_hosts_own_levels_are_not_added_up(
    tmp_path: Path, clock: SteppedClock
) -> None:
    memory = MetricDefinition("system.memory.usage", "up_down_counter", "By", "Now.", ("route",))
    web, worker = Process(tmp_path, clock), Process(tmp_path, clock, role="worker")
    for process, seen in ((web, 100), (worker, 110)):
        process.recorder.observe(memory, lambda seen=seen: [(seen, ("used",))])  # type: ignore[misc]
        process.count(1)
    data = {str(part.resource["role"]): part for part in worker.host.read()}
    assert sorted(data) == ["host", "web", "worker"]
    assert sums([data["host"]], "system.memory.usage") == {"used": 110}
    assert sums([data["web"]]) == sums([data["worker"]]) == {"/a/": 1}


def test_what_is_observed_of_queues_stays_one_series_when_another_role_observes(
    tmp_path: Path, clock: SteppedClock
) -> None:
    web, worker = Process(tmp_path, clock), Process(tmp_path, clock, role="worker")
    seen: list[tuple[float, tuple[str, ...]]] = [(500.0, ("celery",))]
    web.recorder.observe(CELERY_QUEUE_LENGTH, lambda: seen)
    web.count(1)
    before = {
        str(part.resource["role"])
        for part in web.host.read()
        if sums([part], "celery.queue.length")
    }
    seen.clear()  # it has left the observing to the worker
    worker.recorder.observe(CELERY_QUEUE_LENGTH, lambda: [(0.0, ("celery",))])
    worker.count(1)
    web.host.flush()
    after = {
        str(part.resource["role"]): list(sums([part], "celery.queue.length").values())
        for part in worker.host.read()
        if "celery.queue.length" in metrics_of([part])
    }
    assert (before, after) == ({"host"}, {"host": [0.0]})


def test_N2_what_is_counted_of_the_host_goes_on_where_a_killed_process_has_ended(
    tmp_path: Path, clock: SteppedClock
) -> None:
    disk = MetricDefinition("system.disk.io", "counter", "By", "Bytes.", ("route",))
    one, other = Process(tmp_path, clock), Process(tmp_path, clock)
    one.recorder.observe(disk, lambda: [(1000, ("sda",))])
    one.count(1)
    one.kill()
    other.recorder.observe(disk, lambda: [(10, ("sda",))])
    other.count(1)
    assert sums(other.host.read(), "system.disk.io") == {"sda": 1010}
    other.poll(6.0)
    assert len(files(tmp_path)) == 1
    assert sums(other.host.read(), "system.disk.io") == {"sda": 1010}


def test_the_limit_of_series_holds_for_the_sums_and_nothing_falls(
    tmp_path: Path, clock: SteppedClock
) -> None:
    overflow = (("otel.metric.overflow", True),)
    watcher = Process(tmp_path, clock, limit=10)
    watcher.count(1, "/0/")
    last: dict[object, float] = {}
    for number in range(6):
        process = Process(tmp_path, clock, limit=10)
        for route in range(number, number + 6):
            process.count(1, f"/{route}/")
        process.kill()
        watcher.poll(6 if number % 2 else 0)
        now = sums(watcher.host.read())
        assert len(now) <= 10
        assert all(now[key] >= value for key, value in last.items())
        last = now
    assert sum(last.values()) == 37
    assert last[overflow] > 0


def test_a_metric_that_was_redefined_is_shown_as_it_is_now(
    tmp_path: Path, clock: SteppedClock
) -> None:
    bounds = MetricDefinition("duration", "histogram", "s", "Time.", ("route",), (0.5,))
    old, new = Process(tmp_path, clock), Process(tmp_path, clock)
    old.recorder.histogram(DURATION).record(0.2, ("/a/",))
    old.count()
    new.recorder.histogram(bounds).record(0.2, ("/a/",))
    new.count()
    (duration,) = [m for part in new.host.read() for m in part.metrics if m.name == "duration"]
    assert duration.bounds == (0.5,)


def test_a_process_that_grew_its_file_is_read_whole(tmp_path: Path, clock: SteppedClock) -> None:
    process = Process(tmp_path, clock, limit=5000)
    routes = [f"/route-{number}/" for number in range(3000)]
    for times in (1, 2):
        for route in routes:
            process.recorder.counter(REQUESTS).add(1, (route,))
        assert sums(process.host.read()) == dict.fromkeys(routes, times)


def test_exponential_histograms_are_added_at_the_coarser_scale(
    tmp_path: Path, clock: SteppedClock
) -> None:
    one = Process(tmp_path, clock, aggregation="exponential")
    other = Process(tmp_path, clock, aggregation="exponential")
    values = {one: [1.0, 1.01, 1.02], other: [0.001, 1000.0, 0.0, -4.0]}
    for process, measured in values.items():
        for value in measured:
            process.recorder.histogram(DURATION).record(value, ("/a/",))
            process.host.flush()  # buckets become more: the file's slot is outgrown
    point = points(one.host.read(), "duration")["/a/"]
    both = Process(tmp_path / "alone", clock, aggregation="exponential")
    for value in itertools.chain(*values.values()):
        both.recorder.histogram(DURATION).record(value, ("/a/",))
    alone = points(both.host.read(), "duration")["/a/"]
    for name in ("scale", "zero_count", "positive_offset", "positive", "negative", "min", "max"):
        assert getattr(point, name) == getattr(alone, name), name


# --- start, election, export


def test_start_times_stay_whoever_reads_or_exports(tmp_path: Path, clock: SteppedClock) -> None:
    first = Process(tmp_path, clock)
    first.count()
    (point,) = points(first.host.read(), "requests").values()
    first.end()
    clock.s += 3600
    second = Process(tmp_path, clock)
    second.count()
    (later,) = points(second.host.read(), "requests").values()
    assert later.start_ns == point.start_ns
    assert later.time_ns > point.time_ns


def test_one_process_exports_and_another_takes_over_within_two_seconds(
    tmp_path: Path, clock: SteppedClock
) -> None:
    one, other = Process(tmp_path, clock), Process(tmp_path, clock)
    for process in (one, other):
        process.count()
        process.poll()
    assert (one.host.elected, other.host.elected) == (True, False)
    one.poll(60.1)
    other.poll()
    assert [sums(data) for data in one.sink.data] == [{"/a/": 2}]
    assert other.sink.data == []
    one.kill()
    other.poll(2.1)
    assert other.host.elected
    assert other.sink.data == []  # an interval after the last one
    other.poll(58)
    assert [sums(data) for data in other.sink.data] == [{"/a/": 2}]


@pytest.mark.parametrize("how", ["kill", "end"])
def test_differences_are_sent_neither_twice_nor_left_out_by_a_successor(
    tmp_path: Path, clock: SteppedClock, how: str
) -> None:
    sent = 0.0
    total = 0
    ends: list[int] = []
    process = Process(tmp_path, clock, delta=True)
    for _ in range(5):
        successor = Process(tmp_path, clock, delta=True)
        for one in (process, successor):
            one.count(3)
            one.recorder.histogram(DURATION).record(0.5, ("/a/",))
            one.host.flush()
            total += 3
        process.poll(3)
        process.poll(61)
        getattr(process, how)()
        for data in process.sink.data:
            (point,) = points(data, "requests").values()
            (duration,) = points(data, "duration").values()
            assert isinstance(point, NumberPoint)
            assert isinstance(duration, HistogramPoint)
            assert metrics_of(data)["requests"].temporality == "delta"
            assert duration.count * 3 == point.value
            assert not ends or point.start_ns == ends[-1]
            ends.append(point.time_ns)
            sent += point.value
        process = successor
    process.end()
    sent += sum(sum(sums(data).values()) for data in process.sink.data)
    assert sent == total


def test_without_a_change_no_difference_is_sent(tmp_path: Path, clock: SteppedClock) -> None:
    process = Process(tmp_path, clock, delta=True)
    process.count()
    process.recorder.counter(ACTIVE).add(1, ("/a/",))
    for _ in range(3):
        process.poll(61)
    sent = [sorted(metrics_of(data)) for data in process.sink.data]
    assert sent == [["active", "requests"], ["active"]]


def test_the_last_process_exports_at_its_end_whatever_the_order(
    tmp_path: Path, clock: SteppedClock
) -> None:
    processes = [Process(tmp_path, clock) for _ in range(4)]
    for process in processes:
        process.count()
        process.poll()
    for process in reversed(processes):
        process.end()
    assert [len(process.sink.data) for process in processes] == [1, 0, 0, 0]
    assert sums(processes[0].sink.data[0]) == {"/a/": 4}
    assert files(tmp_path) == []


def test_the_last_process_waits_for_one_that_is_folding_before_it_says_it_is_the_last(
    tmp_path: Path, clock: SteppedClock
) -> None:
    last, gone = Process(tmp_path, clock), Process(tmp_path, clock)
    gone.count()
    (left,) = files(tmp_path)
    gone.kill()
    last.count()
    folding = HostFolder(tmp_path, pause=nothing).lock(FOLD_LOCK)
    assert folding is not None
    held = os.open(left, os.O_RDWR)  # as whoever folds it does
    assert try_lock(held)

    def end_folding() -> None:
        os.close(held)
        os.close(folding)

    done = threading.Timer(0.1, end_folding)
    done.start()
    last.end()
    done.join()
    assert [sums([one[0]]) for one in last.sink.data] == [{"/a/": 2}]
    assert files(tmp_path) == []


def test_an_exemplar_is_exported_once(tmp_path: Path, clock: SteppedClock) -> None:
    process = Process(tmp_path, clock, exemplar_filter="always_on")
    process.recorder.histogram(DURATION).record(0.5, ("/a/",))
    process.poll(3)
    for _ in range(2):
        process.poll(61)
    first, second = (points(data, "duration")["/a/"] for data in process.sink.data)
    assert [one.value for one in first.exemplars] == [0.5]
    assert second.exemplars == ()
    assert len(points(process.host.read(), "duration")["/a/"].exemplars) == 1


def test_a_thousand_recycled_processes_leave_one_set_of_series_and_a_small_folder(
    tmp_path: Path, clock: SteppedClock
) -> None:
    watcher = Process(tmp_path, clock)
    watcher.count()
    for number in range(1000):
        process = Process(tmp_path, clock)
        process.count()
        (process.kill if number % 2 else process.end)()
        watcher.poll(0.1)
    assert sums(watcher.host.read()) == {"/a/": 1001}
    watcher.poll(6)
    assert len(list(tmp_path.iterdir())) < 8
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 200_000


def test_folding_holds_few_files_open_however_many_processes_are_gone(
    tmp_path: Path, clock: SteppedClock
) -> None:
    watcher = Process(tmp_path, clock)
    watcher.count(0)
    for _ in range(250):
        process = Process(tmp_path, clock)
        process.count(1)
        process.kill()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = len(list(Path("/dev/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 150, limits[1]))
    try:
        watcher.poll(6.0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(files(tmp_path)) == 1
    assert sums(watcher.host.read()) == {"/a/": 250}


def test_a_child_forked_while_files_are_folded_keeps_no_lock_of_it(
    tmp_path: Path, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher, gone = Process(tmp_path, clock), Process(tmp_path, clock)
    watcher.count(0)
    gone.count(1)
    gone.kill()
    folding = HostFolder._fold
    children: list[int] = []

    def fork_amid(self: HostFolder, dead: dict[Path, int], limit: int) -> None:
        child = os.fork()
        if not child:
            time.sleep(30)
            os._exit(0)
        children.append(child)
        folding(self, dead, limit)

    with monkeypatch.context() as patched:
        patched.setattr(HostFolder, "_fold", fork_amid)
        watcher.poll(6.0)
    try:
        again = HostFolder(tmp_path, pause=nothing)
        assert again.fold(2000)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    assert children


def test_an_idle_process_is_polled_seldom_and_writes_nothing(
    tmp_path: Path, clock: SteppedClock
) -> None:
    process = Process(tmp_path, clock)
    wish = process.poll()
    assert wish is not None
    assert wish > 1.0
    process.end()
    assert list(tmp_path.iterdir()) == []


# --- folders and files


def test_a_flush_writes_only_what_was_measured_since_the_last(
    tmp_path: Path, clock: SteppedClock
) -> None:
    process, reader = Process(tmp_path, clock, limit=3000), Process(tmp_path, clock, limit=3000)
    for number in range(2000):
        process.count(1, f"/{number}/")
    for _ in range(3):
        process.host.flush()
    process.recorder.counter(REQUESTS).add(1, ("/7/",))
    process.recorder.histogram(DURATION).record(0.5, ("/8/",))
    changes = process.recorder.changes()
    assert {metric.name: len(metric.points) for metric in changes} == {"requests": 1, "duration": 1}
    process.count(1, "/7/")
    process.host.flush()
    assert sums(reader.host.read())["/7/"] == 3
    assert sum(sums(reader.host.read()).values()) == 2002


def test_what_a_thread_measured_before_it_ended_is_written(
    tmp_path: Path, clock: SteppedClock
) -> None:
    process, reader = Process(tmp_path, clock), Process(tmp_path, clock)
    for number in range(1, 200):
        thread = threading.Thread(target=process.count, args=(1,))
        thread.start()
        thread.join()
        if number % 3 == 0:
            process.host.flush()
            assert sums(reader.host.read()) == {"/a/": number}


def test_what_could_not_be_written_once_is_written_later(
    tmp_path: Path, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, reader = Process(tmp_path, clock), Process(tmp_path, clock)
    process.count(1)
    for _ in range(3):
        process.host.flush()
    with monkeypatch.context() as full:
        full.setattr(host_file, "MAX_SIZE", 0)
        process.recorder.gauge(MetricDefinition("long", "gauge", "1", "Long.", ("route",))).set(
            1, ("x" * 100_000,)
        )
        process.count(1)
        process.host.flush()
    process.host.flush()
    assert sums(reader.host.read()) == {"/a/": 2}


def test_a_child_forked_amid_an_election_does_not_keep_the_post_when_its_parent_ends(
    tmp_path: Path, clock: SteppedClock
) -> None:
    one, other = Process(tmp_path, clock), Process(tmp_path, clock)
    for process in (one, other):
        process.count(1)
        process.poll(3)
    assert one.host.elected
    child = os.fork()  # one that nobody tells that it was forked
    if not child:
        time.sleep(30)
        os._exit(0)
    try:
        one.end()
        other.poll(3)
        assert other.host.elected
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_signals_handler_that_interrupts_a_flush_does_not_wait_for_it(
    tmp_path: Path, clock: SteppedClock
) -> None:
    process = Process(tmp_path, clock)
    process.count(1)
    waited_s: list[float] = []

    def interrupting() -> list[tuple[float, tuple[str, ...]]]:
        began_s = time.monotonic()
        process.host.hold()
        waited_s.append(time.monotonic() - began_s)
        return [(20.0, ("kitchen",))]

    process.recorder.observe(TEMPERATURE, interrupting)
    process.host.flush()
    assert waited_s
    assert max(waited_s) < host.LOCK_S / 2
    process.count(1)
    assert sums(process.host.read()) == {"/a/": 2}


def test_who_is_polled_each_second_by_others_asks_for_no_poll_in_between(
    tmp_path: Path, clock: SteppedClock
) -> None:
    process = Process(tmp_path, clock)
    process.count(1)
    process.poll(5)
    for _ in range(8):
        wish = process.poll(1.01)
        assert wish is not None
        assert wish > 1.01


def test_a_host_without_a_folder_has_each_process_export_its_own_sums(
    tmp_path: Path, clock: SteppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    process = Process(tmp_path, clock, folder=False)
    process.count(2)
    process.poll(3)
    process.poll(61)
    process.count(1)
    process.end()
    assert [sums(data) for data in process.sink.data] == [{"/a/": 2}, {"/a/": 3}]
    assert process.sink.data[0][0].resource["alone"]
    assert caplog.text.count("OTEL_DJANGO_RUN_DIR") == 1


def test_a_folder_that_is_taken_away_is_made_again(tmp_path: Path, clock: SteppedClock) -> None:
    import shutil

    process = Process(tmp_path / "run", clock)
    process.count()
    process.poll()
    shutil.rmtree(tmp_path / "run")
    clock.s += 3
    process.poll()
    process.count()
    assert sums(process.host.read()) == {"/a/": 2}


@pytest.mark.parametrize("content", [b"", b"otdjsums", b"\0" * 200, b"x" * 5000])
def test_a_bad_file_is_left_out_counted_and_said_once(
    tmp_path: Path, clock: SteppedClock, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    process = Process(tmp_path, clock)
    process.count()
    own = process.host._own
    assert own is not None
    bad = own.path.with_name(own.path.name.replace(str(os.getpid()), "99999999"))
    bad.write_bytes(content)
    (tmp_path / "notes.txt").write_text("somebody else's")
    for _ in range(3):
        assert sums(process.host.read()) == {"/a/": 1}
    assert caplog.text.count(bad.name) == 1
    process.poll(3)  # nobody holds it: it goes
    assert not bad.exists()
    assert (tmp_path / "notes.txt").exists()
    assert process.host._folder is not None
    assert process.host._folder.bad_files == 1


def test_every_torn_length_of_a_file_is_survived(tmp_path: Path, clock: SteppedClock) -> None:
    process, victim = Process(tmp_path, clock), Process(tmp_path, clock)
    process.count()
    victim.recorder.histogram(DURATION).record(0.5, ("/a/",))
    victim.count()
    assert victim.host._own is not None
    path = victim.host._own.path
    whole = path.read_bytes()[:1200]
    rng = random.Random(3)
    for length in range(0, len(whole), 7):
        torn = bytearray(whole[:length])
        if torn:
            torn[rng.randrange(len(torn))] ^= 0xFF
        path.write_bytes(torn)
        assert sums(process.host.read())["/a/"] >= 1


def test_a_crash_between_folding_and_deleting_counts_nothing_twice(
    tmp_path: Path, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = Process(tmp_path, clock)
    watcher.count()
    gone = Process(tmp_path, clock)
    gone.count(5)
    gone.kill()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", lambda *_, **__: None)
        watcher.poll(6)
    assert len(files(tmp_path)) == 2
    assert sums(watcher.host.read()) == {"/a/": 6}
    watcher.poll(6)
    assert len(files(tmp_path)) == 1
    assert sums(watcher.host.read()) == {"/a/": 6}


def test_files_of_an_earlier_start_of_the_machine_are_taken_away(
    tmp_path: Path, clock: SteppedClock
) -> None:
    for name in ("0badb007-5-77-aa.sums", "0badb007.folded", "0badb007-sink.sent"):
        (tmp_path / name).write_bytes(b"old")
        os.utime(tmp_path / name, (1_000_000, 1_000_000))
    other_host = tmp_path / "0badb008.folded"  # the folder may be shared over a network
    other_host.write_bytes(b"new")
    process = Process(tmp_path, clock)
    process.count()
    process.poll(3)
    assert sums(process.host.read()) == {"/a/": 1}
    assert [file for file in tmp_path.iterdir() if "0badb007" in file.name] == []
    assert other_host.exists()


def test_a_writer_killed_amid_a_value_is_still_read(tmp_path: Path, clock: SteppedClock) -> None:
    process, victim = Process(tmp_path, clock), Process(tmp_path, clock)
    process.count()
    victim.count(4)
    own = victim.host._own
    assert own is not None
    (series,) = own.file._metrics[next(iter(own.file._metrics))].series.values()
    victim.host._own = None  # what follows is its last deed
    own.file._mapped[series.at : series.at + 4] = b"\x09\0\0\0"
    own.file.close()
    assert sums(process.host.read()) == {"/a/": 5}


def test_the_folder_is_this_users_alone(tmp_path: Path) -> None:
    folder = HostFolder(tmp_path / "run" / "shop", pause=nothing)
    made = folder.create()
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert made.path.stat().st_mode & 0o777 == 0o600
    made.file.close()


def test_root_works_in_no_strangers_folder_of_the_temporary_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    strangers = tmp_path / "otel_django-0"
    strangers.mkdir()
    if os.geteuid():
        monkeypatch.setattr(os, "geteuid", lambda: 0)
    else:
        os.chown(strangers, 65534, 65534)
    (tmp_path / "blocked").write_text("")
    assert usable_folder(tmp_path / "blocked", "shop", pause=nothing) is None


def test_services_have_folders_of_their_own() -> None:
    names = {folder_name(name) for name in ("shop", "../shop", "shop/a", "shop a", ".", "ä", "")}
    assert len(names) == 7
    assert all("/" not in name and not name.startswith(".") for name in names)


def test_the_instance_of_a_role_is_stable_and_names_no_process(tmp_path: Path) -> None:
    process: dict[str, AttributeValue] = {
        "service.name": "shop",
        "host.name": "h",
        "process.pid": 1,
        "process.command": "x",
    }

    def resource_of(
        role: str = "web", given: str | None = None, more: dict[str, AttributeValue] | None = None
    ) -> dict[str, AttributeValue]:
        return role_resource({**process, **(more or {})}, role, given, tmp_path)

    web = resource_of(more={"service.instance.id": "a"})
    assert web == resource_of(more={"service.instance.id": "b", "process.pid": 2})
    assert not any(key.startswith("process.") for key in web)
    assert web["service.instance.id"] != resource_of("worker")["service.instance.id"]
    assert resource_of("web", "pod-1")["service.instance.id"] == "pod-1-web"
    assert str(web["service.instance.id"]).startswith("h-web-")


def test_two_sites_of_one_name_on_a_host_are_two_instances(tmp_path: Path) -> None:
    process: dict[str, AttributeValue] = {"service.name": "shop", "host.name": "h"}
    (tmp_path / "current").symlink_to(tmp_path / "one")
    one, same, other = (
        role_resource(process, "web", None, tmp_path / name)["service.instance.id"]
        for name in ("one", "current", "other")
    )
    assert one == same != other
