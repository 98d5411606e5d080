"""Whatever breaks around it, the site answers as before, and what was lost is counted and said."""

from __future__ import annotations

import os
import re
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.server_process import Server, gunicorn, serving
from tests.stub_collector import StubCollector

REQUESTS = 200


def env_for(collector: StubCollector, folder: Path, **more: str) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.base_endpoint,
        "OTEL_DJANGO_SPOOL_DIR": str(folder / "spool"),
        "OTEL_DJANGO_STRICT": "0",
        **more,
    }


def dropped(server: Server, cause: str) -> int:
    """How many spans the server's log says were lost, all in all."""
    found = re.findall(rf"telemetry\.dropped:.*?traces\.{cause} (\d+)", server.output())
    return sum(int(count) for count in found)


def ask(server: Server, count: int = REQUESTS, path: str = "/plain/") -> list[float]:
    """Requests that must all answer 200; their seconds."""

    def one(_: int) -> float:
        start = time.perf_counter()
        assert server.get(path).status == 200
        return time.perf_counter() - start

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(one, range(count)))


MODES = ["html", "redirect", "too_large", "throttle", "hang", "unavailable", "never_read"]


@pytest.mark.parametrize("mode", [*MODES, "reset", "dribble", "bad_request", "unauthorized"])
def test_a_collector_that_misbehaves_hurts_nobody_and_gets_all_it_will_take(
    collector: StubCollector, tmp_path: Path, mode: str
) -> None:
    options = {"too_large": {"limit": 2000}, "throttle": {"retry_after": 1}}.get(mode, {})
    collector.set_mode(mode, **options)
    with serving(gunicorn("--threads", "4"), env_for(collector, tmp_path)) as server:
        seconds = ask(server)
        assert statistics.median(seconds) < 0.5
        time.sleep(1.5)
        collector.set_mode("ok")
        if mode in {"bad_request", "unauthorized"}:  # refused for good, says the specification
            assert server.terminate() < 8
            assert dropped(server, "rejected") == REQUESTS
            return
        collector.wait_until(lambda counts: counts["unique"] >= REQUESTS, timeout_s=40)
        assert server.terminate() < 8
        assert "telemetry.dropped" not in server.output()


def test_a_collector_that_answers_garbage_is_believed_and_hurts_nobody(
    collector: StubCollector, tmp_path: Path
) -> None:
    """A 200 with the right type is a success, says the specification, whatever the body holds."""
    collector.set_mode("garbage")
    with serving(gunicorn("--threads", "4"), env_for(collector, tmp_path)) as server:
        ask(server)
        time.sleep(1)
        assert server.terminate() < 8
        assert "otel_django failed" not in server.output()
        assert not (tmp_path / "spool").exists()


def test_an_unwritable_spool_costs_no_answer_and_no_span_that_fits_in_memory(
    collector: StubCollector, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder is wanted")
    env = env_for(collector, tmp_path, OTEL_DJANGO_SPOOL_DIR=str(blocked / "spool"))
    collector.kill()
    with serving(gunicorn("--threads", "4"), env) as server:
        ask(server)
        collector.restart()
        collector.wait_until(lambda counts: counts["unique"] >= REQUESTS, timeout_s=40)


def test_an_unwritable_spool_at_exit_counts_what_is_lost(
    collector: StubCollector, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder is wanted")
    env = env_for(collector, tmp_path, OTEL_DJANGO_SPOOL_DIR=str(blocked / "spool"))
    collector.kill()
    with serving(gunicorn("--threads", "4"), env) as server:
        ask(server)
        assert server.terminate() < 8
        assert dropped(server, "shutdown") + dropped(server, "spool_error") == REQUESTS


def test_a_full_disk_costs_no_answer_and_is_said(
    collector: StubCollector, small_disk: Path
) -> None:
    env = env_for(collector, small_disk, OTEL_DJANGO_STORE=str(small_disk / "store.sqlite3"))
    (small_disk / "filler").write_bytes(os.urandom(240_000))
    collector.kill()
    with serving(gunicorn("--threads", "4"), env) as server:
        ask(server)
        time.sleep(1)
        assert server.terminate() < 8
        output = server.output()
        assert dropped(server, "shutdown") + dropped(server, "spool_error") >= REQUESTS - 20
        assert dropped(server, "store_error") > 0
    assert "the disk is full" in output


@pytest.mark.parametrize("how", ["folder", "garbage", "read-only parent"])
def test_a_broken_store_costs_no_answer(collector: StubCollector, tmp_path: Path, how: str) -> None:
    store = tmp_path / "data" / "store.sqlite3"
    store.parent.mkdir()
    if how == "folder":
        store.mkdir()
    elif how == "garbage":
        store.write_bytes(os.urandom(50_000))
    else:
        store = Path("/proc/otel_django/store.sqlite3")
    env = env_for(collector, tmp_path, OTEL_DJANGO_STORE=str(store))
    with serving(gunicorn("--threads", "4"), env) as server:
        ask(server)
        collector.wait_until(lambda counts: counts["unique"] >= REQUESTS)
        assert server.terminate() < 8
        assert "store" in server.output()


def test_without_a_database_and_before_migrate_everything_records(
    collector: StubCollector, tmp_path: Path
) -> None:
    settings = tmp_path / "no_database.py"
    settings.write_text(
        "from tests.settings import *\n"
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'NAME': 'none',\n"
        "    'HOST': '127.0.0.1', 'PORT': '1'}}\n"
    )
    env = env_for(
        collector,
        tmp_path,
        DJANGO_SETTINGS_MODULE="no_database",
        PYTHONPATH=os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])]),
    )
    with serving(gunicorn("--threads", "4"), env) as server:
        ask(server)
        assert server.get("/secrets/query_parameters/", x_mark_secret="x").status == 500
        collector.wait_until(lambda counts: counts["unique"] >= REQUESTS + 1)
        server.terminate()


def test_P2_a_minute_without_collector_loses_nothing_and_slows_nothing(
    collector: StubCollector, tmp_path: Path
) -> None:
    away_s = float(os.environ.get("OUTAGE_SECONDS", "60"))
    # Nothing but trivial requests for so long: the governor would leave traces out.
    env = env_for(collector, tmp_path) | {"OTEL_DJANGO_MAX_OVERHEAD": "0"}
    with serving(gunicorn("--threads", "4"), env) as server:
        before = ask(server, 400)
        collector.kill()
        during: list[float] = []
        deadline = time.monotonic() + away_s
        while time.monotonic() < deadline:
            during += ask(server, 50)
            time.sleep(0.2)
        collector.restart()
        total = len(before) + len(during)
        collector.wait_until(lambda counts: counts["unique"] >= total, timeout_s=30)
        assert collector.counts()["unique"] == total
        assert server.terminate() < 8
        assert "telemetry.dropped" not in server.output()
    # The same median, but for noise: nothing waits for the Collector.
    assert statistics.median(during) < 3 * statistics.median(before) + 0.01
