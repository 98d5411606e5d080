"""Threads of ours in a process that isn't ours."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Final

_FAULTS: Final = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGTRAP", "SIGSYS")
"""They concern the thread they come to; faulthandler wants to tell of them."""


def start(run: Callable[[], None], name: str) -> threading.Thread:
    """Run it on a new daemon thread that no signal comes to.

    A main thread blocks a signal for as long as it must not be interrupted: with another thread to
    take it the process would end all the same. (Celery's children hold the lock of the queue of
    results then; ended inside, they leave it locked, and the worker never stops.)

    Raises:
        RuntimeError: no thread can be started (any more).
    """
    starter = threading.get_native_id()

    def run_undisturbed() -> None:
        if threading.get_native_id() != starter:  # gevent and eventlet start a greenlet instead
            _take_no_signals()
        run()

    thread = threading.Thread(target=run_undisturbed, name=name, daemon=True)
    thread.start()
    return thread


def _take_no_signals() -> None:
    if hasattr(signal, "pthread_sigmask"):
        faults = {getattr(signal, name) for name in _FAULTS if hasattr(signal, name)}
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - faults)
