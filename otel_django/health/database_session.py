"""A connection to a database that a health check has for itself.

Django's own could be in the middle of anything, and would wait for as long as its driver likes.
Nobody's hooks run: neither Django's signals nor wrappers of its cursors.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any, Final, NamedTuple, TypeAlias

from otel_django.health import postgresql_session
from otel_django.health.database_errors import refused
from otel_django.health.failure_words import in_words
from otel_django.health.results import CheckError
from otel_django.host_environment import current_process

Rows: TypeAlias = Callable[[str], list[tuple[Any, ...]]]
_NO_DATABASE: Final = "django.db.backends.dummy"


class Session(NamedTuple):
    """``rows`` runs a statement and gives its rows; values may be text, whatever their type.

    It raises CheckError when the statement fails or the time is up. ``quoted`` quotes a name.
    ``began_s`` is when connecting began, by ``time.monotonic``.
    """

    vendor: str
    rows: Rows
    quoted: Callable[[str], str]
    began_s: float


def aliases() -> list[str]:
    """Those that name a database; in a test run, the mirrors are the databases they mirror."""
    from django.db import connections

    named = [
        alias for alias in connections if connections.settings[alias]["ENGINE"] != _NO_DATABASE
    ]
    return _without_replicas(named) if current_process().kind == "test" else named


def primary_aliases() -> list[str]:
    """Those that aren't replicas of another, which is said by their ``TEST`` settings' mirror."""
    return _without_replicas(aliases())


def _without_replicas(named: list[str]) -> list[str]:
    from django.db import connections

    return [name for name in named if not connections.settings[name].get("TEST", {}).get("MIRROR")]


def load_drivers() -> None:
    """Import what ``session`` needs."""
    for alias in aliases():
        _wrapper(alias)


@contextmanager
def session(alias: str, timeout_s: float) -> Iterator[Session]:
    """Connect; each statement is a transaction of its own.

    With PostgreSQL the whole block has ``timeout_s``, with MySQL each answer has half of it and at
    least a second, with SQLite each wait for a lock. Others keep to what their settings say.

    Raises:
        CheckError: why it can't be reached.
    """
    try:
        wrapper = _wrapper(alias)
        params = wrapper.get_connection_params()
    except Exception as error:
        raise CheckError("Its settings can't be used.") from error
    began_s = monotonic()
    opened = _postgresql if wrapper.vendor == "postgresql" else _plain
    with opened(wrapper, params, timeout_s) as rows:
        yield Session(wrapper.vendor, rows, wrapper.ops.quote_name, began_s)


@contextmanager
def _postgresql(wrapper: Any, params: dict[str, Any], timeout_s: float) -> Iterator[Rows]:
    with postgresql_session.session(params, timeout_s) as rows:
        role = wrapper.settings_dict["OPTIONS"].get("assume_role")
        if role:
            rows(f"SET ROLE {wrapper.ops.quote_name(role)}")
        yield rows


@contextmanager
def _plain(wrapper: Any, params: dict[str, Any], timeout_s: float) -> Iterator[Rows]:
    if wrapper.vendor == "mysql":
        params.update(_mysql_timeouts(wrapper, timeout_s / 2))
    elif wrapper.vendor == "sqlite":
        _must_exist(params["database"])
        params["timeout"] = timeout_s
    try:
        connection = wrapper.get_new_connection(params)
    except Exception as error:
        raise CheckError(in_words(error)) from error
    try:
        yield lambda sql: _rows(connection, sql)
    finally:
        with suppress(Exception):
            connection.close()


def _wrapper(alias: str) -> Any:
    """One that shares nothing with the site's, not even its pool."""
    from django.db import connections
    from django.db.utils import load_backend

    settings = copy.deepcopy(connections.settings[alias])
    settings["OPTIONS"].pop("pool", None)
    return load_backend(settings["ENGINE"]).DatabaseWrapper(settings, alias)


def _mysql_timeouts(wrapper: Any, step_s: float) -> dict[str, float | str]:
    driver = wrapper.Database.__name__.partition(".")[0]
    if driver not in {"MySQLdb", "pymysql"}:
        return {}
    whole_s = max(1, math.floor(step_s))  # mysqlclient takes no fractions
    return {
        "connect_timeout": whole_s,
        "read_timeout": whole_s,
        "write_timeout": whole_s,
        # one that waits for a lock doesn't notice that its client is gone
        "init_command": f"SET lock_wait_timeout={whole_s}, innodb_lock_wait_timeout={whole_s}",
    }


def _must_exist(database: object) -> None:
    """To connect would make it."""
    name = str(database)
    if name != ":memory:" and not name.startswith("file:") and not Path(name).exists():
        raise CheckError("Its file isn't there.")


def _rows(connection: Any, sql: str) -> list[tuple[Any, ...]]:
    try:
        with closing(connection.cursor()) as cursor:
            cursor.execute(sql)
            if cursor.description is not None:
                return [tuple(row) for row in cursor.fetchall()]
        connection.commit()
    except Exception as error:
        raise refused(error) from error
    return []
