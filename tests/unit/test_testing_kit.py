"""The test kit records what happens inside a block, and nothing of us is there outside it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from django.core.handlers.base import BaseHandler
from django.db import connection
from django.test import Client
from opentelemetry import trace

from otel_django.testing import Captured, capture


def test_a_request_is_captured_as_a_tree(database: None) -> None:
    with capture() as captured:
        Client().get("/template/")
    (root,) = captured.roots
    assert root.name == "GET /template/"
    assert root.kind == "SERVER"
    assert root.parent_span_id is None
    assert root.attributes["http.response.status_code"] == 200


def test_queries_count_inside_and_outside_requests(database: None) -> None:
    with capture() as captured, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.execute("SELECT %s", ["hidden"])
    captured.assert_queries(2)
    captured.assert_queries(at_most=2)
    with pytest.raises(AssertionError, match=r"2 queries ran, 1 expected:\n  SELECT"):
        captured.assert_queries(1)
    assert "hidden" not in str(captured.spans)


def test_an_n_plus_one_fails_with_file_and_line(database: None) -> None:
    with capture(n_plus_one=3) as captured, connection.cursor() as cursor:
        for number in range(3):
            cursor.execute("SELECT %s + 1", [number])
    with pytest.raises(
        AssertionError, match=r"N\+1: 3 times at .*test_testing_kit\.py:\d+: SELECT"
    ):
        captured.assert_no_n_plus_one()
    with capture(n_plus_one=5) as captured, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    captured.assert_no_n_plus_one()


def test_spans_made_by_hand_are_found_by_name_and_attribute() -> None:
    tracer = trace.get_tracer("x")
    with capture() as captured, tracer.start_as_current_span("pay", attributes={"order.id": 7}):
        pass
    assert captured.one("pay", order__id=7).status == "UNSET"
    with pytest.raises(AssertionError, match="0 spans match"):
        captured.one("refund")


def test_blocks_nest_and_each_gets_what_happens_inside_it() -> None:
    tracer = trace.get_tracer("x")
    with capture() as outer:
        tracer.start_span("first").end()
        with capture() as inner:
            tracer.start_span("second").end()
        tracer.start_span("third").end()
    assert [span.name for span in inner.roots] == ["second"]
    assert [span.name for span in outer.spans if span.name != "capture"] == [
        "first",
        "second",
        "third",
    ]


def test_outside_a_block_nothing_is_patched_and_no_thread_runs(database: None) -> None:
    before = BaseHandler.get_response
    threads = set(threading.enumerate())
    with capture():
        assert BaseHandler.get_response is not before
        Client().get("/plain/")
        assert set(threading.enumerate()) <= threads
    assert BaseHandler.get_response is before


def test_the_fixture_gives_a_capture(captured_telemetry: Captured) -> None:
    trace.get_tracer("x").start_span("work").end()
    assert captured_telemetry.one("work").kind == "INTERNAL"


def test_users_assertNumQueries_counts_the_same_with_us(database: None) -> None:
    from django.test import TestCase

    class Case(TestCase):
        def runTest(self) -> None:
            with self.assertNumQueries(2), connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                cursor.execute("SELECT 2")

    with capture():
        Case().debug()


SITE = """
SECRET_KEY = "x"
INSTALLED_APPS = ["otel_django"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
ROOT_URLCONF = "urls"
"""
TESTS = """
import os, sys, threading
from django.test import SimpleTestCase
from django.core.handlers.base import BaseHandler

ORIGINAL = BaseHandler.get_response.__module__

class Untouched(SimpleTestCase):
    def test_nothing_of_us_runs(self):
        self.assertEqual(self.client.get("/").status_code, 200)
        self.assertEqual([t.name for t in threading.enumerate() if "otel" in t.name], [])
        self.assertFalse(any(name.startswith("opentelemetry") for name in sys.modules))
        self.assertEqual(ORIGINAL, "django.core.handlers.base")
        sockets = [name for name in os.listdir("/proc/self/fd")
                   if os.path.exists("/proc/self/fd/" + name)
                   and os.readlink("/proc/self/fd/" + name).startswith("socket:")]
        self.assertEqual(sockets, [])
        self.assertFalse(os.path.exists(".otel_django"))
"""


@pytest.fixture
def users_project(tmp_path: Path) -> Path:
    """A project of a user's, with us installed and an endpoint set."""
    (tmp_path / "settings.py").write_text(SITE)
    (tmp_path / "urls.py").write_text(
        textwrap.dedent("""
        from django.http import HttpResponse
        from django.urls import path
        urlpatterns = [path("", lambda request: HttpResponse("ok"))]
        """)
    )
    (tmp_path / "test_site.py").write_text(TESTS)
    (tmp_path / "conftest.py").write_text(
        "import django, os\nos.environ['DJANGO_SETTINGS_MODULE'] = 'settings'\ndjango.setup()\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "django", "test"],
        ["-m", "pytest", "-q", "-p", "no:cacheprovider"],
        ["-m", "unittest", "conftest", "test_site"],
        ["-m", "pytest", "-q", "-n", "1", "-p", "no:cacheprovider"],
    ],
    ids=["manage.py test", "pytest", "unittest", "xdist"],
)
def test_a_sites_own_test_run_has_no_thread_file_or_socket_of_ours(
    users_project: Path, command: list[str]
) -> None:
    import os

    root = str(Path(__file__).parents[2])
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    result = subprocess.run(
        [sys.executable, *command],
        cwd=users_project,
        env={
            **env,
            "PYTHONPATH": os.pathsep.join([str(users_project), root]),
            "DJANGO_SETTINGS_MODULE": "settings",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 passed" in result.stdout or "Ran 1 test" in result.stderr


def test_a_sites_own_sampling_ratio_leaves_nothing_out(tmp_path: Path) -> None:
    code = """
    import django
    django.setup()
    from django.test import Client
    from otel_django.testing import capture
    with capture() as captured:
        Client().get("/plain/")
    print([root.name for root in captured.roots])
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={
            "PATH": "/usr/bin:/bin",
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "OTEL_DJANGO_ENABLED": "false",
            "TESTS_BASE_DIR": str(tmp_path),
            "OTEL_TRACES_SAMPLER": "traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "0.0",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stdout == "['GET /plain/']\n", result.stderr
