"""Alerts in the admin, on Django's own and on Unfold's: the cases run in a process with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers import admin_process

CASES = "tests/servers/alert_admin_cases.py"
UNFOLDS_OWN = ("-W", "ignore::DeprecationWarning", "-W", "ignore::PendingDeprecationWarning")


@pytest.mark.parametrize("theme", admin_process.THEMES)
def test_alerts_in_the_admin(theme: str, tmp_path: Path) -> None:
    options = ("-q", "-p", "no:cacheprovider", *UNFOLDS_OWN)
    admin_process.python(theme, tmp_path, "-m", "pytest", *options, CASES)
