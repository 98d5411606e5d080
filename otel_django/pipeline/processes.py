"""Fork and exit: who is told, and how a process ends without losing what waits.

Hooks are set once a process and stay; they do nothing when there is nothing to do.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType


class ProcessHooks:
    """Calls ``on_exit`` when the process ends in an orderly way and ``on_fork`` in a child.

    Orderly is: the end of the program, ``sys.exit``, a multiprocessing child's end, and SIGTERM
    where nobody else handles it (the process still dies of it, after ``on_exit``, or after
    ``limit_s`` if that hangs).
    """

    def __init__(
        self, *, on_exit: Callable[[], None], on_fork: Callable[[], None], limit_s: float
    ) -> None:
        self._on_exit = on_exit
        self._on_fork = on_fork
        self._limit_s = limit_s
        self._active = False

    def install(self) -> None:
        """Set the hooks; a second call changes nothing."""
        if self._active:
            return
        self._active = True
        atexit.register(self._exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)
        self._watch_multiprocessing()
        self._watch_uwsgi()
        self._handle_sigterm()

    def uninstall(self) -> None:
        """Do nothing from now on (a fork hook can't be taken back)."""
        self._active = False
        atexit.unregister(self._exit)
        with contextlib.suppress(ValueError):
            if signal.getsignal(signal.SIGTERM) == self._terminate:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _exit(self) -> None:
        if self._active:
            self._on_exit()

    def _forked(self) -> None:
        if not self._active:
            return
        self._on_fork()
        self._watch_multiprocessing()

    def _watch_multiprocessing(self) -> None:
        util = sys.modules.get("multiprocessing.util")
        if util is not None:
            # multiprocessing's children leave by os._exit and run only its own finalizers. A child
            # clears their registry when it begins, after fork hooks; then these call-backs run.
            util.register_after_fork(self, ProcessHooks._finalize)
            if self._is_multiprocessing_child():
                self._finalize()  # made after that: a forkserver's child imports the site itself

    def _is_multiprocessing_child(self) -> bool:
        process = sys.modules.get("multiprocessing.process")
        return process is not None and process.parent_process() is not None

    def _finalize(self) -> None:
        from multiprocessing import util

        util.Finalize(None, self._exit, exitpriority=0)

    def _watch_uwsgi(self) -> None:
        """uWSGI calls this before it finalizes the interpreter, and where it doesn't at all."""
        uwsgi = sys.modules.get("uwsgi")
        if uwsgi is not None and not hasattr(uwsgi, "atexit"):
            uwsgi.atexit = self._exit  # type: ignore[attr-defined]

    def _handle_sigterm(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        if "uwsgi" in sys.modules:
            return  # its handlers are C's: Python doesn't see them, and its own would never run
        with contextlib.suppress(ValueError, OSError):
            if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
                signal.signal(signal.SIGTERM, self._terminate)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        """Flush, then die of the signal as the process would have without us.

        On another thread, and for a limited time: what the signal interrupted here may hold a lock
        that is needed.
        """
        try:
            flushing = threading.Thread(target=self._exit, name="otel_django exit", daemon=True)
            flushing.start()
            flushing.join(self._limit_s)
        finally:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
