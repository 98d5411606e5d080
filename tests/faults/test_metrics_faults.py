"""Whatever becomes of the folder that a host's processes share, the site answers as before."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.host_counts import counted, env_for, exported, get_many
from tests.server_process import gunicorn, serving
from tests.stub_collector import StubCollector


def test_a_full_disk_costs_no_answer_and_what_was_counted_is_shown_when_there_is_room(
    collector: StubCollector, small_disk: Path
) -> None:
    env = env_for(collector, small_disk, OTEL_DJANGO_STRICT="0")
    filler = small_disk / "filler"
    with serving(gunicorn("--workers", "2"), env) as server:
        filler.write_bytes(os.urandom(230_000))
        assert get_many(server, 60) == 60
        time.sleep(1.5)
        assert get_many(server, 60) == 60
        filler.unlink()
        time.sleep(0.1)
        get_many(server, 40)
        time.sleep(1.5)
        assert server.terminate() < 8
        assert "Sums can't be shown" in server.output()
    assert counted(small_disk) == 160


def test_where_no_folder_can_be_written_processes_export_their_own(
    collector: StubCollector, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder is wanted")
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / f"otel_django-{os.geteuid()}").write_text("somebody was here first")
    env = env_for(collector, blocked / "run", TMPDIR=str(tmp_path / "tmp"))
    with serving(gunicorn("--workers", "2"), env) as server:
        assert get_many(server, 40) == 40
        assert server.terminate() < 8
        output = server.output()
    assert "each is on its own" in output
    last = {instance: point.count for instance, point in exported(collector)}
    assert sum(last.values()) == 40


def test_where_the_folder_cannot_be_made_the_temporary_directory_serves(
    collector: StubCollector, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder is wanted")
    (tmp_path / "tmp").mkdir()
    env = env_for(collector, blocked / "run", TMPDIR=str(tmp_path / "tmp"))
    with serving(gunicorn("--workers", "2"), env) as server:
        assert get_many(server, 40) == 40
        server.terminate()
    (run_dir,) = (tmp_path / "tmp").glob("otel_django-*/*")
    assert counted(run_dir) == exported(collector)[-1][1].count == 40
    assert run_dir.parent.stat().st_mode & 0o777 == 0o700


def test_an_exit_with_the_collector_away_is_not_delayed_and_the_sums_are_sent_later(
    collector: StubCollector, tmp_path: Path
) -> None:
    env = env_for(collector, tmp_path, OTEL_DJANGO_SPOOL_DIR=str(tmp_path / "spool"))
    collector.kill()
    with serving(gunicorn("--workers", "2"), env) as server:
        assert get_many(server, 40) == 40
        assert server.terminate() < 6
    collector.restart()
    with serving(gunicorn("--workers", "2"), env) as server:
        assert get_many(server, 10) == 10
        assert server.terminate() < 8
    assert exported(collector)[-1][1].count == 50
