"""SQLite and fork: no connection of ours is open in the process while it forks.

A connection carried across a fork takes its locks for held in the child, where they are not: the
file can be damaged (https://www.sqlite.org/howtocorrupt.html, 2.6). So a fork waits for
statements that run (a second at most), idle connections are closed before it, and opened again
after it by whoever needs one. Where that can't be done (a server that forks past Python's hooks,
as uWSGI does without ``--enable-threads --py-call-osafterfork``), the child goes without the store.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Protocol

from otel_django.errors import StoreError

MAX_WAIT_S = 1.0


class _Holder(Protocol):
    def release(self) -> None:
        """Close the idle connection."""
        ...


class ForkGate:
    """Keeps count of connections; one a process, shared by writers and readers."""

    def __init__(self) -> None:
        self._reset()
        self._holders: weakref.WeakSet[_Holder] = weakref.WeakSet()
        self._hooked = False
        self._unsafe = False

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._users = 0
        self._open = 0
        self._forking = False

    @contextlib.contextmanager
    def using(self) -> Iterator[None]:
        """Around everything that talks to SQLite; StoreError in a child that must not."""
        self._check_process()
        with self._changed:
            self._hook()
            self._changed.wait_for(lambda: not self._forking, MAX_WAIT_S)
            self._users += 1
        try:
            yield
        finally:
            with self._changed:
                self._users -= 1
                self._changed.notify_all()

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

    def _hook(self) -> None:
        if not self._hooked and hasattr(os, "register_at_fork"):
            self._hooked = True
            os.register_at_fork(
                before=self._before, after_in_parent=self._in_parent, after_in_child=self._in_child
            )

    def _check_process(self) -> None:
        if self._pid != os.getpid():  # forked past the hooks
            self._in_child()
        if self._unsafe:
            raise StoreError(
                "this process was forked while the store was open; it goes without the store. "
                "Fork before the first request, or let the server run Python's fork hooks"
            )

    def _before(self) -> None:
        deadline = time.monotonic() + MAX_WAIT_S
        with self._changed:
            self._forking = True
            self._changed.wait_for(lambda: not self._users, deadline - time.monotonic())
            idle = not self._users
        if idle:
            for holder in list(self._holders):
                holder.release()

    def _in_parent(self) -> None:
        with self._changed:
            self._forking = False
            self._changed.notify_all()

    def _in_child(self) -> None:
        self._unsafe = self._unsafe or self._open > 0
        self._reset()


GATE = ForkGate()
