"""The files of Prometheus are ones that the real program of their version takes, as they are."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.stack.programs import path_of

DEPLOY = Path(__file__).parents[2] / "deploy" / "prometheus"


@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus-pair.yml", "prometheus-store.yml"])
def test_promtool_finds_no_fault(name: str, tmp_path: Path) -> None:
    folder = shutil.copytree(DEPLOY, tmp_path / "prometheus")
    token = tmp_path / "token"
    token.write_text("sesame")
    scrape = folder / "scrape.yml"  # the one thing that only the compose file's machines have
    scrape.write_text(scrape.read_text().replace("/run/secrets/site_token", str(token)))
    done = subprocess.run(
        [path_of("promtool"), "check", "config", folder / name],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
