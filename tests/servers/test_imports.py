"""What a command that isn't observed costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, sys, threading
from django.core.management import execute_from_command_line
sys.argv = ["manage.py", "check"]
execute_from_command_line(sys.argv)
print(json.dumps({
    "opentelemetry": sorted(name for name in sys.modules if name.startswith("opentelemetry")),
    "threads": [thread.name for thread in threading.enumerate()],
}))
"""


def test_R7_an_untraced_command_imports_nothing_of_opentelemetry(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "TESTS_BASE_DIR": str(tmp_path),
        },
        capture_output=True,
        check=True,
        text=True,
    )

    found = json.loads(ended.stdout.splitlines()[-1])
    assert found == {"opentelemetry": [], "threads": ["MainThread"]}
    assert list(tmp_path.iterdir()) == []
