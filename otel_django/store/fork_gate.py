"""SQLite and fork: no connection of ours is open in the process while it forks.

A connection carried across a fork takes its locks for held in the child, where they are not: the
file can be damaged (https://www.sqlite.org/howtocorrupt.html, 2.6). So a fork waits for
statements that run (a second at most), idle connections are closed before it, and opened again
after it by whoever needs one. Where that can't be done (a server that forks past Python's hooks,
as uWSGI does without ``--enable-threads --py-call-osafterfork``), the child goes without the store.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator
from typing import Protocol

from otel_django.errors import StoreError
from otel_django.fork_gate import ForkGate

MAX_WAIT_S = 1.0


class _Holder(Protocol):
    def release(self) -> None:
        """Close the idle connection."""
        ...


class StoreGate(ForkGate):
    """Keeps count of connections; one a process, shared by writers and readers."""

    def __init__(self) -> None:
        self._open = 0
        self._holders: weakref.WeakSet[_Holder] = weakref.WeakSet()
        self._unsafe = False
        super().__init__(MAX_WAIT_S)

    @contextlib.contextmanager
    def using(self) -> Iterator[None]:
        """Around everything that talks to SQLite; StoreError in a child that must not."""
        self.check_process()
        if self._unsafe:
            raise StoreError(
                "this process was forked while the store was open; it goes without the store. "
                "Fork before the first request, or let the server run Python's fork hooks"
            )
        with super().using():
            yield

    def opened(self, holder: _Holder | None = None) -> None:
        """A connection was opened; ``holder`` is asked to release it before a fork."""
        with self._changed:
            self._open += 1
            if holder is not None:
                self._holders.add(holder)

    def closed(self) -> None:
        """A connection was closed."""
        with self._changed:
            self._open -= 1

    def before_fork(self) -> None:
        """Close idle connections, if all are."""
        super().before_fork()
        if not self._users:
            for holder in list(self._holders):
                holder.release()

    def in_child(self) -> None:
        """No store where a connection was open."""
        self._unsafe = self._unsafe or self._open > 0
        self._open = 0
        super().in_child()


GATE = StoreGate()
