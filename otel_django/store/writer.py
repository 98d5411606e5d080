"""The sinks that write spans and log records to the embedded store."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_django.clock import SYSTEM_CLOCK, Clock
from otel_django.log_record import LogRecord
from otel_django.store import log_schema, schema
from otel_django.store.batch_writer import MAX_WAITING, BatchWriter, DropCounter
from otel_django.store.file import StoreFile
from otel_django.store.log_rows import LogPacker
from otel_django.store.rows import Packer
from otel_django.store.slices import Limits

if TYPE_CHECKING:
    from otel_django.store.span_like import SpanLike

    _SpanWriter = BatchWriter[SpanLike]
else:
    _SpanWriter = BatchWriter

MAX_WAITING_SPANS: Final = MAX_WAITING


def _give_way() -> None:
    time.sleep(0)


class StoreWriter(_SpanWriter):
    """Writes spans to the store at ``path``; ``file`` is for the writers of other signals.

    Args:
        path: the file; its folder is made when missing.
        retention_hours, max_mb: how much is kept; the file may exceed ``max_mb`` for a moment.
        drops: told what is lost.
        pause: gives up the interpreter lock; called at least every 0.25 ms of Python work.
        fts: whether to index words; None: if this SQLite can.
        metrics_retention_hours: how long metrics are kept, if shorter.
    """

    def __init__(
        self,
        path: Path,
        *,
        retention_hours: float,
        max_mb: float,
        drops: DropCounter,
        clock: Clock = SYSTEM_CLOCK,
        pause: Callable[[], None] = _give_way,
        fts: bool | None = None,
        migrations: tuple[tuple[str, ...], ...] = schema.MIGRATIONS,
        metrics_retention_hours: float | None = None,
    ) -> None:
        limits = Limits.of(retention_hours, max_mb, metrics_retention_hours)
        file = StoreFile(path, limits, clock=clock, fts=fts, migrations=migrations)
        packer = Packer(pause, file.exceptions)
        super().__init__(file, packer, schema.ingest, signal="traces", drops=drops, clock=clock)

    @property
    def path(self) -> Path:
        """The file."""
        return self.file.path

    @property
    def problem(self) -> str | None:
        """Why the store is off; None: it isn't."""
        return self.file.problem


class LogWriter(BatchWriter[LogRecord]):
    """Writes log records to the file of a ``StoreWriter``."""

    def __init__(
        self,
        file: StoreFile,
        *,
        drops: DropCounter,
        clock: Clock = SYSTEM_CLOCK,
        pause: Callable[[], None] = _give_way,
    ) -> None:
        packer = LogPacker(pause, file.exceptions)
        super().__init__(file, packer, log_schema.ingest, signal="logs", drops=drops, clock=clock)
