"""The real programs of the stack: built once from locked Go modules, kept outside the tree.

    path_of("jaeger")                   # builds it where the cache has none
    python -m tests.stack.programs      # builds all, some 15 minutes on two cores

Each folder here is a Go module of its own, for their dependencies clash. Go verifies every module
against ``go.sum`` and the public checksum database, as it always does. The cache lies in
``TESTS_STACK_CACHE``, or ``otel-django-stack`` in the user's cache folder; a changed lock
file makes a new folder in it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
FLAGS = ("-trimpath", "-buildvcs=false")
PROMETHEUS_VERSION = "3.15.0"


class Program(NamedTuple):
    """``module`` is the folder of the Go module, ``package`` what is built of it."""

    module: str
    package: str
    linked: str = ""


_PROMETHEUS = f"-X github.com/prometheus/common/version.Version={PROMETHEUS_VERSION}"
PROGRAMS = {
    "jaeger": Program("jaeger", "github.com/jaegertracing/jaeger/cmd/jaeger"),
    "loki": Program("loki", "github.com/grafana/loki/v3/cmd/loki"),
    "prometheus": Program(
        "prometheus", "github.com/prometheus/prometheus/cmd/prometheus", _PROMETHEUS
    ),
    "promtool": Program("prometheus", "github.com/prometheus/prometheus/cmd/promtool", _PROMETHEUS),
    "builder": Program("builder", "go.opentelemetry.io/collector/cmd/builder"),
    "otelcol": Program("collector", "."),
}


def path_of(name: str) -> Path:
    """The program of this name, one of ``PROGRAMS``; it is built when it isn't there.

    Raises:
        subprocess.CalledProcessError: when it cannot be built; Go has printed why.
    """
    program = PROGRAMS[name]
    binary = _folder_of(program.module) / name
    if not binary.exists():
        binary.parent.mkdir(parents=True, exist_ok=True)
        with _alone(binary.with_suffix(".lock")):
            if not binary.exists():
                _build(program, binary)
    return binary


def _folder_of(module: str) -> Path:
    digest = hashlib.sha256()
    for file in sorted((HERE / module).iterdir()):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return cache() / f"{module}-{digest.hexdigest()[:12]}"


def cache() -> Path:
    """Where the programs are kept."""
    given = os.environ.get("TESTS_STACK_CACHE")
    shared = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(given) if given else Path(shared, "otel-django-stack")


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Two test runs at once build a program once."""
    with lock.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(program: Program, binary: Path) -> None:
    print(f"building {binary}", flush=True)
    sources = _collector_sources if program.module == "collector" else _copied
    with tempfile.TemporaryDirectory(prefix="otel-django-build-") as folder:
        _go_build(program, sources(program.module, Path(folder)), Path(folder, "built"))
        # Beside the others under its name only when it is whole.
        shutil.move(Path(folder, "built"), binary.with_suffix(".new"))
    binary.with_suffix(".new").replace(binary)


def _go_build(program: Program, source: Path, binary: Path) -> None:
    linked = f"-s -w {program.linked}".strip()
    command = ["go", "build", *FLAGS, "-mod=readonly", "-ldflags", linked, "-o", str(binary)]
    subprocess.run([*command, program.package], cwd=source, check=True)


def _copied(module: str, folder: Path) -> Path:
    """Away from the tree, so that no work space of Go's around it has a say."""
    return Path(shutil.copytree(HERE / module, folder / module))


def _collector_sources(module: str, folder: Path) -> Path:
    """What the builder makes of its configuration, with our lock files."""
    source = _copied(module, folder)
    options = ["--config", "builder-config.yaml", "--skip-compilation", "--skip-get-modules"]
    subprocess.run([str(path_of("builder")), *options], cwd=source, check=True)
    generated = source / "generated"
    for lock in ("go.mod", "go.sum"):
        shutil.copy(source / lock, generated / lock)
    return generated
