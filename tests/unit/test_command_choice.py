"""Whose command is whose, told by a real project with an environment of its own inside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server_process import ROOT

COMMAND = """
from django.core.management.base import BaseCommand
class Command(BaseCommand):
    def handle(self, **options):
        pass
"""
SETTINGS = """
import os
from pathlib import Path
SECRET_KEY = "x"
if os.environ.get("BASE"):
    BASE_DIR = Path(os.environ["BASE"])
INSTALLED_APPS = ["otel_django", "shop", "theirs", "vendored", "outside"]
OTEL_DJANGO = {"STORE": "off"}
"""
ASK = """
import json, sys, django
django.setup()
from otel_django import conf
from otel_django.command_choice import CommandChoice
choice = CommandChoice(conf.from_django())
names = ["nightly", "install", "vend", "elsewhere", "migrate", "otel", "runserver", "nobodys"]
print(json.dumps([name for name in names if choice.covers(name)]))
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""
PLACES = {
    "site": {"shop": "nightly"},
    "site/.venv/lib/python3/site-packages": {"theirs": "install"},
    "site/vendor": {"vendored": "vend"},
    "elsewhere": {"outside": "elsewhere"},
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The folder of the site; beside it lies another one."""
    for place, apps in PLACES.items():
        for app, command in apps.items():
            folder = tmp_path / place / app / "management" / "commands"
            folder.mkdir(parents=True)
            (tmp_path / place / app / "__init__.py").touch()
            (folder / f"{command}.py").write_text(COMMAND)
    (tmp_path / "site" / "config").mkdir()
    (tmp_path / "site" / "config" / "__init__.py").touch()
    (tmp_path / "site" / "config" / "settings.py").write_text(SETTINGS)
    return tmp_path / "site"


def covered(project: Path, **environ: str) -> list[str]:
    folders = [project.parent / place for place in PLACES]
    ended = subprocess.run(
        [sys.executable, "-c", ASK],
        env={
            "PATH": os.environ["PATH"],
            "OTEL_SDK_DISABLED": "true",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONPATH": os.pathsep.join(map(str, [*folders, ROOT])),
            **environ,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found: list[str] = json.loads(ended.stdout)
    return found


def test_own_is_what_lies_in_the_project_and_was_not_installed_there(project: Path) -> None:
    assert covered(project) == ["nightly", "vend"]


def test_own_is_what_lies_in_base_dir_or_beside_the_settings(project: Path) -> None:
    assert covered(project, BASE=str(project / "config")) == ["nightly", "vend"]
    assert covered(project, BASE=str(project.parent / "elsewhere")) == [
        "nightly",
        "vend",
        "elsewhere",
    ]


@pytest.mark.parametrize(
    ("commands", "names"),
    [
        ("all", ["nightly", "install", "vend", "elsewhere", "migrate"]),
        ("all,-install,otel,runserver", ["nightly", "vend", "elsewhere", "migrate"]),
        ("install", ["nightly", "install", "vend"]),
        ("none", []),
        ("none,migrate,nobodys", ["migrate"]),
    ],
)
def test_the_setting_chooses_others(project: Path, commands: str, names: list[str]) -> None:
    assert covered(project, OTEL_DJANGO_COMMANDS=commands) == names
