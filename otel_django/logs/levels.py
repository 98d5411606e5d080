"""Levels that are changed while processes run, for all processes of the host.

They lie in a small file in the run folder, ``{"shop.orders": "debug"}``; each process looks at it
every second. A level taken back is again what it was.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Final

from otel_django import guard
from otel_django.logs.severity import LEVELS, level_named
from otel_django.private_folder import give_to_owner_above, make_private_folder

FILE_NAME: Final = "log-levels.json"
_MOST_BYTES: Final = 65_536


def set_level(run_dir: Path, logger: str, level: str | None) -> None:
    """Give ``logger`` ("" is the root) this level in every process of the host.

    ``level`` is one of ``LEVELS``; None: what it was. In force within a second or two.

    Raises:
        ValueError: for another level.
        OSError: when the file can't be written.
    """
    if level is not None:
        level_named(level)
    make_private_folder(run_dir)
    wanted = levels(run_dir)
    if level is None:
        wanted.pop(logger, None)
    else:
        wanted[logger] = level.lower()
    _write(run_dir / FILE_NAME, wanted)


def levels(run_dir: Path) -> dict[str, str]:
    """The levels that are changed now, by logger; none where the file can't be read."""
    try:
        with (run_dir / FILE_NAME).open("rb") as file:
            found = json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        str(logger): level.lower()
        for logger, level in found.items()
        if isinstance(level, str) and level.lower() in LEVELS
    }


def _write(path: Path, wanted: dict[str, str]) -> None:
    fd, draft = tempfile.mkstemp(prefix=f".{FILE_NAME}-", dir=path.parent)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump(wanted, file)
        give_to_owner_above(Path(draft))
        os.replace(draft, path)  # noqa: PTH105 - a plain string from tempfile
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)  # noqa: PTH108
        raise


class Overrides:
    """The changed levels as they are in force in this process."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._seen: tuple[int, int] | None = None
        self._in_force: dict[str, int] = {}
        self._before: dict[str, int] = {}

    def look(self) -> None:
        """Put into force what has changed in the file; never raises."""
        with guard.guarded("logs.levels"):
            try:
                status = (self._run_dir / FILE_NAME).stat()
                seen = (status.st_mtime_ns, status.st_ino)
            except OSError:
                seen = None
            if seen != self._seen:
                self._seen = seen
                self._apply(levels(self._run_dir) if seen else {})

    def want(self, record: logging.LogRecord) -> bool:
        """Whether a record below the threshold is asked for by a changed level."""
        in_force = self._in_force
        if not in_force:
            return False
        name = record.name
        while name:
            if name in in_force:
                return record.levelno >= in_force[name]
            name = name.rpartition(".")[0]
        return "" in in_force and record.levelno >= in_force[""]

    def undo(self) -> None:
        """Every level as it was."""
        self._apply({})
        self._seen = None

    def _apply(self, wanted: dict[str, str]) -> None:
        for name in self._before.keys() - wanted.keys():
            logging.getLogger(name).setLevel(self._before.pop(name))
        for name, level in wanted.items():
            logger = logging.getLogger(name)
            self._before.setdefault(name, logger.level)
            logger.setLevel(level_named(level))
        self._in_force = {name: level_named(level) for name, level in wanted.items()}
