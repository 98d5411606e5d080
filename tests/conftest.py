"""Django set up once for the in-process tests; nothing of OpenTelemetry starts by itself."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
import hypothesis
import pytest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
for name in [name for name in os.environ if name.startswith("OTEL_")]:
    del os.environ[name]  # the tests' own settings only
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So it is behind nohup and "&": servers that the tests start would not hear Ctrl-C either.
    signal.signal(signal.SIGINT, signal.default_int_handler)
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.pop("TESTS_BASE_DIR", None)  # a folder for each, which it may delete at its end


def pytest_configure() -> None:
    from django.db.backends.signals import connection_created

    django.setup()
    connection_created.connect(_without_waiting_for_the_disk)
    hypothesis.settings.register_profile("tests", deadline=None)  # the machine may be busy
    hypothesis.settings.load_profile("tests")


def _without_waiting_for_the_disk(connection: Any, **_: Any) -> None:
    if connection.vendor == "sqlite":
        connection.connection.execute("PRAGMA synchronous = OFF")


def pytest_unconfigure() -> None:
    from django.conf import settings

    if settings.BASE_DIR.name.startswith("otel-django-tests-"):
        shutil.rmtree(settings.BASE_DIR, ignore_errors=True)


@pytest.fixture(autouse=True)
def at_the_root() -> Iterator[None]:
    """A request below a prefix leaves that to its thread, where ``reverse`` would add it."""
    from django.urls import clear_script_prefix

    yield
    clear_script_prefix()


@pytest.fixture(scope="session")
def migrated() -> Path:
    """The site's SQLite database with its tables; returns its file."""
    from django.conf import settings
    from django.core.management import call_command

    call_command("migrate", verbosity=0, run_syncdb=True)
    return Path(settings.DATABASES["default"]["NAME"])


@pytest.fixture
def database(migrated: Path) -> None:
    """Tables that are empty when the test begins, but for content types and permissions."""
    from django.core.management.color import no_style
    from django.db import connection

    tables = {*connection.introspection.django_table_names(only_existing=True, include_views=False)}
    filled = tables - {"django_content_type", "auth_permission"}
    connection.ops.execute_sql_flush(
        connection.ops.sql_flush(no_style(), sorted(filled), reset_sequences=True)
    )


@pytest.fixture
def settings_changed() -> Any:
    """Django's ``override_settings``, for tests that change settings."""
    from django.test import override_settings

    return override_settings


@pytest.fixture
def database_queries() -> Any:
    """A context manager that yields the list of SQL run in its block."""

    @contextmanager
    def collect() -> Iterator[list[str]]:
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        queries: list[str] = []
        with CaptureQueriesContext(connection) as captured:
            yield queries
        queries.extend(query["sql"] for query in captured.captured_queries)

    return collect
