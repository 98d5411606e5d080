"""What is observed outside the process: who looks at what, and where it is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_django import host_environment
from otel_django.clock import SYSTEM_CLOCK
from otel_django.observers.active import interval_s_of

if TYPE_CHECKING:
    from collections.abc import Container

    from otel_django.bootstrap.process import Runtime
    from otel_django.conf import Settings
    from otel_django.contracts import Instrumentation, Observer
    from otel_django.observers.board import Board
    from otel_django.observers.folder_board import FolderBoard
    from otel_django.observers.places import Places
    from otel_django.observers.runner import Runner
    from otel_django.tracing.tracer import Tracer

TIMEOUT_S: Final = 5.0
NAME: Final = "celery_observers"
FIGURES: Final = "service_figures"
"""In OTEL_PYTHON_DISABLED_INSTRUMENTATIONS."""


class Observers:
    """Where a host's metrics are kept, ``instrumentations`` listen and the thread's runner looks.

    An instrumentation itself, the last one of them.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.instrumentations: tuple[Instrumentation, ...] = ()
        self._runner: Runner | None = None
        disabled = runtime.settings.disabled_instrumentations
        if runtime.metrics.host is not None and "*" not in disabled:
            self._make(runtime, disabled)

    def _make(self, runtime: Runtime, disabled: Container[str]) -> None:
        from otel_django.observers.database_board import DatabaseBoard
        from otel_django.observers.places import Places
        from otel_django.observers.runner import Runner

        settings = runtime.settings
        places = Places(DatabaseBoard(settings.database), lambda: _folder(settings))
        observers: tuple[Observer, ...] = ()
        if NAME not in disabled:
            observers = self._of_celery(runtime, places)
        if FIGURES not in disabled:
            observers = (*observers, *_of_services(settings))
        if not observers:
            return
        self._runner = Runner(
            observers,
            places,
            clock=SYSTEM_CLOCK,
            recorder=runtime.metrics.recorder,
            may_run=_is_server,
        )
        runtime.worker.add_polled(self._runner)
        self.instrumentations = (*self.instrumentations, self)

    def _of_celery(self, runtime: Runtime, places: Places) -> tuple[Observer, ...]:
        """Its observers; some of them listen, too."""
        from otel_django.observers.celery_beat import CeleryBeat
        from otel_django.observers.celery_beat_presence import BeatPresence
        from otel_django.observers.celery_beats import CeleryBeats
        from otel_django.observers.celery_presence import CeleryPresence
        from otel_django.observers.celery_queues import CeleryQueues
        from otel_django.observers.celery_workers import CeleryWorkers

        interval_s = interval_s_of(runtime.settings)

        def board() -> Board | None:
            return places.deployment(SYSTEM_CLOCK.monotonic_s())

        presence = CeleryPresence(
            interval_s, TIMEOUT_S, heard=runtime.worker.wake, leaving=self._hurry
        )
        sender = CeleryBeat()
        beat = BeatPresence(
            interval_s, TIMEOUT_S, heard=runtime.worker.wake, sending=lambda: sender.sending
        )
        self.instrumentations = (sender, beat, presence)
        workers = CeleryWorkers(interval_s, TIMEOUT_S, board, stuck_s=runtime.settings.stuck_s)
        beats = CeleryBeats(interval_s, TIMEOUT_S, board)
        queues = CeleryQueues(interval_s, TIMEOUT_S, workers.queues)
        return beat, presence, beats, workers, queues

    def _hurry(self) -> None:
        if self._runner is not None:
            self._runner.hurry()

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Have the rest of the process know of what is seen."""
        from otel_django.observers import active

        active.set_runner(self._runner)

    def uninstall(self) -> None:
        """Nothing is seen any more."""
        from otel_django.observers import active

        active.set_runner(None)


def _of_services(settings: Settings) -> tuple[Observer, ...]:
    from otel_django.health.service_figures import DatabaseSizes, RedisFigures

    interval_s = settings.collection_interval_s
    return DatabaseSizes(interval_s, TIMEOUT_S), RedisFigures(interval_s, TIMEOUT_S)


def _folder(settings: Settings) -> FolderBoard | None:
    from otel_django.metrics.host_folder import usable_folder
    from otel_django.observers.folder_board import FolderBoard

    folder = usable_folder(settings.run_dir, settings.service_name, pause=_nothing)
    return None if folder is None else FolderBoard(folder)


def _is_server() -> bool:
    return host_environment.current_process().kind == "server"


def _nothing() -> None:
    """Is to be let go on."""
