"""More database aliases than the site's settings have, for the length of a test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper


@contextlib.contextmanager
def database_alias(alias: str, **settings: Any) -> Iterator[BaseDatabaseWrapper]:
    """A configured alias; its connection of this thread is closed afterwards."""
    databases: dict[str, Any] = connections.settings
    databases[alias] = {**databases["default"], "TEST": {}, "OPTIONS": {}, **settings}
    try:
        yield connections[alias]
    finally:
        BaseDatabaseWrapper.close(connections[alias])  # SQLite's own keeps one in memory open
        del connections[alias]
        del databases[alias]
