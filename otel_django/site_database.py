"""The site's database as threads of ours use it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.db import NotSupportedError, connections
from django.db.models import BigIntegerField, Func
from django.db.utils import Error
from django.utils.connection import ConnectionDoesNotExist

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

AWAY = (Error, ImproperlyConfigured, ConnectionDoesNotExist)
"""What comes of a database that can't be used; their texts may hold a password."""


class NowMs(Func):
    """Milliseconds since the epoch, by the clock of the database and at this moment."""

    output_field = BigIntegerField()

    def as_sql(self, *args: Any, **kwargs: Any) -> Any:
        """Of a database whose clock isn't known here."""
        raise NotSupportedError("otel_django doesn't know this database's clock")

    def as_sqlite(self, *args: Any, **kwargs: Any) -> Any:
        """SQLite."""
        return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)", ()

    def as_postgresql(self, *args: Any, **kwargs: Any) -> Any:
        """PostgreSQL."""
        return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)", ()

    def as_mysql(self, *args: Any, **kwargs: Any) -> Any:
        """MySQL and MariaDB; without summer time."""
        return "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) DIV 1000)", ()


@contextlib.contextmanager
def connected(alias: str) -> Iterator[BaseDatabaseWrapper]:
    """The calling thread's connection, in autocommit, closed afterwards: for threads of ours."""
    connection = connections[alias]
    try:
        connection.ensure_connection()
        if not connection.get_autocommit():
            connection.set_autocommit(True)
        yield connection
    finally:
        connection.close()
