"""Every endpoint that a site is promised, asked of the running demonstration."""

from __future__ import annotations

import http.cookiejar
import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from jsonschema import Draft202012Validator

from docs import openapi
from tests.demo_kit import DEMO, demo_environment

TOKEN = "a-token-of-the-demonstration"

VIEWS_OF_MONITORING = {
    "GET /monitoring/health/": "health_check",
    "GET /monitoring/health/simple/": "health_check_simple",
    "GET /monitoring/uptime/": "uptime_status",
    "GET /monitoring/metrics/": "metrics_endpoint",
    "GET /monitoring/status/": "monitoring_status",
    "GET /monitoring/dashboard/": "monitoring_dashboard",
    "POST /monitoring/cache/clear/": "clear_monitoring_cache",
    "POST /monitoring/alerts/test/": "test_alerts",
}
OF_BALANCERS = ("GET /health/", "GET /ready/")
OF_PROMETHEUS = (
    "GET /api/v1/metrics",
    "GET /metrics",
    "GET /monitoring/metrics/?format=prometheus",
)
OF_DASHBOARDS = (
    "GET /monitoring/health/",
    "GET /monitoring/metrics/",
    "GET /monitoring/performance/queries/",
    "GET /monitoring/performance/cache/",
    "GET /monitoring/alerts/",
    "GET /monitoring/dashboard/",
    "GET /monitoring/healthz/",
)
OF_KUBERNETES = ("GET /livez", "GET /readyz", "GET /startupz")
OF_ADMIN = ("GET /admin/otel_django/healthmetric/now/", "GET /admin/otel_django/healthmetric/")
ALL = sorted(
    {
        *VIEWS_OF_MONITORING,
        *OF_BALANCERS,
        *OF_PROMETHEUS,
        *OF_DASHBOARDS,
        *OF_KUBERNETES,
        *OF_ADMIN,
    }
)


class Answer(NamedTuple):
    """A response, read to its end."""

    status: int
    headers: Any
    body: bytes


class Visitor:
    """Asks the demonstration; keeps cookies."""

    def __init__(self, url: str, **headers: str) -> None:
        self.url = url
        self.headers = headers
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def ask(self, method_and_path: str, body: dict[str, str] | None = None) -> Answer:
        """``GET /path``; a body goes as a form."""
        method, _, path = method_and_path.partition(" ")
        data = None if body is None else urllib.parse.urlencode(body).encode()
        token = {each.name: each.value or "" for each in self.cookies}.get("csrftoken")
        headers = {**self.headers, **({"X-CSRFToken": token} if token else {})}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with self._opener.open(request, timeout=20) as response:
                return Answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def log_in(self, password: str) -> None:
        """To the admin, as the user whose password the demonstration prints."""
        page = self.ask("GET /admin/login/").body.decode()
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert found
        given = {"username": "demo", "password": password, "csrfmiddlewaretoken": found[1]}
        assert self.ask("POST /admin/login/?next=/monitoring/health/simple/", given).body == b"OK"


class Demo(NamedTuple):
    """Where it is, and the password it has printed."""

    url: str
    password: str


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    environment = {
        **demo_environment(tmp_path_factory.mktemp("demo")),
        "DEMO_TRAFFIC": "0",
        "OTEL_DJANGO_TOKENS": TOKEN,
    }
    process = subprocess.Popen(
        [sys.executable, DEMO],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    password = None
    for line in process.stdout:
        password = password or re.search(r"user demo, password (\S+)", line)
        if line.startswith("Traces of its requests"):
            break
    assert password
    try:
        yield Demo(f"http://127.0.0.1:{environment['PORT']}", password[1])
    finally:
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, rest
    assert "Traceback" not in rest


@pytest.fixture(scope="module")
def staff(demo: Demo) -> Visitor:
    visitor = Visitor(demo.url)
    visitor.log_in(demo.password)
    return visitor


@pytest.mark.parametrize("asked", ALL)
def test_the_demonstration_answers(asked: str, staff: Visitor) -> None:
    answer = staff.ask(asked)
    assert answer.status == 200, answer.body
    if "application/json" in answer.headers["Content-Type"]:
        assert json.loads(answer.body)
        assert_described(asked, answer)


def assert_described(asked: str, answer: Answer) -> None:
    """As the OpenAPI file says."""
    method, _, path = asked.lower().partition(" ")
    document = openapi.document()
    described = document["paths"].get(path)
    if described is not None:
        content = described[method]["responses"][str(answer.status)]["content"]
        schema = {**content["application/json"]["schema"], "components": document["components"]}
        problems = Draft202012Validator(schema).iter_errors(json.loads(answer.body))
        assert [f"{each.json_path}: {each.message}" for each in problems] == []


def test_what_is_answered_to_prometheus_is_its_text(staff: Visitor) -> None:
    for asked in OF_PROMETHEUS:
        answer = staff.ask(asked)
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert b"django_http_requests_total{" in answer.body


@pytest.mark.parametrize("asked", [each for each in ALL if "admin" not in each])
def test_every_wrong_method_is_refused(asked: str, demo: Demo) -> None:
    program = Visitor(demo.url, Authorization=f"Bearer {TOKEN}")
    right, _, path = asked.partition(" ")
    allowed = {"GET", "HEAD"} if right == "GET" else {right}
    if path.startswith("/monitoring/alerts/") and path.endswith("alerts/"):
        allowed |= {"POST"}
    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - allowed:
        refused = program.ask(f"{method} {path}")
        assert refused.status == 405
        assert {each.strip() for each in refused.headers["Allow"].split(",")} == allowed


@pytest.mark.parametrize("asked", ALL)
def test_who_comes_through_a_proxy_without_rights_learns_nothing(asked: str, demo: Demo) -> None:
    stranger = Visitor(demo.url, **{"X-Forwarded-For": "192.0.2.1"})
    answer = stranger.ask(asked)
    if "admin" in asked:
        assert answer.status == 403 or b"Log in" in answer.body
    elif answer.status == 200:
        public = json.loads(answer.body) if answer.body != b"OK" else {}
        assert set(public) - {"details"} <= {"status", "timestamp", "started", "uptime_s"}
        assert public.get("details") is None
    else:
        assert answer.status in (401, 403)
        assert set(json.loads(answer.body)) == {"error", "detail"}


@pytest.mark.parametrize("asked", ALL)
def test_a_hostile_query_string_does_no_harm(asked: str, staff: Visitor) -> None:
    mark = "&" if "?" in asked else "?"
    for query in ("hours=%00&limit=-1&group=%3Cscript%3E&check=%27--", "a" * 4000, "%ff=%fe&&="):
        answer = staff.ask(f"{asked}{mark}{query}")
        assert answer.status < 500
        assert b"<script>'" not in answer.body
