"""Programs of the tests in other languages: built once, outside the tree, kept for the next run."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("TMPDIR", tempfile.gettempdir())) / "otel-django-receive"


def cache_of(source: Path) -> Path:
    """A folder for exactly these files."""
    digest = hashlib.sha256()
    for file in sorted(source.iterdir()):
        if file.is_file():
            digest.update(file.name.encode() + file.read_bytes())
    folder = CACHE / f"{source.name}-{digest.hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def go_program(name: str) -> Path:
    """The program of the Go module in the folder of this name."""
    source = HERE / name
    binary = cache_of(source) / name
    if not binary.exists():
        subprocess.run(
            ["go", "build", "-buildvcs=false", "-o", str(binary), "."],
            cwd=source,
            env={**os.environ, "GOFLAGS": "-mod=readonly"},
            check=True,
            timeout=280,
        )
    return binary
