"""Every way a process begins and ends: what was recorded arrives, once, from the right process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.server_process import ROOT, Command, Server, gunicorn, runserver, serving, uvicorn
from tests.stub_collector import StubCollector


@pytest.fixture
def collector() -> Iterator[StubCollector]:
    with StubCollector() as running:
        yield running


def exporting(collector: StubCollector, **more: str) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.base_endpoint, **more}


def get_many(server: Server, count: int, threads: int = 8) -> None:
    with ThreadPoolExecutor(threads) as pool:
        statuses = Counter(pool.map(lambda _: server.get("/plain/").status, range(count)))
    assert statuses == {200: count}
    time.sleep(0.1)  # a server closes a response, and ends its span, after the client has read it


def instances(spans: list[dict[str, Any]]) -> Counter[str]:
    return Counter(span["resource"]["service.instance.id"] for span in spans)


def assert_each_once(collector: StubCollector, count: int) -> list[dict[str, Any]]:
    spans = collector.wait_for_spans(count)
    counts = collector.counts()
    assert (counts["unique"], counts["duplicates"]) == (count, 0)
    return spans


def test_P1_gunicorn_preload_four_workers_recycled_lose_nothing_and_share_no_id(
    collector: StubCollector,
) -> None:
    command = gunicorn("--preload", "--workers", "4", "--max-requests", "25")
    with serving(command, exporting(collector)) as server:
        get_many(server, 400)
        server.terminate()
    spans = assert_each_once(collector, 400)
    pids = Counter(span["resource"]["process.pid"] for span in spans)
    assert len(instances(spans)) == len(pids) >= 8
    assert server.pid not in pids


@pytest.mark.parametrize(
    "command",
    [gunicorn(), gunicorn("--threads", "4"), uvicorn(), runserver("--noreload")],
    ids=["gunicorn", "gthread", "uvicorn", "runserver"],
)
def test_sigterm_right_after_the_last_request_loses_nothing(
    collector: StubCollector, command: Any
) -> None:
    with serving(command, exporting(collector)) as server:
        get_many(server, 50)
        assert server.terminate() < 8
    assert_each_once(collector, 50)


def test_ctrl_c_on_runserver_with_its_reloader_loses_nothing(collector: StubCollector) -> None:
    # A terminal sends SIGINT to both processes. (On SIGTERM Django's reloader kills the serving
    # process outright: the last second may be lost, as with any SIGKILL.)
    with serving(runserver(), exporting(collector)) as server:
        get_many(server, 50)
        os.killpg(server.pid, signal.SIGINT)
        server.process.wait(10)
    assert_each_once(collector, 50)


@pytest.mark.parametrize("command", [gunicorn(), uvicorn()], ids=["gunicorn", "uvicorn"])
def test_P2_with_the_collector_away_the_exit_is_not_delayed_and_the_next_process_sends_it(
    collector: StubCollector, command: Any, tmp_path: Path
) -> None:
    env = exporting(collector, OTEL_DJANGO_SPOOL_DIR=str(tmp_path / "spool"))
    collector.kill()
    with serving(command, env) as server:
        get_many(server, 50)
        assert server.terminate() < 4
    collector.restart()
    with serving(command, env) as server:
        server.get("/plain/")
        collector.wait_for_spans(51, timeout_s=20)
        server.terminate()
    assert collector.counts()["duplicates"] == 0


@pytest.mark.parametrize("command", [gunicorn(), uvicorn()], ids=["gunicorn", "uvicorn"])
def test_P2_with_a_collector_that_hangs_the_exit_keeps_to_its_deadline(
    collector: StubCollector, tmp_path: Path, command: Command
) -> None:
    env = exporting(collector, OTEL_DJANGO_SPOOL_DIR=str(tmp_path / "spool"))
    collector.set_mode("hang")
    with serving(command, env) as server:
        get_many(server, 20)
        time.sleep(1)
        assert server.terminate() < 5
    collector.set_mode("ok")
    with serving(gunicorn(), env) as server:
        collector.wait_for_spans(20, timeout_s=20)
        server.terminate()


def test_sigkill_loses_at_most_the_last_second(collector: StubCollector) -> None:
    with serving(gunicorn("--threads", "4"), exporting(collector)) as server:
        get_many(server, 100)
        time.sleep(1)
        server.kill()
    collector.wait_for_spans(100, timeout_s=5)


def test_sigkill_while_the_collector_hangs_loses_at_most_the_last_second(
    collector: StubCollector, tmp_path: Path
) -> None:
    env = exporting(collector, OTEL_DJANGO_SPOOL_DIR=str(tmp_path / "spool"))
    collector.set_mode("hang")
    with serving(gunicorn("--threads", "4"), env) as server:
        for _ in range(5):
            get_many(server, 20)
            time.sleep(0.2)
        time.sleep(1)
        server.kill()
    collector.set_mode("ok")
    with serving(gunicorn(), env) as server:
        collector.wait_for_spans(100, timeout_s=20)
        server.terminate()


SCRIPT = """
import os, sys, time
import django
django.setup()
from opentelemetry import trace
tracer = trace.get_tracer("script")
{body}
"""


def start_script(collector: StubCollector, body: str, tmp_path: Path) -> subprocess.Popen[str]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(body=textwrap.dedent(body)), encoding="utf-8")
    env = {
        key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTEST_"))
    }
    return subprocess.Popen(
        [sys.executable, str(script)],
        env={
            **env,
            **exporting(collector),
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "PYTHONPATH": str(ROOT),
            "TESTS_BASE_DIR": str(tmp_path),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_script(
    collector: StubCollector, body: str, tmp_path: Path
) -> subprocess.CompletedProcess[str]:
    process = start_script(collector, body, tmp_path)
    output, errors = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("raise ValueError('end')", 1),
        ("import signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    ],
    ids=["end", "sys.exit", "exception", "SIGTERM"],
)
def test_a_script_sends_what_it_recorded_however_it_ends(
    collector: StubCollector, tmp_path: Path, ending: str, code: int
) -> None:
    result = run_script(collector, f'tracer.start_span("work").end()\n{ending}', tmp_path)
    assert result.returncode == code, result.stderr
    assert [span["name"] for span in assert_each_once(collector, 1)] == ["work"]


def test_P1_forked_children_send_their_own_spans_and_no_one_elses(
    collector: StubCollector, tmp_path: Path
) -> None:
    body = """
    with tracer.start_as_current_span("parent"):
        for _ in range(3):
            if os.fork() == 0:
                tracer.start_span("child").end()
                sys.exit(0)
        for _ in range(3):
            os.wait()
    """
    result = run_script(collector, body, tmp_path)
    assert result.returncode == 0, result.stderr
    spans = assert_each_once(collector, 4)
    assert Counter(span["name"] for span in spans) == {"child": 3, "parent": 1}
    assert len(instances(spans)) == 4
    assert len({span["trace_id"] for span in spans}) == 1


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_children_send_theirs(
    collector: StubCollector, tmp_path: Path, method: str
) -> None:
    body = f"""
    import multiprocessing
    def work(number):
        trace.get_tracer("script").start_span(f"work {{number}}").end()
    if __name__ == "__main__":
        context = multiprocessing.get_context({method!r})
        children = [context.Process(target=work, args=(number,)) for number in range(3)]
        [child.start() for child in children]
        [child.join() for child in children]
        with context.Pool(2) as pool:
            pool.map(work, range(3, 6))
            pool.close()
            pool.join()
    """
    result = run_script(collector, body, tmp_path)
    assert result.returncode == 0, result.stderr
    spans = assert_each_once(collector, 6)
    assert sorted(span["name"] for span in spans) == [f"work {number}" for number in range(6)]


def test_P3_force_flush_of_the_api_sends_everything_and_keeps_its_time(
    collector: StubCollector, tmp_path: Path
) -> None:
    body = """
    tracer.start_span("first").end()
    print(trace.get_tracer_provider().force_flush(), flush=True)
    input()
    tracer.start_span("second").end()
    start = time.monotonic()
    done = trace.get_tracer_provider().force_flush(500)
    print(done, time.monotonic() - start < 1.5)
    """
    with start_script(collector, body, tmp_path) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        assert collector.counts()["unique"] == 1
        collector.set_mode("hang")
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "False True\n"


def test_a_process_that_records_nothing_starts_no_thread_and_makes_no_file(
    collector: StubCollector, tmp_path: Path
) -> None:
    body = """
    import threading
    print(threading.active_count(), sorted(os.listdir(os.environ["TESTS_BASE_DIR"])))
    """
    result = run_script(collector, body, tmp_path)
    assert result.stdout.strip() == "1 ['script.py']"


def test_runserver_reload_sends_what_the_old_process_recorded(
    collector: StubCollector, tmp_path: Path
) -> None:
    package = tmp_path / "extra"
    package.mkdir()
    watched = package / "extra_settings.py"
    watched.write_text("from tests.settings import *\n", encoding="utf-8")
    env = exporting(
        collector,
        DJANGO_SETTINGS_MODULE="extra_settings",
        PYTHONPATH=os.pathsep.join([str(ROOT), str(package)]),
    )
    with serving(runserver(), env) as server:
        get_many(server, 20)
        watched.write_text("from tests.settings import *\n# changed\n", encoding="utf-8")
        os.utime(watched, (time.time() + 5, time.time() + 5))
        collector.wait_for_spans(20, timeout_s=15)
        time.sleep(3)
        get_many(server, 5)
        os.killpg(server.pid, signal.SIGINT)
        server.process.wait(10)
    spans = assert_each_once(collector, 25)
    assert len(instances(spans)) == 2


def test_sigterm_ends_the_process_though_it_interrupts_one_that_holds_a_lock_of_ours(
    collector: StubCollector, tmp_path: Path
) -> None:
    body = """
    import signal
    from otel_django import bootstrap
    tracer.start_span("work").end()
    with bootstrap.runtime().worker._wake._cond:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
    """
    start = time.monotonic()
    result = run_script(collector, body, tmp_path)
    assert result.returncode == -signal.SIGTERM, result.stderr
    assert time.monotonic() - start < 15
