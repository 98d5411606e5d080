"""Instrumentors of OpenTelemetry's that record what we record: one of the two has to give way.

They are looked for among what is imported already, and stopped when they are imported later;
nothing is imported for it.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from otel_django import guard
from otel_django.instrumentation.on_import import when_imported
from otel_django.instrumentation.patching import Patches

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.contracts import Instrumentation
    from otel_django.metrics.recorder import Recorder
    from otel_django.tracing.tracer import Tracer

_logger = logging.getLogger(guard.LOGGER_NAME)


class Rival(NamedTuple):
    """An instrumentor: its module and class, and the module whose ``connect`` it replaces."""

    module: str
    name: str
    driver: str = ""

    def instrumentor(self) -> Any:
        """The class, None unless it is imported."""
        return getattr(sys.modules.get(self.module), self.name, None)


_PACKAGE = "opentelemetry.instrumentation"

DJANGO = (Rival(f"{_PACKAGE}.django", "DjangoInstrumentor"),)
CELERY = (Rival(f"{_PACKAGE}.celery", "CeleryInstrumentor"),)
DATABASES = (
    Rival(f"{_PACKAGE}.sqlite3", "SQLite3Instrumentor", "sqlite3"),
    Rival(f"{_PACKAGE}.psycopg", "PsycopgInstrumentor", "psycopg"),
    Rival(f"{_PACKAGE}.psycopg2", "Psycopg2Instrumentor", "psycopg2"),
    Rival(f"{_PACKAGE}.mysql", "MySQLInstrumentor", "mysql.connector"),
    Rival(f"{_PACKAGE}.mysqlclient", "MySQLClientInstrumentor", "MySQLdb"),
    Rival(f"{_PACKAGE}.pymysql", "PyMySQLInstrumentor", "pymysql"),
)


def switched_on() -> tuple[str, ...]:
    """The names of those that are on now: where ours is installed, there are none."""
    on = ((rival.name, rival.instrumentor()) for rival in (*DJANGO, *CELERY, *DATABASES))
    return tuple(name for name, made in on if made is not None and _is_on(made))


class InsteadOf:
    """``ours`` in place of its rivals, or nothing where one of them can't be switched off.

    ``keeps_them`` is the setting that leaves the rivals in place. A rival that was on when ours
    came stays off when ours goes: what it was switched on with isn't known.
    """

    def __init__(self, ours: Instrumentation, rivals: tuple[Rival, ...], keeps_them: str) -> None:
        self._ours = ours
        self._rivals = rivals
        self._keeps_them = keeps_them
        self._patches = Patches()
        self._waiting: list[Callable[[], None]] = []

    def measure_with(self, recorder: Recorder) -> None:
        """Have ours measure, if it does."""
        if hasattr(self._ours, "measure_with"):
            self._ours.measure_with(recorder)

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Switch the rivals off, keep them off, and install ours."""
        if not self._give_way():
            return
        self._ours.install(tracer, settings)
        if not self._waiting:
            self._waiting = [
                when_imported(rival.module, functools.partial(self._stop, rival))
                for rival in self._rivals
            ]

    def uninstall(self) -> None:
        """Uninstall ours; the rivals may be switched on again."""
        while self._waiting:
            self._waiting.pop()()
        self._patches.undo()
        self._ours.uninstall()

    def _give_way(self) -> bool:
        """Switch off the rivals that are on: all, or none where one of them can't be."""
        off: list[Rival] = []
        for rival in self._rivals:
            instrumentor = rival.instrumentor()
            if instrumentor is None or not _is_on(instrumentor):
                continue
            if not _switched_off(instrumentor(), rival.driver):
                _logger.warning(
                    "%s can't be switched off; otel_django leaves to it what it records.",
                    rival.name,
                )
                for each in off:
                    each.instrumentor()().instrument()
                return False
            off.append(rival)
        if off:
            _logger.warning(
                "Switched off, since otel_django records the same itself: %s. %s keeps it.",
                ", ".join(rival.name for rival in off),
                self._keeps_them,
            )
        return True

    def _stop(self, rival: Rival) -> None:
        """From now on the rival's ``instrument`` does nothing."""
        instrumentor = rival.instrumentor()
        if instrumentor is not None:
            self._patches.set(instrumentor, "instrument", _refusing(rival, self._keeps_them))


def _is_on(instrumentor: Any) -> bool:
    made = instrumentor._instance
    return made is not None and bool(made.is_instrumented_by_opentelemetry)


def _switched_off(instrumentor: Any, driver: str) -> bool:
    """Switch it off; False when it fails, or can't get at its wrapper below somebody else's."""
    before = _connect(driver)
    try:
        instrumentor.uninstrument()
    except Exception:
        return False
    return before is None or _connect(driver) is not before


def _connect(driver: str) -> Any | None:
    return getattr(sys.modules.get(driver), "connect", None)


def _refusing(rival: Rival, keeps_them: str) -> Callable[..., None]:
    said: list[str] = []

    def instrument(self: Any, **kwargs: Any) -> None:
        if not said:
            said.append(rival.name)
            _logger.warning(
                "Not switched on, since otel_django records the same itself: %s. %s lets it.",
                rival.name,
                keeps_them,
            )

    return instrument
