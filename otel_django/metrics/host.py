"""The sums of all processes of a service on this host, which one of them exports."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from otel_django import guard
from otel_django.errors import ReadError
from otel_django.metric_definitions import OBSERVED
from otel_django.metric_points import ResourceMetrics
from otel_django.metrics.election import Election
from otel_django.metrics.exporting import Export, Exporting, ResourceOf
from otel_django.metrics.host_table import HOST_ROLE, Table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from otel_django.clock import Clock
    from otel_django.metric_points import AttributeValue, Metric
    from otel_django.metrics.host_folder import HostFolder, ProcessFile
    from otel_django.metrics.recorder import Recorder

_logger = logging.getLogger(guard.LOGGER_NAME)
FLUSH_S: Final = 1.0
"""After the first measurement: what a process loses that is killed."""
IDLE_FLUSH_S: Final = 15.0
"""What is observed, such as memory, changes without a measurement."""
LOOK_S: Final = 2.0
"""How often a process looks whether it is to export."""
EARLY_S: Final = 1.0
"""So much sooner it looks if it is awake anyway: that spares it waking up for this."""
FOLD_S: Final = 5.0
LOCK_S: Final = 2.0
HOST_METRICS: Final = (
    "system.",
    "health.check.status",
    "health.score",
    "django.api.active_clients",
    *(definition.name for definition in OBSERVED),
)
"""What one process says of the whole host, or more; these names begin so."""


class HostMetrics:
    """Shows this process's sums to the others, and reads those of all.

    A ``Sink`` that is polled, and is given nothing. ``open_folder`` gives the folder, or None
    where there can't be one: then a process knows of itself only, and exports for itself, with the
    resource of ``alone``. ``wake`` has ``poll`` called soon. ``on_fork`` is called where this finds
    itself in a forked child that nobody told it of; it has ``after_fork`` called.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        role: str,
        open_folder: Callable[[], HostFolder | None],
        resource_of: ResourceOf,
        alone: ResourceOf,
        exports: Sequence[Export] = (),
        limit: int,
        clock: Clock,
        pause: Callable[[], object],
        wake: Callable[[], object],
        on_fork: Callable[[], object],
    ) -> None:
        self._recorder = recorder
        self._role = role
        self._open_folder = open_folder
        self._resource_of = resource_of
        self._alone = alone
        self._limit = limit
        self._clock = clock
        self._pause = pause
        self._wake = wake
        self._on_fork = on_fork
        self._exporting = Exporting(exports, resource_of=self._resource, pause=pause)
        self._election = Election()
        self._folder: HostFolder | None = None
        self._start_ns = clock.now_ns()
        self._said: set[str] = set()
        self._begin()

    def _begin(self) -> None:
        """Nothing of this process is shown yet."""
        self._pid = os.getpid()
        self._writing = threading.Lock()
        self._writer = 0
        self._own: ProcessFile | None = None
        self._opened = self._folder is not None
        self._shown = False
        self._flush_due_s = self._clock.monotonic_s() + IDLE_FLUSH_S
        self._runs = False
        self._left = False
        self._measured_s: float | None = None
        self._look_due_s = 0.0
        self._fold_due_s = 0.0
        self._flushed_ns = 0

    @property
    def elected(self) -> bool:
        """Whether this process exports, and observes what only one a host is to observe."""
        return self._election.held

    def measured(self) -> None:
        """The first measurement since the last flush was taken (the recorder's ``wake``)."""
        self._check_fork()
        self._runs = True
        self._measured_s = self._clock.monotonic_s()
        self._wake()

    # --- this process's sums

    def flush(self, deadline_s: float | None = None) -> bool:
        """Show the others what was measured so far; as a sink, export it if that is ours to do."""
        self._check_fork()
        if not self._runs and deadline_s is not None:
            return True
        self._flush()
        if deadline_s is not None:
            self._look(self._clock.monotonic_s())
            if self.elected:
                self._export(self._exporting.exports)
        return True

    def hold(self) -> None:
        """The process may be killed: show the others its sums at once."""
        self._check_fork()
        if self._runs:
            self._flush()

    def _flush(self) -> None:
        if self._writer == threading.get_ident():
            return  # a signal's handler has interrupted this very function
        if not self._writing.acquire(timeout=LOCK_S):
            return  # whoever holds it is in the middle of this, on another thread
        self._writer = threading.get_ident()
        try:
            if self._left:
                return
            self._runs = True
            self._measured_s = None
            now_ns = self._clock.now_ns()
            metrics = self._by_role(self._changes())
            if (metrics or self._own is not None) and self._folder_is_open():
                self._write(metrics, now_ns)
                # Whoever begins to read after this time finds it.
                self._flushed_ns = self._clock.now_ns()
        finally:
            self._flush_due_s = self._clock.monotonic_s() + IDLE_FLUSH_S
            self._writer = 0
            self._writing.release()

    def _changes(self) -> tuple[Metric, ...]:
        """What the file doesn't hold yet: all, where it can't be known."""
        if self._shown and self._own is not None and self._own.file.is_at(self._own.path):
            self._shown = False  # until it is written
            return self._recorder.changes(self._pause)
        return self._recorder.collect(self._pause)

    def _by_role(self, metrics: Iterable[Metric]) -> list[tuple[str, Metric]]:
        return [
            (HOST_ROLE if metric.name.startswith(HOST_METRICS) else self._role, metric)
            for metric in metrics
        ]

    def _folder_is_open(self) -> bool:
        if not self._opened:
            self._opened = True
            self._folder = self._exporting.folder = self._open_folder()
            if self._folder is None:
                _logger.warning(
                    "No folder can be written in which the processes of this host add up their "
                    "metrics: each is on its own. OTEL_DJANGO_RUN_DIR says where to look."
                )
        return self._folder is not None

    def _write(self, metrics: list[tuple[str, Metric]], now_ns: int) -> None:
        assert self._folder is not None  # noqa: S101 - for the type checker
        try:
            if self._own is not None and not self._own.file.is_at(self._own.path):
                self._leave()
            had_file = self._own is not None
            if self._own is None:
                self._own = self._folder.create()
            self._own.file.write(metrics, now_ns)
            self._shown = had_file  # a new one may have been taken away's, and given changes only
        except OSError as error:
            if "write" not in self._said:
                self._said.add("write")
                _logger.warning("Sums can't be shown to other processes of this host: %s", error)

    def _leave(self) -> None:
        if self._own is not None:
            self._own.file.close()
            self._own = None

    # --- all processes' sums

    def read(self) -> tuple[ResourceMetrics, ...]:
        """The sums of all processes, this one's up to now, one entry a role.

        Raises:
            ReadError: they could not be read as a whole just now.
        """
        self.flush()
        with self._writing:
            self._folder_is_open()  # with nothing to show, too
        return tuple(
            ResourceMetrics(self._resource(role), metrics)
            for role, metrics in self._table().metrics(self._clock.now_ns()).items()
        )

    def _table(self) -> Table:
        folder = self._folder
        table = Table(self._start_ns, self._pause) if folder is None else folder.read()
        if self._own is None and not self._left:
            own = self._by_role(self._recorder.collect(self._pause))
            table.add_metrics(own, self._clock.now_ns())
        table.drop_outdated()
        table.limit(self._limit)
        return table

    def _resource(self, role: str) -> Mapping[str, AttributeValue]:
        return (self._alone if self._folder is None else self._resource_of)(role)

    # --- on the worker thread

    def poll(self, now_s: float) -> float | None:
        """Flush, stand for election, export and fold, as each is due."""
        self._check_fork()
        self._runs = True
        if now_s >= self._next_flush_s():
            self._flush()
        if now_s >= self._look_due_s - EARLY_S:
            self._look_due_s = now_s + LOOK_S
            self._look(now_s)
        if self.elected:
            self._export(self._exporting.due(now_s))
            self._fold(now_s)
        return self._wanted_s() - now_s

    def _next_flush_s(self) -> float:
        measured_s = self._measured_s
        due_s = self._flush_due_s
        return due_s if measured_s is None else min(due_s, measured_s + FLUSH_S)

    def _wanted_s(self) -> float:
        wanted_s = min(self._look_due_s, self._next_flush_s())
        return min(wanted_s, self._exporting.next_s()) if self.elected else wanted_s

    def _look(self, now_s: float) -> None:
        """Whether this process is to export. One that has measured nothing yet isn't asked."""
        if not self._opened:
            return
        with self._reported("metrics.election"):
            if self._election.stand(self._folder):
                self._exporting.begin(now_s, self._clock.now_ns())

    def _fold(self, now_s: float) -> None:
        if self._folder is not None and now_s >= self._fold_due_s:
            self._fold_due_s = now_s + FOLD_S
            with self._reported("metrics.fold"):
                self._folder.fold(self._limit)

    def _export(self, exports: Sequence[Export]) -> None:
        if not exports:
            return
        with self._reported("metrics.export"):
            self._flush()
            now_s, now_ns = self._clock.monotonic_s(), self._clock.now_ns()
            table = self._table()
            for export in exports:
                self._exporting.send(export, table, now_s, now_ns)

    @contextlib.contextmanager
    def _reported(self, where: str) -> Iterator[None]:
        """The disk's faults are no faults of ours: the next time may go well."""
        try:
            yield
        except (OSError, ReadError) as error:
            if where not in self._said:
                self._said.add(where)
                _logger.warning("otel_django will try again later: %s: %s", where, error)
        except Exception:
            guard.caught(where)

    # --- the end

    def close(self, deadline_s: float) -> None:
        """Flush. The last process of the host exports what was not exported, and folds it all."""
        self._check_fork()
        if not self._runs or self._left:
            return  # what is observed of a process that did nothing is of no use
        self._flush()
        if self._folder is None and self._opened:
            self._export(self._exporting.exports)
        own = self._own.path if self._own is not None else None
        self._left = True  # a second file of the same sums would count them twice
        with self._writing:
            self._leave()
        if self._folder is not None and self._flushed_ns:
            with self._reported("metrics.close"):
                self._end(self._folder, own, deadline_s)
        self._election.release()

    def _end(self, folder: HostFolder, own: Path | None, deadline_s: float) -> None:
        """Processes that end at once all look, and the last one finds no other.

        What those wrote that found this one still there is older than its leaving.
        """
        left_ns = self._clock.now_ns()
        while not (others := folder.others_live(own)):
            if others is False and (self._election.held or self._election.stand(folder)):
                self._export(self._exporting.unsent(left_ns))
                folder.fold(self._limit)
                return
            if self._clock.monotonic_s() >= deadline_s:
                return
            time.sleep(0.01)

    def accept(self, batch: Sequence[object]) -> None:
        """Nothing comes this way."""

    def spill(self, batch: Sequence[object]) -> None:
        """Nothing comes this way."""

    # --- fork

    def _check_fork(self) -> None:
        """uWSGI's children may not have been told."""
        if self._pid != os.getpid():
            self._on_fork()

    def after_fork(self) -> None:
        """In a forked child: let go of the parent's file and lock, show nothing yet."""
        self._leave()
        self._election.after_fork()
        self._begin()
