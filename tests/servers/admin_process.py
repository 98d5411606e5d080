"""The test site with Django's own admin, or with Unfold's, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
THEMES = ("admin", "unfold")
SET_UP = """
import django
django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

call_command("migrate", verbosity=0)
people = {
    "root": User.objects.create_superuser("root"),
    "staff": User.objects.create(username="staff", is_staff=True),
    "customer": User.objects.create(username="customer"),
}

def client(name, **options):
    made = Client(HTTP_HOST="localhost", REMOTE_ADDR="192.0.2.1", **options)
    made.force_login(people[name])
    return made
"""


def python(theme: str, folder: Path, *arguments: str) -> str:
    """What an interpreter with these arguments prints; ``folder`` is for the site's data."""
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": f"tests.site.settings_with_{theme}",
            "TESTS_BASE_DIR": str(folder),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-8000:] + ended.stderr[-2000:]
    return ended.stdout


def found(theme: str, folder: Path, script: str, *arguments: str) -> Any:
    """What ``script`` leaves as ``found``: it has the migrated site's ``people`` and a ``client``
    of each.
    """
    told = f"{SET_UP}\n{script}\nimport json\nprint(json.dumps(found))"
    return json.loads(python(theme, folder, "-c", told, *arguments).splitlines()[-1])
