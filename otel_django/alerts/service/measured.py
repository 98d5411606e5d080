"""What rules are evaluated on: Prometheus or the embedded store, as the settings say.

For want of both it is a small store of the service, which holds metrics only: the sums of this
host's processes, from the run folder.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from otel_django.alerts.reading import StoreSource
from otel_django.backends.embedded_errors import EmbeddedErrorReader
from otel_django.backends.embedded_metrics import EmbeddedMetricReader
from otel_django.backends.read_from import ReadFrom
from otel_django.errors import ReadError
from otel_django.metrics import active

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from otel_django.clock import Clock
    from otel_django.conf import Settings

NAME: Final = "alerts.sqlite3"
EVERY_S: Final = 10.0
"""How often the host's sums are taken."""


class Measured:
    """``resolved`` says when groups of errors were dealt with, in nanoseconds."""

    def __init__(
        self,
        settings: Settings,
        folder: Path | None,
        *,
        clock: Clock,
        resolved: Callable[[], Mapping[str, int]],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._resolved = resolved
        has_source = settings.store is not None or "prometheus" in settings.read_from
        self._own = None if has_source or folder is None else folder / NAME
        self._taking = threading.Lock()
        self._writer: Any = None

    @property
    def path(self) -> Path | None:
        """The store's file; None: there is none."""
        return self._settings.store or (None if active.host() is None else self._own)

    @property
    def is_anything(self) -> bool:
        """Whether there is anything to evaluate rules on."""
        return "prometheus" in self._settings.read_from or self.path is not None

    @property
    def is_own(self) -> bool:
        """Whether ``take`` is to be called."""
        return self._own is not None

    def source(self) -> StoreSource:
        """For one evaluation.

        Raises:
            ReadError: nothing is measured here.
        """
        known = self._resolved()
        path = self.path
        if "prometheus" in self._settings.read_from:
            # Loki tells what was seen in a range, not whether it was for the first time.
            errors = None if path is None else EmbeddedErrorReader(path)
            metrics = ReadFrom(self._settings).metrics()
            return StoreSource(metrics, errors, resolved=lambda _: known)
        if path is None:
            raise ReadError("Nothing is measured here.")
        return StoreSource(
            EmbeddedMetricReader(path), EmbeddedErrorReader(path), resolved=lambda _: known
        )

    def take(self) -> None:
        """Keep the host's sums as they are now.

        Raises:
            ReadError: they could not be read just now.
        """
        host = active.host()
        if self._own is None or host is None:
            return
        with self._taking:
            if self._writer is None:
                self._writer = self._made(self._own)
            self._writer.take(host.read())
            self._writer.poll(self._clock.monotonic_s())

    def close(self, within_s: float) -> None:
        """Close the file, unless sums are still being taken after ``within_s``."""
        if self._taking.acquire(timeout=within_s):
            try:
                if self._writer is not None:
                    self._writer.close(self._clock.monotonic_s())
                    self._writer = None
            finally:
                self._taking.release()

    def _made(self, path: Path) -> Any:
        from otel_django.pipeline.drops import Drops
        from otel_django.store.sinks import sinks

        return sinks(path, self._settings, Drops(), lambda: None)["metrics"][0]
