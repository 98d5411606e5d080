"""Probes of real servers, and ``manage.py otel health`` beside them and alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import server_process
from tests.server_process import ROOT, Command, Server, serving

LIVE = ("/livez", "/monitoring/health/simple/", "/monitoring/healthz/")
GROUPS = ("/ready/", "/readyz", "/startupz", "/health/", "/monitoring/health/")
POD = "10.1.2.3:8000"
SERVERS = [server_process.gunicorn, server_process.uvicorn]
PATIENCE_S = 10.0
"""A probe that waited for what hangs would take longer."""


@pytest.fixture(scope="module", params=SERVERS)
def refusing(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Refuses Hosts and plain HTTP; its database, in which the sessions are, is away."""
    command: Callable[[], Command] = request.param
    env = {
        "OTEL_DJANGO_TOKENS": "sesame",
        "DJANGO_SETTINGS_MODULE": "tests.site.settings_that_refuse",
    }
    with serving(command(), env) as server:
        yield server


@pytest.mark.parametrize("path", LIVE)
def test_liveness_answers_while_the_database_is_away(refusing: Server, path: str) -> None:
    answer = refusing.get(path, host=POD)
    assert (answer.status, answer.body) == (200, b"OK")
    assert refusing.get(path, host=POD, method="HEAD").body == b""
    refused = refusing.get(path, host=POD, method="POST")
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("command", SERVERS)
def test_probes_are_answered_where_the_package_is_switched_off(
    command: Callable[[], Command],
) -> None:
    env = {
        "OTEL_DJANGO_ENABLED": "false",
        "DJANGO_SETTINGS_MODULE": "tests.site.settings_that_refuse",
    }
    with serving(command(), env) as server:
        assert server.get("/livez", host=POD).status == 200
        assert server.get("/readyz", host=POD).status == 503


@pytest.mark.parametrize("path", GROUPS)
def test_a_database_that_is_away_is_a_503_which_names_it_to_those_who_may_know(
    refusing: Server, path: str
) -> None:
    assert refusing.get("/plain/", host=POD).status == 400
    for cookie in ("", "sessionid=abcdefghijklmnopqrstuvwxyz012345"):
        answer = refusing.get(path, host=POD, cookie=cookie)
        assert answer.status == 503
        assert json.loads(answer.body).keys() == {"status", "timestamp"}
    known = json.loads(refusing.get(path, host=POD, authorization="Bearer sesame").body)
    assert known["checks"]["database"]["status"] == "unhealthy"
    assert "nowhere" not in str(known)


@pytest.mark.parametrize("command", SERVERS)
def test_a_check_that_hangs_holds_neither_probes_nor_pages_up(
    command: Callable[..., Command],
) -> None:
    options = ["--threads=8"] if command is server_process.gunicorn else []
    env = {
        "TESTS_HEALTH_CHECKS": "hangs,works",
        "OTEL_DJANGO_TOKENS": "sesame",
        "OTEL_DJANGO_HEALTH_TIMEOUT": "60",
    }
    with serving(command(*options), env) as server, ThreadPoolExecutor(8) as pool:
        began = time.monotonic()
        asked = [pool.submit(server.get, "/ready/") for _ in range(24)]
        assert server.get("/plain/").status == 200
        assert {each.result().status for each in asked} == {503}
        checks = json.loads(server.get("/ready/", authorization="Bearer sesame").body)["checks"]
        assert checks["hangs"]["status"] == "pending"
        assert checks["works"] | {"age_s": 0, "duration_ms": 0} == {
            "status": "healthy",
            "critical": True,
            "duration_ms": 0,
            "age_s": 0,
            "observed": {"waiting": 3},
            "message": "",
        }
        assert server.get("/livez").status == 200
        assert time.monotonic() - began < PATIENCE_S


def otel_health(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """``manage.py otel health`` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "django", "otel", "health", *arguments],
        cwd=ROOT,
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith("OTEL_")},
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "TESTS_BASE_DIR": str(folder),
            **env,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_asks_without_a_server(tmp_path: Path) -> None:
    (tmp_path / "site.sqlite3").touch()
    well = otel_health(tmp_path, "--group", "ready", TESTS_HEALTH_CHECKS="works")
    assert (well.returncode, well.stderr) == (0, "")
    assert well.stdout.startswith("ready: healthy\n")
    ill = otel_health(tmp_path, "--check", "refused", "--json", TESTS_HEALTH_CHECKS="refused")
    assert ill.returncode == 1
    assert list(json.loads(ill.stdout)["checks"]) == ["refused"]
    for wrong in (["--check", "nothing"], ["--group", "nothing"]):
        assert otel_health(tmp_path, *wrong).returncode == 2


def test_the_command_ends_beside_a_check_that_hangs(tmp_path: Path) -> None:
    env = {"TESTS_HEALTH_CHECKS": "hangs", "OTEL_DJANGO_HEALTH_TIMEOUT": "0.5"}
    hung = otel_health(tmp_path, "--check", "hangs", **env)
    assert hung.returncode == 1
    assert "did not come back within 0.5 s" in hung.stdout


def test_the_command_sees_what_servers_of_its_host_found(tmp_path: Path) -> None:
    env = {
        "TESTS_HEALTH_CHECKS": "works",
        "OTEL_DJANGO_HEALTH_TTL": "600",
        "OTEL_DJANGO_RUN_DIR": str(tmp_path),
        "TESTS_BASE_DIR": str(tmp_path),
    }
    (tmp_path / "site.sqlite3").touch()
    with serving(server_process.gunicorn(), env) as server:
        assert server.get("/ready/").status == 200
        ran = otel_health(tmp_path, "--check", "works", "--json", **env)
        first = json.loads(ran.stdout)["checks"]["works"]["age_s"]
        time.sleep(0.2)
        again = otel_health(tmp_path, "--check", "works", "--json", **env)
    assert 0 < first < json.loads(again.stdout)["checks"]["works"]["age_s"]


PREPARED = """
import sys, threading
from tests.site.wsgi import application
from django.db import connections
assert "otel_django.health.checks.cache" in sys.modules
assert "redis" in sys.modules
assert not [each for each in connections.all() if each.connection is not None]
assert not [each for each in threading.enumerate() if "health" in each.name]
"""


def test_what_the_first_probe_needs_is_loaded_before_it_comes(tmp_path: Path) -> None:
    (tmp_path / "asking_urls.py").write_text(
        "from django.db import connection\n"
        "connection.ensure_connection()\n"
        "from tests.site.urls import urlpatterns\n"
    )
    (tmp_path / "asking_settings.py").write_text(
        "from tests.settings import *\n"
        "ROOT_URLCONF = 'asking_urls'\n"
        "CACHES = {'default': {'BACKEND': 'django.core.cache.backends.redis.RedisCache',"
        " 'LOCATION': 'redis://127.0.0.1:1/0'}}\n"
    )
    subprocess.run(
        [sys.executable, "-c", PREPARED],
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")},
            "DJANGO_SETTINGS_MODULE": "asking_settings",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)]),
            "TESTS_BASE_DIR": str(tmp_path),
        },
        cwd=tmp_path,
        timeout=60,
        check=True,
    )
