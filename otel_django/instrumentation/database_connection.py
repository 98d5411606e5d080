"""What spans say of a database connection: system, namespace, server, alias."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from otel_django import guard, names
from otel_django.instrumentation.sql import Statement, statements
from otel_django.tracing.span_parts import SharedAttributes

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from otel_django.tracing.limits import Plain

_SYSTEMS = {"oracle": "oracle.db", "microsoft": "microsoft.sql_server"}
_DIALECTS = {"cockroachdb": "postgresql"}
# Drivers that have all rows when execute() returns; the others work on while rows are fetched.
_ROWS_AT_ONCE = frozenset(("postgresql", "mysql", "cockroachdb"))
_WITHOUT_NAMED_CURSORS = frozenset(("sqlite", "mysql", "oracle", "microsoft"))


class Connection:
    """``attributes`` of every span on a connection, and how its statements are read.

    ``fetches``: rows arrive while they are fetched, so that fetching belongs to the query.
    ``names_cursors``: a cursor with a name is a server-side one, which is fetched from likewise.
    """

    __slots__ = ("attributes", "fetches", "names_cursors", "statements")

    def __init__(self, attributes: dict[str, Plain], vendor: str, *, fetches: bool) -> None:
        self.attributes = attributes
        self.statements = statements(_DIALECTS.get(vendor, vendor))
        self.fetches = fetches
        self.names_cursors = vendor not in _WITHOUT_NAMED_CURSORS

    def share(self, statement: Statement) -> SharedAttributes:
        """What all spans say that run ``statement`` here; the statement keeps it."""
        shared = SharedAttributes({**self.attributes, **statement.attributes})
        statement.shared = (self, shared)
        return shared


def describe(db: BaseDatabaseWrapper) -> Connection:
    """Describe Django's connection, without asking the server anything.

    Equal ones (of other threads) are the same object.
    """
    vendor = db.vendor
    attributes: dict[str, Plain] = {names.DB_SYSTEM_NAME: _SYSTEMS.get(vendor, vendor)}
    try:
        known = _BY_VENDOR.get(vendor, _from_settings)(db)
        attributes.update({key: value for key, value in known.items() if value is not None})
    except Exception:
        guard.caught("database.describe")
    attributes[names.DJANGO_DB_ALIAS] = db.alias
    fetches = vendor not in _ROWS_AT_ONCE or _unbuffered(db)
    return _shared(tuple(attributes.items()), vendor, fetches)


@lru_cache(maxsize=64)
def _shared(attributes: tuple[tuple[str, Plain], ...], vendor: str, fetches: bool) -> Connection:
    return Connection(dict(attributes), vendor, fetches=fetches)


def _unbuffered(db: BaseDatabaseWrapper) -> bool:
    """MySQL drivers' unbuffered cursors are SSCursor and SSDictCursor."""
    chosen = db.settings_dict.get("OPTIONS", {}).get("cursorclass")
    return getattr(chosen, "__name__", str(chosen)).rpartition(".")[2].startswith("SS")


def _from_settings(db: BaseDatabaseWrapper) -> dict[str, Plain]:
    settings = db.settings_dict
    name = str(settings.get("NAME") or "")
    return {
        names.DB_NAMESPACE: _plain_name(name),
        names.SERVER_ADDRESS: str(settings.get("HOST") or "") or None,
        names.SERVER_PORT: _port(settings.get("PORT")),
    }


def _plain_name(name: str) -> str | None:
    """A name, not a connection string, which may hold a password."""
    return name if name and not any(mark in name for mark in "=@ :") else None


def _port(value: Any) -> int | None:
    return int(value) if str(value or "").isdigit() else None


def _sqlite(db: BaseDatabaseWrapper) -> dict[str, Plain]:
    """The file's name alone: its folder may tell of a person or a secret."""
    name = str(db.settings_dict.get("NAME") or "")
    if name.startswith("file:"):
        name = unquote(name[5:].partition("?")[0])
    return {names.DB_NAMESPACE: name if name == ":memory:" else PurePath(name).name or None}


def _postgresql(db: BaseDatabaseWrapper) -> dict[str, Plain]:
    """What libpq knows once connected (service files, several hosts), else the settings."""
    known = _from_settings(db)
    info: Any = getattr(db.connection, "info", None)
    with contextlib.suppress(Exception):  # closed, or not by psycopg
        known = {
            names.DB_NAMESPACE: info.dbname,
            names.SERVER_ADDRESS: info.host or None,
            names.SERVER_PORT: info.port,
        }
    if str(known[names.SERVER_ADDRESS] or "/").startswith(("/", "@")):
        known[names.SERVER_PORT] = None  # a Unix socket
    return known


def _mysql(db: BaseDatabaseWrapper) -> dict[str, Plain]:
    """MariaDB tells its name in the handshake; Django's own way to know costs a query."""
    known = _from_settings(db)
    address = known[names.SERVER_ADDRESS] or "localhost"
    known[names.SERVER_ADDRESS] = address
    if str(address).startswith("/"):
        known[names.SERVER_PORT] = None
    elif known[names.SERVER_PORT] is None:
        known[names.SERVER_PORT] = 3306
    server: Callable[[], object] | None = getattr(db.connection, "get_server_info", None)
    if server is not None and "mariadb" in str(server()).lower():
        known[names.DB_SYSTEM_NAME] = "mariadb"
    return known


def _oracle(db: BaseDatabaseWrapper) -> dict[str, Plain]:
    """NAME is a service, an easy-connect text (``host:port/service``) or a whole descriptor."""
    known = _from_settings(db)
    if known[names.DB_NAMESPACE] is None:
        service = str(db.settings_dict.get("NAME") or "").rpartition("/")[2]
        known[names.DB_NAMESPACE] = _plain_name(service)
    return known


_BY_VENDOR: dict[str, Callable[[Any], dict[str, Plain]]] = {
    "sqlite": _sqlite,
    "postgresql": _postgresql,
    "cockroachdb": _postgresql,
    "mysql": _mysql,
    "oracle": _oracle,
}
