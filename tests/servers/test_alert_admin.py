"""Alerts in the admin, on Django's own and on Unfold's: the cases run in a process with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CASES = "tests/servers/alert_admin_cases.py"
UNFOLDS_OWN = ("-W", "ignore::DeprecationWarning", "-W", "ignore::PendingDeprecationWarning")


@pytest.mark.parametrize("theme", ["admin", "unfold"])
def test_alerts_in_the_admin(theme: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *UNFOLDS_OWN, CASES],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": f"tests.site.settings_with_{theme}",
            "TESTS_BASE_DIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-8000:] + ended.stderr[-2000:]
