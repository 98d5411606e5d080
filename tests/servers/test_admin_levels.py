"""The page of the admin that changes levels, in a real server."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from otel_django.logs.levels import levels
from tests.server_process import ROOT, Server, gunicorn, serving

PAGE = "/admin/otel_django/loglevel/"
SETTINGS = "tests.site.settings_with_admin"
PEOPLE = """
from django.contrib.auth.models import User
User.objects.create_superuser("root", "", "secret")
User.objects.create_user("staff", "", "secret", is_staff=True)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    folder = tmp_path_factory.mktemp("admin")
    env = {
        "DJANGO_SETTINGS_MODULE": SETTINGS,
        "TESTS_BASE_DIR": str(folder),
        "OTEL_DJANGO_RUN_DIR": str(folder / "run"),
        "OTEL_DJANGO_LOG_FORMAT": "json",  # and nothing is sent: levels change all the same
    }
    for command in (["migrate", "-v", "0"], ["shell", "-c", PEOPLE]):
        subprocess.run(
            [sys.executable, "-m", "django", *command],
            cwd=ROOT,
            env={**env, "PYTHONPATH": str(ROOT), "OTEL_DJANGO_ENABLED": "false"},
            check=True,
            capture_output=True,
        )
    with serving(gunicorn("--workers", "2"), env) as server:
        yield server, folder / "run"


class Person:
    """Somebody who has logged in."""

    def __init__(self, server: Server, name: str) -> None:
        self._base = f"http://127.0.0.1:{server.port}"
        self._session = requests.Session()
        self.get("/admin/login/")
        self.post("/admin/login/", username=name, password="secret")

    def get(self, path: str = PAGE) -> requests.Response:
        return self._session.get(self._base + path, timeout=20)

    def post(self, path: str = PAGE, **data: str) -> requests.Response:
        token = self._session.cookies["csrftoken"]
        return self._session.post(
            self._base + path, {"csrfmiddlewaretoken": token, **data}, timeout=20
        )

    def post_from_elsewhere(self) -> int:
        data = {"logger": "shop", "level": "debug"}
        return self._session.post(self._base + PAGE, data, timeout=20).status_code

    def put(self) -> int:
        token = self._session.cookies["csrftoken"]
        headers = {"X-CSRFToken": token}
        return self._session.put(self._base + PAGE, headers=headers, timeout=20).status_code


def test_a_superuser_changes_a_level_for_a_time_and_takes_it_back(
    site: tuple[Server, Path],
) -> None:
    server, run_dir = site
    somebody = Person(server, "root")
    assert PAGE in somebody.get("/admin/").text
    assert "All levels are what" in somebody.get().text
    page = somebody.post(logger="site.logs", level="debug", minutes="5").text
    assert "Level of site.logs: debug for 5 minutes" in page
    changed = levels(run_dir)["site.logs"]
    assert changed.level == "debug"
    assert 200 < (changed.until_s or 0) - time.time() <= 300
    deadline = time.monotonic() + 15
    while server.output().count('"event":"details"') < 5:
        assert time.monotonic() < deadline
        server.get("/logs/debug/")
    page = somebody.post(logger="site.logs").text
    assert "Level of site.logs: as it was" in page
    assert levels(run_dir) == {}
    assert len(re.findall("site.logs", somebody.get("/admin/").text)) >= 2  # what was done lately


def test_without_a_time_it_is_half_an_hour_and_the_root_has_its_name(
    site: tuple[Server, Path],
) -> None:
    server, run_dir = site
    somebody = Person(server, "root")
    assert "<td>root</td>" in somebody.post(logger="root", level="warning").text
    assert 1700 < (levels(run_dir)[""].until_s or 0) - time.time() <= 1800
    somebody.post(logger="root")
    assert levels(run_dir) == {}


def test_what_can_not_be_is_refused_with_its_reason(site: tuple[Server, Path]) -> None:
    server, run_dir = site
    somebody = Person(server, "root")
    assert "loud is not one of" in somebody.post(logger="shop", level="loud").text
    assert "less than or equal to 1440" in somebody.post(logger="shop", minutes="9999").text
    assert "<script>" not in somebody.post(logger="<script>", level="debug").text
    somebody.post(logger="<script>")
    assert somebody.put() == 405
    assert somebody.post_from_elsewhere() == 403
    run_dir.chmod(0o500)
    try:
        page = somebody.post(logger="shop", level="debug").text
    finally:
        run_dir.chmod(0o700)
    assert levels(run_dir) == {} or "It can" not in page  # root may write anywhere
    somebody.post(logger="shop")


def test_nobody_but_superusers_sees_or_changes_levels(site: tuple[Server, Path]) -> None:
    server, run_dir = site
    somebody = Person(server, "staff")
    assert PAGE not in somebody.get("/admin/").text
    assert somebody.get().status_code == 403
    assert somebody.post(logger="shop", level="debug").status_code == 403
    assert server.get(PAGE).status == 302
    assert levels(run_dir) == {}
