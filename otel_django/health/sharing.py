"""What a host's processes share: what each check found last, and who is asking again.

In the run folder ``health-NAME.lock`` is locked by the process that asks, and holds since when. A
lock ends with its process. One that is held far too long belongs to a process that was stopped: its
file is replaced, so that another process may go on.

Times are of the monotonic clock, which all processes of a host share until it is started anew.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_django import host_environment
from otel_django.file_lock import let_go
from otel_django.health.results import VALUES, Result
from otel_django.observers.board import BoardAway
from otel_django.observers.folder_board import FolderBoard

if TYPE_CHECKING:
    from pathlib import Path

    from otel_django.metrics.host_folder import HostFolder

_PREFIX: Final = "health/"


class Kept(NamedTuple):
    """What a check found; ``seen_s`` is when it came back."""

    results: tuple[Result, ...]
    duration_s: float
    seen_s: float


class Busy(NamedTuple):
    """Another process is asking; since when, if that can be told."""

    began_s: float | None


class Sharing:
    """In ``folder``; without one nothing is shared, and each process asks for itself."""

    def __init__(self, folder: HostFolder | None) -> None:
        self._folder = folder
        self._board = None if folder is None else FolderBoard(folder)
        self._boot = host_environment.boot_id()
        self._held: set[int] = set()

    def read(self, name: str) -> Kept | None:
        """What was left last; None where there is nothing that can be read."""
        if self._board is None:
            return None
        try:
            left = self._board.get(_PREFIX + name)
        except (BoardAway, UnicodeDecodeError):
            return None
        return None if left is None else _parsed(left.text, self._boot)

    def claim(self, name: str, now_s: float, patience_s: float) -> Claim | Busy:
        """Be the one who asks, unless another process is, and hasn't been for longer than that."""
        if self._folder is None:
            return Claim(self, name, None)
        try:
            fd = self._folder.lock(_lock_name(name))
            if fd is None:
                path = self._folder.path / _lock_name(name)
                began_s = _read(path)
                if began_s is None or now_s - began_s <= patience_s:
                    return Busy(began_s)
                path.unlink(missing_ok=True)
                fd = self._folder.lock(path.name)
                if fd is None:
                    return Busy(None)
        except OSError:
            return Claim(self, name, None)
        self._held.add(fd)
        _write(fd, repr(now_s))
        return Claim(self, name, fd)

    def holds(self, claim: Claim) -> bool:
        """Whether the lock's file hasn't been replaced."""
        if claim.fd is None or self._folder is None:
            return True
        return self._folder.has(_lock_name(claim.name), claim.fd)

    def leave(self, claim: Claim, kept: Kept) -> None:
        """Show the others what was found."""
        if self._board is not None:
            with contextlib.suppress(BoardAway):
                self._board.post(_PREFIX + claim.name, "", _text(kept, self._boot))

    def release(self, claim: Claim) -> None:
        """Let others ask."""
        fd = claim.fd
        if fd is not None and fd in self._held:
            self._held.discard(fd)
            _write(fd, "")
            let_go(fd)

    def forget(self) -> None:
        """Take away all that was left."""
        if self._board is not None:
            with contextlib.suppress(BoardAway, UnicodeDecodeError):
                for name in self._board.posted(_PREFIX):
                    self._board.remove(_PREFIX + name)

    def after_fork(self) -> None:
        """In a forked child: close the copies; the locks are the parent's."""
        for fd in self._held:
            os.close(fd)
        self._held = set()


class Claim(NamedTuple):
    """The right to ask; ``fd`` None where it is this process's only."""

    sharing: Sharing
    name: str
    fd: int | None

    def is_ours(self) -> bool:
        """Whether no other process has taken it over."""
        return self.sharing.holds(self)

    def leave(self, kept: Kept) -> None:
        """Show the others what was found."""
        self.sharing.leave(self, kept)

    def release(self) -> None:
        """Let others ask; a second call changes nothing."""
        self.sharing.release(self)


def _lock_name(name: str) -> str:
    return f"health-{name}.lock"


def _read(path: Path) -> float | None:
    try:
        return float(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _write(fd: int, text: str) -> None:
    """Replace the content. A full disk costs the others only what is said there."""
    with contextlib.suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, text.encode(), 0)


def _text(kept: Kept, boot: str) -> str:
    rows = [[one.status, one.message, dict(one.observed), one.instance] for one in kept.results]
    return json.dumps([boot, kept.seen_s, kept.duration_s, rows])


def _parsed(text: str, boot: str) -> Kept | None:
    try:
        of_boot, seen_s, duration_s, rows = json.loads(text)
        results = tuple(_result(*row) for row in rows)
    except (ValueError, TypeError):
        return None
    return Kept(results, float(duration_s), float(seen_s)) if of_boot == boot else None


def _result(status: Any, message: str, observed: dict[str, Any], instance: str) -> Result:
    if status not in VALUES:
        raise ValueError(status)
    return Result(status, message, observed, instance)
