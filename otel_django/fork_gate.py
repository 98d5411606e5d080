"""What mustn't be under way in a process while it forks: a fork waits for it, for a while."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator


class ForkGate:
    """Counts the threads inside ``using``: a fork waits for them, new ones wait for the fork.

    Neither waits longer than ``max_wait_s``, and nobody for itself. Python's fork hooks are set
    when it is first used; a child that was forked past them (uWSGI's can be) is noticed as well.
    """

    def __init__(self, max_wait_s: float) -> None:
        self.max_wait_s = max_wait_s
        self._hooked = False
        self._users: list[int] = []
        self._reset()

    def _reset(self) -> None:
        me = threading.get_ident()
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._users = [user for user in self._users if user == me]  # the others aren't in a child
        self._forks = 0

    @contextlib.contextmanager
    def using(self) -> Iterator[None]:
        """Around what a fork would cut."""
        me = threading.get_ident()
        self.check_process()
        with self._changed:
            self._hook()
            self._changed.wait_for(lambda: not self._forks, self.max_wait_s)
            self._users.append(me)
        try:
            yield
        finally:
            with self._changed:
                self._users.remove(me)
                self._changed.notify_all()

    def _hook(self) -> None:
        if not self._hooked and hasattr(os, "register_at_fork"):
            self._hooked = True
            os.register_at_fork(
                before=self.before_fork,
                after_in_parent=self.in_parent,
                after_in_child=self.in_child,
            )

    def check_process(self) -> None:
        """Notice a fork past the hooks."""
        if self._pid != os.getpid():
            self.in_child()

    def before_fork(self) -> None:
        """Wait for the other threads inside."""
        me = threading.get_ident()
        with self._changed:
            self._forks += 1
            self._changed.wait_for(
                lambda: all(user == me for user in self._users), self.patience_s()
            )

    def patience_s(self) -> float:
        """How long a fork that begins now waits."""
        return self.max_wait_s

    def in_parent(self) -> None:
        """Let those in who wait for the fork."""
        with self._changed:
            self._forks -= 1
            self._changed.notify_all()

    def in_child(self) -> None:
        """Only the thread that forked is here."""
        self._reset()
