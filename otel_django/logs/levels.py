"""Levels that are changed while processes run, for all processes of the host.

They lie in a small file in the run folder: ``{"shop.orders": {"level": "debug", "until": 1.8e9}}``,
or ``{"shop.orders": "debug"}`` where they stay. Each process looks at it every second. A level
taken back, or whose time is over, is again what it was.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from otel_django import guard
from otel_django.logs.severity import LEVELS, level_beside, level_named, name_of_level
from otel_django.private_folder import give_to_owner_above, make_private_folder

FILE_NAME: Final = "log-levels.json"
SAME_STEP_S: Final = 2.0
"""A signal that was sent to several processes at once is one step."""
_MOST_BYTES: Final = 65_536


class Changed(NamedTuple):
    """One of ``LEVELS``, in force until ``until_s`` (since the epoch); None: until it's changed."""

    level: str
    until_s: float | None = None


def set_level(run_dir: Path, logger: str, level: str | None, *, for_s: float | None = None) -> None:
    """Give ``logger`` ("" is the root) this level in every process of the host, ``for_s`` seconds.

    ``level`` is one of ``LEVELS``; None: what it was. In force within a second or two.

    Raises:
        ValueError: for another level.
        OSError: when the file can't be written.
    """
    change_levels(run_dir, {logger: level}, for_s=for_s)


def change_levels(
    run_dir: Path, wanted: Mapping[str, str | None], *, for_s: float | None = None
) -> None:
    """``set_level`` for several loggers at once."""
    until_s = None if for_s is None else time.time() + for_s
    make_private_folder(run_dir)
    found = levels(run_dir)
    for logger, level in wanted.items():
        if level is None:
            found.pop(logger, None)
        else:
            found[logger] = Changed(name_of_level(level_named(level)), until_s)
    _write(run_dir / FILE_NAME, found)


def levels(run_dir: Path, now_s: float | None = None) -> dict[str, Changed]:
    """The levels that are changed now, by logger; none where the file can't be read."""
    if now_s is None:
        now_s = time.time()
    try:
        with (run_dir / FILE_NAME).open("rb") as file:
            found = json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    read = {str(logger): _read(value) for logger, value in found.items()}
    return {
        logger: changed
        for logger, changed in read.items()
        if changed is not None and (changed.until_s is None or now_s < changed.until_s)
    }


def _read(value: Any) -> Changed | None:
    level, until_s = value, None
    if isinstance(value, dict):
        level, until_s = value.get("level"), value.get("until")
    if not isinstance(level, str) or level.lower() not in LEVELS:
        return None
    if until_s is not None and not isinstance(until_s, int | float):
        return None
    return Changed(level.lower(), until_s)


def _write(path: Path, wanted: Mapping[str, Changed]) -> None:
    content = {
        logger: changed.level
        if changed.until_s is None
        else {"level": changed.level, "until": changed.until_s}
        for logger, changed in wanted.items()
    }
    fd, draft = tempfile.mkstemp(prefix=f".{FILE_NAME}-", dir=path.parent)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump(content, file)
        give_to_owner_above(Path(draft))
        os.replace(draft, path)  # noqa: PTH105 - a plain string from tempfile
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)  # noqa: PTH108
        raise


class Overrides:
    """The changed levels as they are in force in this process."""

    def __init__(self, run_dir: Path, now_s: Callable[[], float] = time.time) -> None:
        self._run_dir = run_dir
        self._now_s = now_s
        self._seen: tuple[int, int] | None = None
        self._written: tuple[int, int] | None = None
        self._ends_s = float("inf")
        self._in_force: dict[str, int] = {}
        self._before: dict[str, int] = {}

    def look(self) -> None:
        """Put into force what has changed in the file; never raises."""
        with guard.guarded("logs.levels"):
            seen = self._file_seen()
            now_s = self._now_s()
            if seen != self._seen or now_s >= self._ends_s:
                self._seen = seen
                self._apply(levels(self._run_dir, now_s) if seen else {})
            elif self._in_force:
                self._set_levels()  # loggers have come, or were put elsewhere

    def want(self, record: logging.LogRecord) -> bool:
        """Whether a record below the threshold is asked for by a changed level."""
        if not self._in_force:
            return False
        level = self._changed_for(record.name)
        return level is not None and record.levelno >= level

    def step(self, loggers: Iterable[str], *, more: bool, threshold: int) -> dict[str, str]:
        """Have each logger tell one level more, or less, in every process of the host.

        ``threshold`` is the least that this process tells where nothing is changed. Returns what
        they tell from now on; nothing where another process has just changed levels.

        Raises:
            OSError: when the file can't be written.
        """
        seen = self._file_seen()
        if seen and seen != self._written and self._now_s() - seen[0] / 1e9 < SAME_STEP_S:
            return {}
        self.look()
        found: dict[str, str] = {}
        wanted: dict[str, str | None] = {}
        for name in loggers:
            if name in self._before and name not in self._in_force:
                continue  # it follows one above it
            usual = max(self._usual_level(name), threshold)
            changed = self._changed_for(name)
            level = level_beside(usual if changed is None else changed, more=more)
            is_changed_above = bool(name) and self._changed_for(_above(name)) is not None
            found[name] = name_of_level(level)
            wanted[name] = None if level == usual and not is_changed_above else found[name]
        change_levels(self._run_dir, wanted)
        self._written = self._file_seen()
        self.look()
        return found

    def undo(self) -> None:
        """Every level as it was."""
        self._apply({})
        self._seen = None

    def _file_seen(self) -> tuple[int, int] | None:
        try:
            status = (self._run_dir / FILE_NAME).stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino

    def _changed_for(self, name: str) -> int | None:
        """The changed level that counts for a logger: its own, or the next one's above it."""
        in_force = self._in_force
        while name:
            if name in in_force:
                return in_force[name]
            name = _above(name)
        return in_force.get("")

    def _usual_level(self, name: str) -> int:
        logger: logging.Logger | None = logging.getLogger(name)
        while logger is not None:
            own = "" if logger.parent is None else logger.name
            level = self._before.get(own, logger.level)
            if level:
                return level
            logger = logger.parent
        return logging.NOTSET

    def _apply(self, wanted: Mapping[str, Changed]) -> None:
        self._in_force = {name: level_named(changed.level) for name, changed in wanted.items()}
        ends = (changed.until_s for changed in wanted.values() if changed.until_s is not None)
        self._ends_s = min(ends, default=float("inf"))
        self._set_levels()

    def _set_levels(self) -> None:
        wanted = {**self._in_force, **dict(self._of_those_put_elsewhere())}
        for name in self._before.keys() - wanted.keys():
            logging.getLogger(name).setLevel(self._before.pop(name))
        for name, level in wanted.items():
            logger = logging.getLogger(name)
            self._before.setdefault(name, logger.level)
            if logger.level != level:
                logger.setLevel(level)

    def _of_those_put_elsewhere(self) -> Iterator[tuple[str, int]]:
        """Celery puts the loggers of tasks below its own: they don't follow their packages'."""
        for name, logger in list(logging.root.manager.loggerDict.items()):
            if name in self._in_force or not isinstance(logger, logging.Logger):
                continue
            elsewhere = logger.parent and not _is_above(logger.parent.name, name)
            if elsewhere and logger.parent is not logging.root:
                above = [one for one in self._in_force if one and _is_above(one, name)]
                if above:
                    yield name, self._in_force[max(above, key=len)]


def _is_above(name: str, other: str) -> bool:
    return other.startswith(f"{name}.")


def _above(name: str) -> str:
    return name.rpartition(".")[0]
