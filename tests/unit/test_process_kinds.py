"""Who is observed without being asked: servers and scripts, not commands and test runs.

Each is a real process; an app of the site notes in ``ready`` what it is taken for.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.stub_collector_process import free_port

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

FILES = {
    "manage.py": """
import os, sys
from django.core.management import execute_from_command_line
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
""",
    "probe/__init__.py": "",
    "probe/apps.py": """
import os
from django.apps import AppConfig
class ProbeConfig(AppConfig):
    name = "probe"
    def ready(self):
        note()
def note():
    from otel_django.host_environment import current_process
    process = current_process()
    with open(os.environ["PROBE_FILE"], "a") as file:
        file.write(f"{process.kind} {process.command}\\n")
""",
    "probe/management/commands/noting.py": """
from django.core.management.base import BaseCommand
from probe.apps import note
class Command(BaseCommand):
    def handle(self, **options):
        note()
""",
    "probe/views.py": """
from django.core.management import call_command
from django.http import HttpResponse
def view(request):
    call_command("noting")
    return HttpResponse("ok")
""",
    "probe/urls.py": """
from django.urls import path
from probe.views import view
urlpatterns = [path("", view)]
""",
    "probe/settings.py": """
SECRET_KEY = "x"
DEBUG = True
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["probe"]
ROOT_URLCONF = "probe.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
""",
    "probe/wsgi.py": """
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
""",
    "probe/asgi.py": """
from django.core.asgi import get_asgi_application
application = get_asgi_application()
""",
    "probe/celery.py": """
import django
from celery import Celery
django.setup()
app = Celery("probe", broker="memory://")
""",
    "script.py": """
import django
django.setup()
from django.core.management import call_command
call_command("noting")
""",
    "test_probe.py": """
import unittest, django
django.setup()
class Test(unittest.TestCase):
    def test_nothing(self):
        pass
""",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (tmp_path / "renamed.py").write_text(FILES["manage.py"], encoding="utf-8")
    return tmp_path


def environ(project: Path) -> dict[str, str]:
    inherited = {
        key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTEST_"))
    }
    return {
        **inherited,
        "DJANGO_SETTINGS_MODULE": "probe.settings",
        "PYTHONPATH": os.pathsep.join([str(project), str(ROOT)]),
        "PROBE_FILE": str(project / "kinds"),
    }


@contextmanager
def running(command: list[str], project: Path) -> Iterator[None]:
    """The process and its children, ended together."""
    process = subprocess.Popen(
        command,
        cwd=project,
        env=environ(project),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def noted(project: Path) -> list[str]:
    file = project / "kinds"
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


PYTHON = [sys.executable]


@pytest.mark.parametrize(
    ("command", "kinds"),
    [
        ([*PYTHON, "manage.py", "check"], ["command check"]),
        ([*PYTHON, "manage.py", "migrate", "-v0"], ["command migrate"]),
        ([*PYTHON, "manage.py", "shell", "-c", "pass"], ["command shell"]),
        ([*PYTHON, "manage.py", "noting"], ["command noting"] * 2),
        ([*PYTHON, "manage.py", "test", "-v0"], ["test test"]),
        ([*PYTHON, "manage.py"], ["command help"]),
        ([*PYTHON, "renamed.py", "check"], ["command check"]),
        ([*PYTHON, "-m", "django", "check"], ["command check"]),
        ([str(BIN / "django-admin"), "check"], ["command check"]),
        ([*PYTHON, "script.py"], ["server None"] * 2),
        ([*PYTHON, "-c", "import django; django.setup()"], ["server None"]),
        ([*PYTHON, "-m", "pytest", "-q", "test_probe.py"], ["test None"]),
        ([str(BIN / "pytest"), "-q", "test_probe.py"], ["test None"]),
        ([*PYTHON, "-m", "unittest", "test_probe"], ["test None"]),
        ([str(BIN / "celery"), "-A", "probe.celery", "report"], ["command None"]),
        ([*PYTHON, "-m", "celery", "-A", "probe.celery", "report"], ["command None"]),
        ([str(BIN / "celery"), "-q", "--app=probe.celery", "purge", "-f"], ["command None"]),
        ([*PYTHON, "manage.py", "db_worker"], ["server db_worker"]),
        ([*PYTHON, "manage.py", "procrastinate", "worker"], ["server procrastinate"]),
        ([*PYTHON, "manage.py", "procrastinate", "shell"], ["command procrastinate"]),
    ],
    ids=lambda value: " ".join(Path(part).name for part in value),
)
def test_a_process_that_ends_by_itself(project: Path, command: list[str], kinds: list[str]) -> None:
    result = subprocess.run(
        command, cwd=project, env=environ(project), capture_output=True, timeout=60, check=False
    )
    assert noted(project) == kinds, result.stderr


@pytest.mark.parametrize(
    ("command", "kinds"),
    [
        ([*PYTHON, "manage.py", "runserver", "PORT", "--noreload"], {"server runserver"}),
        (
            [*PYTHON, "manage.py", "runserver", "PORT"],
            {"reloader runserver", "server runserver"},
        ),
        ([str(BIN / "gunicorn"), "-b", "127.0.0.1:PORT", "probe.wsgi"], {"server None"}),
        ([*PYTHON, "-m", "gunicorn", "-b", "127.0.0.1:PORT", "probe.wsgi"], {"server None"}),
        ([str(BIN / "uvicorn"), "--port", "PORT", "probe.asgi:application"], {"server None"}),
    ],
    ids=["runserver --noreload", "runserver", "gunicorn", "-m gunicorn", "uvicorn"],
)
def test_a_server_and_a_command_that_it_calls(
    project: Path, command: list[str], kinds: set[str]
) -> None:
    port = free_port()
    with running([part.replace("PORT", str(port)) for part in command], project):
        deadline = time.monotonic() + 30
        while not answers(port):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    *started, called = noted(project)
    assert set(started) <= kinds | {"server None"}  # called from more than one request
    assert kinds <= set(started)
    assert called == "server None"


@pytest.mark.parametrize(
    "command",
    [
        [str(BIN / "celery"), "-A", "probe.celery", "worker", "--pool", "solo"],
        [str(BIN / "celery"), "-C", "-Aprobe.celery", "--workdir", ".", "worker", "-P", "solo"],
        [*PYTHON, "-m", "celery", "--app", "probe.celery", "-q", "worker", "-P", "solo"],
        [*PYTHON, "-m", "celery", "-A", "probe.celery", "beat", "-s", "schedule"],
    ],
    ids=lambda command: " ".join(Path(part).name for part in command),
)
def test_celery_s_worker_and_beat_are_servers(project: Path, command: list[str]) -> None:
    with running(command, project):
        deadline = time.monotonic() + 30
        while not noted(project):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert noted(project) == ["server None"]


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
