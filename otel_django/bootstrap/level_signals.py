"""Two real-time signals have the site's loggers tell a level more, or less."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any, Final

from otel_django import guard, own_thread
from otel_django.host_environment import current_process, has_greenlets

if TYPE_CHECKING:
    from otel_django.bootstrap.process import Runtime
    from otel_django.conf import Settings
    from otel_django.tracing.tracer import Tracer

MORE: Final = 1
"""Above ``SIGRTMIN``, of which no server or worker uses any."""
LESS: Final = 2


class LevelSignals:
    """Listens in servers and workers, on signals that nobody else listens to."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._taken: list[int] = []

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Listen; a second call changes nothing."""
        first = getattr(signal, "SIGRTMIN", None)
        if first is None or self._taken or self._runtime.records.journal is None:
            return
        if (
            current_process().kind != "server"
            or threading.current_thread() is not threading.main_thread()
        ):
            return
        for above in (MORE, LESS):
            if signal.getsignal(first + above) is signal.SIG_DFL:
                signal.signal(first + above, self._come)
                self._taken.append(first + above)

    def uninstall(self) -> None:
        """Listen no more; on the main thread."""
        while self._taken:
            number = self._taken.pop()
            if signal.getsignal(number) == self._come:
                with guard.guarded("levels.uninstall"):
                    signal.signal(number, signal.SIG_DFL)

    def _come(self, number: int, frame: Any) -> None:
        """In the middle of whatever the main thread does: it may hold any lock."""
        with guard.guarded("levels.signal"):
            self._runtime.records.step(more=number == signal.SIGRTMIN + MORE)
            if not has_greenlets():  # a hub must not wait; the worker looks once a second anyway
                own_thread.start(self._runtime.worker.wake, "otel_django-levels")
