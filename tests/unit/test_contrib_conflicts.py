"""OpenTelemetry's instrumentors give way to ours, whenever they are switched on."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection

from otel_django import conf, names
from otel_django.instrumentation.contrib_conflicts import DATABASES, DJANGO, InsteadOf
from tests.site.databases import database_alias
from tests.tracing_kit import Collected

CONTRIB_PATH = Path(__file__).parents[1] / "contrib_path"
SQLITE = "opentelemetry.instrumentation.sqlite3"
KEEPS = "SETTING=value"


class Ours:
    """An instrumentation that notes what becomes of it."""

    def __init__(self) -> None:
        self.installed = False

    def install(self, tracer: Any, settings: Any) -> None:
        self.installed = True

    def uninstall(self) -> None:
        self.installed = False


@pytest.fixture
def sqlite_instrumentor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What gives the class, imported when it is called."""
    if importlib.util.find_spec(SQLITE) is None:
        monkeypatch.syspath_prepend(str(CONTRIB_PATH))
    connect = sqlite3.connect
    yield lambda: importlib.import_module(SQLITE).SQLite3Instrumentor
    sys.modules.pop(SQLITE, None)
    sqlite3.connect = sqlite3.dbapi2.connect = connect


@pytest.fixture
def ours() -> Ours:
    return Ours()


@pytest.fixture
def instead(ours: Ours) -> Iterator[InsteadOf]:
    instead = InsteadOf(ours, (*DATABASES, *DJANGO), KEEPS)
    yield instead
    instead.uninstall()


def install(instead: InsteadOf) -> None:
    instead.install(Collected().tracer, conf.from_django())


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == "otel_django"]


def test_one_that_is_on_is_switched_off_and_said(
    instead: InsteadOf, ours: Ours, sqlite_instrumentor: Any, caplog: pytest.LogCaptureFixture
) -> None:
    plain = sqlite3.connect
    sqlite_instrumentor()().instrument()
    assert sqlite3.connect is not plain
    install(instead)
    install(instead)
    assert sqlite3.connect is plain
    assert ours.installed
    (line,) = said(caplog)
    assert "SQLite3Instrumentor" in line
    assert KEEPS in line


def test_one_that_is_switched_on_later_stays_off_until_ours_is_gone(
    instead: InsteadOf, ours: Ours, sqlite_instrumentor: Any, caplog: pytest.LogCaptureFixture
) -> None:
    plain = sqlite3.connect
    install(instead)
    instrumentor = sqlite_instrumentor()()
    instrumentor.instrument()
    instrumentor.instrument()
    assert sqlite3.connect is plain
    assert not instrumentor.is_instrumented_by_opentelemetry
    (line,) = said(caplog)
    assert "SQLite3Instrumentor" in line
    assert KEEPS in line

    instead.uninstall()
    instrumentor.instrument()
    assert sqlite3.connect is not plain
    instrumentor.uninstrument()


def test_where_one_cannot_be_switched_off_ours_stays_away(
    instead: InsteadOf, ours: Ours, sqlite_instrumentor: Any, caplog: pytest.LogCaptureFixture
) -> None:
    django = importlib.import_module(DJANGO[0].module).DjangoInstrumentor()
    sqlite = sqlite_instrumentor()()
    before = InsteadOf(ours, (*DJANGO, *DATABASES), KEEPS)
    django.instrument()
    sqlite.instrument()
    wrapped = sqlite3.connect

    def patched_on_top(*args: Any, **kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    sqlite3.connect = patched_on_top
    try:
        install(before)
        assert not ours.installed
        assert django.is_instrumented_by_opentelemetry
        (line,) = said(caplog)
        assert "SQLite3Instrumentor can't be switched off" in line
    finally:
        before.uninstall()
        django.uninstrument()


def test_djangos_middleware_is_taken_out(instead: InsteadOf, ours: Ours) -> None:
    middleware = list(django_settings.MIDDLEWARE)
    instrumentor = importlib.import_module(DJANGO[0].module).DjangoInstrumentor()
    instrumentor.instrument()
    assert middleware != django_settings.MIDDLEWARE
    install(instead)
    instrumentor.instrument()
    assert middleware == django_settings.MIDDLEWARE
    assert ours.installed


def test_nothing_is_imported_for_it(instead: InsteadOf) -> None:
    before = set(sys.modules)
    install(instead)
    assert not {name for name in set(sys.modules) - before if "instrumentation" in name}


def test_a_query_through_an_instrumented_driver_has_one_span(
    sqlite_instrumentor: Any, caplog: pytest.LogCaptureFixture
) -> None:
    from opentelemetry.trace import SpanKind, use_span

    from otel_django.instrumentation.database import DatabaseInstrumentation

    caplog.set_level(logging.ERROR)
    collected = Collected()
    theirs = Collected()
    sqlite_instrumentor()().instrument(tracer_provider=theirs.provider)
    instead = InsteadOf(DatabaseInstrumentation(), DATABASES, KEEPS)
    instead.install(collected.tracer, conf.from_django())
    try:
        root = collected.tracer.begin_local_root("request", SpanKind.SERVER, {})
        with (
            database_alias("fresh", **connection.settings_dict) as fresh,
            use_span(root),
            fresh.cursor() as cursor,
        ):
            cursor.execute("SELECT 1")
    finally:
        instead.uninstall()
    assert [span.name for span in collected.spans if names.DB_QUERY_TEXT in span._attributes] == [
        "SELECT"
    ]
    assert theirs.spans == []
