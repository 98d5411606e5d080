"""``manage.py otel doctor`` of the shop, as its operator runs it, on the real stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.integration.shop_kit import SHOP
from tests.server_process import ROOT
from tests.stack.stack_kit import Stack

NEVER_LONGER_S = 120.0
"""However busy the machine, and whatever hangs."""


class Report(NamedTuple):
    """What it says, and its exit code."""

    code: int
    findings: list[dict[str, Any]]

    def of(self, state: str) -> list[dict[str, Any]]:
        """The findings of a state."""
        return [finding for finding in self.findings if finding["state"] == state]

    def places(self) -> set[str]:
        """Where the probe was found."""
        found = (f["observed"] for f in self.of("ok"))
        return {observed["place"] for observed in found if "seen_after_s" in observed}

    @property
    def is_well(self) -> bool:
        """Nothing is to be mended."""
        return self.code == 0 and not self.of("fault") and not self.of("warning")


class Doctor:
    """Runs it; ``environment`` is the site's, on top of that the stack's addresses."""

    def __init__(self, programs: Stack, folder: Path) -> None:
        self.environment = {
            "DEMO_DIR": str(folder / "demo"),
            "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}",
            "OTEL_DJANGO_STORE": "off",
            "OTEL_EXPORTER_OTLP_ENDPOINT": programs.collector.url,
            "OTEL_DJANGO_READ_FROM": f"jaeger={programs.jaeger.url},loki={programs.loki.url},"
            f"prometheus={programs.prometheus.url}",
        }
        self._well: dict[frozenset[tuple[str, str]], Report] = {}

    def cured(self, environment: Mapping[str, str]) -> Report:
        """The report with this environment, which several cures may lead to."""
        key = frozenset(environment.items())
        if key not in self._well:
            self._well[key] = self.ask(environment)
        return self._well[key]

    def ask(
        self,
        environment: Mapping[str, str] | None = None,
        *,
        wait_s: float = 30.0,
        before: Sequence[str] = (),
    ) -> Report:
        """``environment`` on top of its own; ``before`` are words in front of the command.

        What the program they name says on the standard error is its own affair.
        """
        code, output = self.told(environment or {}, "--json", f"--wait={wait_s}", before=before)
        return Report(code, json.loads(output)["findings"])

    def told(
        self, environment: Mapping[str, str], *options: str, before: Sequence[str] = ()
    ) -> tuple[int, str]:
        """The exit code, and all that is printed."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("OTEL_", "DJANGO_", "DEMO_", "PYTEST_"))
            and not name.lower().endswith("_proxy")
        }
        done = subprocess.run(
            [*before, sys.executable, "manage.py", "otel", "doctor", *options],
            cwd=SHOP,
            env={**inherited, "COLUMNS": "80", **self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=NEVER_LONGER_S,
            check=False,
        )
        assert before or done.stderr == ""
        return done.returncode, done.stdout
