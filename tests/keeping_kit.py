"""Alerts to keep, and a database and a folder to keep them in."""

from __future__ import annotations

import atexit
import contextlib
import functools
import resource
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import connections

from otel_django.alerts.keeping.asking import Asker
from otel_django.alerts.keeping.contract import Attempt, Entry, Event, Fence, Outgoing
from otel_django.alerts.keeping.database import AlertDatabase
from otel_django.alerts.keeping.journal import Journal
from otel_django.alerts.keeping.keeper import AlertKeeper
from otel_django.alerts.state import Acknowledgement, Alert, Key
from otel_django.alerts.telling import Told
from otel_django.models import Lease
from tests.site.databases import database_alias

ALIAS = "alerts"
SQLITE = "django.db.backends.sqlite3"
FENCE = Fence("alerts", "me")
NOW_MS = 1_795_000_000_000
FAR_MS = 4_000_000_000_000


def key(name: str = "HighCpu", severity: Any = "critical", **labels: str) -> Key:
    return Key(name, severity, tuple(sorted(labels.items())))


def entry(
    of: Key | None = None,
    state: Any = "firing",
    since_ms: int = NOW_MS,
    at_ms: int | None = None,
    **more: Any,
) -> Entry:
    alert = Alert(
        of or key(),
        state,
        since_ms,
        97.5,
        since_ms,
        fired_ms=None if state == "pending" else since_ms,
        resolved_ms=since_ms + 60_000 if state == "resolved" else None,
        changes=() if state == "pending" else (since_ms,),
    )
    return Entry(alert, since_ms if at_ms is None else at_ms, message="CPU is 97.5 %", **more)


def taken(one: Entry, by: str = "ann", at_ms: int = NOW_MS + 1) -> Entry:
    return replace(one, alert=replace(one.alert, acknowledged=Acknowledgement(by, at_ms, "on it")))


def told(one: Entry, at_ms: int = NOW_MS) -> Entry:
    return replace(one, told=Told("firing", at_ms))


def event(number: int = 1, **more: Any) -> Event:
    return Event(f"event-{number}", NOW_MS + number, "fired", rule="HighCpu", **more)


def outgoing(
    name: str = "n1", channel: str = "slack", at_ms: int = NOW_MS, **more: Any
) -> Outgoing:
    values: dict[str, Any] = {"kind": "fired", "severity": "critical", "document": {"name": name}}
    return Outgoing(name, channel, created_ms=at_ms, due_ms=at_ms, **{**values, **more})


def delivered(name: str = "n1", channel: str = "slack", at_ms: int = NOW_MS + 5) -> Attempt:
    return Attempt(name, channel, at_ms, "delivered", "200")


@contextlib.contextmanager
def kept_in(**where: Any) -> Iterator[None]:
    """The tables, in a database of the test's own."""
    with database_alias(ALIAS, **where):
        call_command("migrate", "otel_django", database=ALIAS, verbosity=0)
        _lead()
        yield
        call_command("migrate", "otel_django", "zero", database=ALIAS, verbosity=0)


@contextlib.contextmanager
def kept_in_sqlite(folder: Path) -> Iterator[None]:
    """As ``kept_in``, in a copy of a file that was migrated once."""
    path = folder / "alerts.sqlite3"
    shutil.copy(_migrated(), path)
    with database_alias(ALIAS, ENGINE=SQLITE, NAME=str(path)):
        _lead()
        yield


@functools.cache
def _migrated() -> Path:
    path = Path(tempfile.mkdtemp(prefix="otel-django-alerts-")) / "alerts.sqlite3"
    atexit.register(shutil.rmtree, path.parent, ignore_errors=True)
    with database_alias(ALIAS, ENGINE=SQLITE, NAME=str(path)):
        call_command("migrate", "otel_django", database=ALIAS, verbosity=0)
    return path


def _lead() -> None:
    leases = Lease._base_manager.using(ALIAS)
    leases.create(name=FENCE.lease, owner=FENCE.owner, until_ms=FAR_MS)


def keeper(folder: Path, patience_s: float = 5.0) -> AlertKeeper:
    """A database that was away is asked again at once."""
    asker = Asker(patience_s=patience_s, retry_s=0.0)
    return AlertKeeper(AlertDatabase(ALIAS), Journal(folder / "journal"), asker)


@contextlib.contextmanager
def away() -> Iterator[None]:
    """Nobody can reach the database meanwhile."""
    settings: dict[str, Any] = connections.settings[ALIAS]
    name = settings["NAME"]
    settings["NAME"] = "/nonexistent/alerts.sqlite3"
    try:
        yield
    finally:
        settings["NAME"] = name


@contextlib.contextmanager
def full_disk(size_bytes: int) -> Iterator[None]:
    """No file can become longer; a part of what is written before is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
