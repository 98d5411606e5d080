"""``otel receive`` as a process: alone, in a project, and to its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from otel_django.receiver.answers import PROTOBUF
from tests import server_process
from tests.receiver_kit import request
from tests.server_process import ROOT, serving

ALONE = (sys.executable, "-m", "otel_django", "receive")


def run(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    env = {**inherited, "PYTHONPATH": str(ROOT), **environ}
    return subprocess.run(
        [*ALONE, *arguments],
        check=False,
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_it_prints_its_address_once_and_nothing_else(tmp_path: Path) -> None:
    with serving(server_process.receiver(tmp_path / "s"), {}, ready="/") as server:
        assert server.get("/v1/traces", "POST", request(), content_type=PROTOBUF).status == 200
        for path in ("/", "/traces/", "/nowhere/", "/v1/nothing"):
            server.get(path)
        url = f"http://127.0.0.1:{server.port}"
        assert server.output() == f"OTLP is received, and shown, at {url}\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_soon_with_all_in_the_store_whatever_clients_do(
    tmp_path: Path, number: signal.Signals
) -> None:
    command = server_process.receiver(tmp_path / "s")
    with serving(command, {}, ready="/") as server:
        server.get("/v1/traces", "POST", request("GET /kept/"), content_type=PROTOBUF)
        server.ask_and_leave("/traces/")
        assert server.terminate(5.0, number) < 5.0
        assert server.process.returncode == 0
    with serving(command, {}, ready="/") as server:
        assert b"GET /kept/" in server.get("/traces/").body


def test_after_sigkill_all_that_was_accepted_is_there(tmp_path: Path) -> None:
    command = server_process.receiver(tmp_path / "s")
    with serving(command, {}, ready="/") as server:
        for number in range(20):
            body = request(f"GET /{number}/", f"service-{number}")
            assert server.get("/v1/traces", "POST", body, content_type=PROTOBUF).status == 200
        server.kill()
    with serving(command, {}, ready="/") as server:
        page = server.get("/traces/").body.decode()
        assert all(f">service-{number}<" in page for number in range(20))


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with serving(server_process.receiver(tmp_path / "s"), {}, ready="/") as server:
        found = run("--port", str(server.port), "--store", "other", cwd=tmp_path)
    assert found.returncode == 1
    assert "is taken" in found.stderr
    assert "--port" in found.stderr
    assert not found.stdout


def test_beyond_this_machine_it_wants_a_token(tmp_path: Path) -> None:
    found = run("--host", "0.0.0.0", "--port", "0", cwd=tmp_path)
    assert found.returncode == 1
    assert "OTEL_DJANGO_TOKENS" in found.stderr
    assert not list(tmp_path.iterdir())
    command = server_process.receiver(tmp_path / "s", "--host", "0.0.0.0")
    with serving(command, {"OTEL_DJANGO_TOKENS": "sesame"}, ready="/login/") as server:
        assert server.get("/traces/").status == 303
        assert server.get("/traces/", authorization="Bearer sesame").status == 200


def test_with_a_token_that_can_not_be_used_it_does_not_start_without_one(tmp_path: Path) -> None:
    found = run("--port", "0", cwd=tmp_path, OTEL_DJANGO_TOKENS="open\x01sesame")
    assert found.returncode == 1
    assert "OTEL_DJANGO_TOKENS" in found.stderr
    assert "sesame" not in found.stderr
    assert not found.stdout


def test_a_setting_that_can_not_be_used_is_said(tmp_path: Path) -> None:
    env = {"OTEL_DJANGO_STORE_RETENTION_HOURS": "soon"}
    with serving(server_process.receiver(tmp_path / "s"), env, ready="/") as server:
        assert "OTEL_DJANGO_STORE_RETENTION_HOURS" in server.output()


def test_the_store_is_made_in_the_folder_it_is_started_in(tmp_path: Path) -> None:
    options = ["receive", "--port"]
    with serving(
        lambda port: [sys.executable, "-m", "otel_django", *options, str(port)],
        {},
        cwd=tmp_path,
        ready="/",
    ) as server:
        server.get("/v1/traces", "POST", request(), content_type=PROTOBUF)
        assert (tmp_path / ".otel_django" / "store.sqlite3").exists()
        assert (tmp_path / ".otel_django").stat().st_mode & 0o077 == 0


def test_in_a_project_the_site_s_middleware_and_addresses_do_not_matter(tmp_path: Path) -> None:
    env = {"DJANGO_SETTINGS_MODULE": "tests.site.settings_that_refuse"}
    store = str(tmp_path / "s")
    with serving(
        lambda port: [
            *(sys.executable, "-m", "django", "otel", "receive"),
            *("--port", str(port), "--store", store),
        ],
        env,
        ready="/",
    ) as server:
        body = request("GET /other/", "gateway")
        assert server.get("/v1/traces", "POST", body, content_type=PROTOBUF).status == 200
        for path in ("/", "/traces/", "/errors/", "/logs/", "/metrics/explore/", "/services/"):
            assert server.get(path).status == 200
        assert b"gateway" in server.get("/traces/").body
        assert server.get("/livez").status == 404


def test_a_site_of_ours_sends_to_it_all_three_signals(tmp_path: Path) -> None:
    with serving(server_process.receiver(tmp_path / "s"), {}, ready="/") as receiver:
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.port}",
            "OTEL_SERVICE_NAME": "library",
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
        }
        with serving(server_process.gunicorn(), env) as site:
            for _ in range(3):
                site.get("/plain/")
            site.terminate()
        traces, logs = receiver.get("/traces/").body, receiver.get("/logs/").body
        metrics = receiver.get("/metrics/explore/").body
        assert b"/plain/" in traces
        assert b">library<" in traces
        assert b"request.finished" in logs
        assert b"http.server.request.duration" in metrics


def test_bad_options_are_said_by_name(tmp_path: Path) -> None:
    for option, value in (("--port", "65536"), ("--retention-hours", "0"), ("--max-mb", "-1")):
        found = run(option, value, cwd=tmp_path)
        assert found.returncode == 2
        assert option in found.stderr
