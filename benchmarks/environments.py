"""A virtual environment for each set of requirements, kept between runs outside the tree."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contestants import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

SERVER = "gunicorn"


class NotInstallable(Exception):
    """A contestant's requirements could not be installed; the text is the installer's."""


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "otel-django-bench"


def default_django() -> str:
    """The Django of the interpreter that runs the benchmark, else the newest."""
    try:
        return f"Django=={metadata.version('Django')}"
    except metadata.PackageNotFoundError:
        return "Django"


class Environments:
    """Makes them on first use, all with this interpreter and one Django."""

    def __init__(self, folder: Path, django: str) -> None:
        self._folder = folder
        self._django = django

    def python_for(self, requirements: Sequence[str]) -> Path:
        """The interpreter of an environment that has ``requirements``, Django and the server."""
        wanted = [self._django, SERVER, *requirements]
        folder = self._folder / _key(wanted)
        python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        if not (folder / ".complete").exists():
            print(f"installing {', '.join(wanted)}", file=sys.stderr, flush=True)
            _make(folder, python, wanted)
            (folder / ".complete").touch()
        return python


def versions(python: Path) -> dict[str, str]:
    """What an environment holds."""
    listing = (
        "import json; from importlib import metadata;"
        "print(json.dumps({d.name: d.version for d in metadata.distributions()}))"
    )
    output = subprocess.run([python, "-c", listing], check=True, capture_output=True).stdout
    found: dict[str, str] = json.loads(output)
    return found


def _key(wanted: Sequence[str]) -> str:
    parts = [sys.version, os.path.realpath(sys.executable), *wanted]
    if any(str(ROOT) in requirement for requirement in wanted):
        parts.append((ROOT / "pyproject.toml").read_text())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _make(folder: Path, python: Path, wanted: Sequence[str]) -> None:
    arguments = [word for requirement in wanted for word in requirement.split(" ", 1)]
    uv = shutil.which("uv")
    if uv:
        make = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)]
        install = [uv, "pip", "install", "--quiet", "--python", str(python)]
        install.append("--prerelease=if-necessary")
    else:
        make = [sys.executable, "-m", "venv", "--clear", str(folder)]
        install = [str(python), "-m", "pip", "install", "--quiet"]
    for command in (make, [*install, *arguments]):
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            raise NotInstallable(done.stderr.strip()[-2000:])
