"""``manage.py otel`` on a store, in the test's own process: quicker than in one of its own."""

from __future__ import annotations

import os
import subprocess
from io import StringIO
from pathlib import Path
from unittest import mock

from django.core.management import call_command

from tests.endpoints_kit import ours


def otel(store: Path | str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """What it says with these arguments, a hundred columns wide unless ``COLUMNS`` says more."""
    stdout, stderr, code = StringIO(), StringIO(), 0
    with mock.patch.dict(os.environ, {"COLUMNS": "100", **environ}), ours(STORE=str(store)):
        try:
            call_command("otel", *arguments, stdout=stdout, stderr=stderr)
        except SystemExit as ended:
            code = int(ended.code or 0)
    return subprocess.CompletedProcess(arguments, code, stdout.getvalue(), stderr.getvalue())
