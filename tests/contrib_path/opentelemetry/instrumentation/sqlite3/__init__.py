"""SQLite's instrumentor in upstream's shape and place, over upstream's own wrapping of drivers.

Upstream's package isn't published for each release of its family; where it is installed it is used
and not this one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from sqlite3 import dbapi2
from typing import Any

from opentelemetry.instrumentation import dbapi
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]


class SQLite3Instrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Replaces ``connect`` in both modules that have it."""

    def instrumentation_dependencies(self) -> Collection[str]:
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        for module in (sqlite3, dbapi2):
            dbapi.wrap_connect(
                __name__,
                module,  # type: ignore[arg-type]
                "connect",
                "sqlite",
                tracer_provider=kwargs.get("tracer_provider"),
            )

    def _uninstrument(self, **kwargs: Any) -> None:
        for module in (sqlite3, dbapi2):
            dbapi.unwrap_connect(module, "connect")  # type: ignore[arg-type]
