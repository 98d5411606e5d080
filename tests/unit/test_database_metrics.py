"""What is measured of database calls, with SQLite."""

from __future__ import annotations

import dataclasses
import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import (
    IntegrityError,
    OperationalError,
    close_old_connections,
    connection,
    transaction,
)
from django.test import Client
from opentelemetry import context as context_api
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import SpanKind

from otel_django import conf
from otel_django import metric_definitions as metrics
from otel_django.instrumentation.database import DatabaseInstrumentation
from otel_django.metric_points import HistogramPoint
from otel_django.tracing import current
from tests.metrics_kit import Measured
from tests.requests_kit import traced_requests
from tests.site.models import Author
from tests.tracing_kit import Collected

pytestmark = pytest.mark.usefixtures("database")

DURATION = metrics.DB_CLIENT_OPERATION_DURATION
SAMPLERS = ["always_on", "always_off", "nothing current"]


@contextmanager
def measuring(sampler: str = "nothing current", **changes: Any) -> Iterator[Measured]:
    """Inside a request that is recorded, one that isn't, or none."""
    measured = Measured()
    collected = Collected("always_on" if sampler == "nothing current" else sampler)
    instrumentation = DatabaseInstrumentation()
    instrumentation.measure_with(measured.recorder)
    settings = conf.load({}, {}, base_dir=None, debug=False, settings_module=None)
    instrumentation.install(collected.tracer, replaced(settings, **changes))
    token = None
    if sampler != "nothing current":
        root = collected.tracer.begin_local_root("request", SpanKind.SERVER, {})
        token = current.attach(root)
    try:
        yield measured
    finally:
        if token is not None:
            current.detach(token)
        instrumentation.uninstall()


def replaced(settings: conf.Settings, **changes: Any) -> conf.Settings:
    if dataclasses.is_dataclass(settings):
        return dataclasses.replace(settings, **changes)
    return settings._replace(**changes)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_call_is_measured_once_recorded_or_not(migrated: Path, sampler: str) -> None:
    with measuring(sampler) as measured:
        Author.objects.create(name="x")
        list(Author.objects.all())
        list(Author.objects.filter(name="y"))
        Author.objects.filter(name="x").first()
        for _ in Author.objects.iterator():
            pass
        with connection.cursor() as cursor:
            cursor.executemany("UPDATE test_site_author SET name = %s", [("a",), ("b",)])
            cursor.execute("SELECT 1")
            assert list(cursor) == [(1,)]
        del cursor
        gc.collect()
        counts = measured.counts(DURATION)

    name = migrated.name
    assert counts == {
        ("sqlite", name, "INSERT", "test_site_author", None): 1,
        ("sqlite", name, "SELECT", "test_site_author", None): 4,
        ("sqlite", name, "BATCH UPDATE", "test_site_author", None): 1,
        ("sqlite", name, "SELECT", None, None): 1,
    }


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_call_that_fails_says_why(sampler: str) -> None:
    author = Author.objects.create(name="x")
    with measuring(sampler) as measured:
        with pytest.raises(IntegrityError), transaction.atomic():
            Author.objects.create(pk=author.pk, name="twice")
        with pytest.raises(OperationalError), connection.cursor() as cursor:
            cursor.execute("SELECT nothing FROM nowhere")
        counts = measured.counts(DURATION, "db.operation.name", "error.type")

    assert counts["INSERT", "django.db.utils.IntegrityError"] == 1
    assert counts["SELECT", "django.db.utils.OperationalError"] == 1


@pytest.mark.parametrize("sampler", ["always_on", "always_off"])
def test_fetching_is_part_of_a_query(sampler: str) -> None:
    rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) "
    with measuring(sampler) as measured:
        with connection.cursor() as cursor:
            cursor.execute(rows + "SELECT i FROM n WHERE i % 100000 = 0")
            assert len(cursor.fetchall()) == 3
            executed = sum(measured.sums(DURATION).values())
            cursor.execute("SELECT count(*) FROM test_site_author")
            cursor.fetchall()
        quick = sum(measured.sums(DURATION).values()) - executed

    assert executed > 10 * quick


def test_D2_the_buckets_are_those_of_seconds() -> None:
    with measuring() as measured:
        list(Author.objects.all())
        (metric,) = [each for each in measured.recorder.collect() if each.name == DURATION.name]

    assert metric.unit == "s"
    assert metric.bounds == (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
    (point,) = metric.points
    assert isinstance(point, HistogramPoint)
    assert point.counts[-1] == 0


def test_a_recorded_query_is_an_exemplar() -> None:
    with measuring("always_on") as measured:
        list(Author.objects.all())
        trace_id = current.recording_span()._context[0]  # type: ignore[union-attr]
        (point,) = measured.points(DURATION).values()

    assert [each.trace_id for each in point.exemplars] == [trace_id]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_slow_queries_are_counted_by_alias(sampler: str) -> None:
    with measuring(sampler, slow_query_s=0.0) as measured:
        list(Author.objects.all())
        counts = measured.counts(metrics.DJANGO_DB_SLOW_QUERIES)
    with measuring(sampler, slow_query_s=60.0) as quick:
        list(Author.objects.all())
        assert quick.counts(metrics.DJANGO_DB_SLOW_QUERIES) == {}

    assert counts == {("default",): 1}


def test_what_is_suppressed_is_not_measured() -> None:
    with measuring() as measured, suppress_instrumentation():
        list(Author.objects.all())
        with transaction.atomic():
            pass
    assert measured.counts(DURATION) == {}
    assert not context_api.get_value("suppress_instrumentation")


@pytest.mark.parametrize("sampler", ["always_on", "always_off"])
def test_a_request_knows_its_queries_and_their_time(sampler: str) -> None:
    Author.objects.create(name="x")
    with measuring() as measured, traced_requests(sampler, recorder=measured.recorder):
        Client().get("/plain/")
        Client().get("/queries/3/")
        queries = measured.sums(metrics.DJANGO_REQUEST_DB_QUERIES)
        seconds = measured.sums(metrics.DJANGO_REQUEST_DB_DURATION)
        spent = measured.sums(DURATION, "db.collection.name")

    route = "/queries/<int:count>/"
    assert queries == {("/plain/", "GET"): 0, (route, "GET"): 3}
    assert seconds == {(route, "GET"): pytest.approx(spent["test_site_author",])}


def test_connections_are_counted_while_they_are_open() -> None:
    def count(measured: Measured) -> dict[tuple[Any, ...], float]:
        return measured.counts(metrics.DB_CLIENT_CONNECTION_COUNT)

    with measuring() as measured:
        found: list[dict[tuple[Any, ...], float]] = []

        def work() -> None:
            list(Author.objects.all())
            found.append(count(measured))
            close_old_connections()
            found.append(count(measured))
            connection.close()

        before = count(measured)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        gc.collect()
        after = count(measured)

    assert before == {}
    assert found[0] == {("used", "default"): 1, ("idle", "default"): 0}
    assert after in ({}, {("used", "default"): 0, ("idle", "default"): 0})


def test_connections_that_fail_are_counted(tmp_path: Path) -> None:
    from django.db import connections

    broken = connections.create_connection("default")
    broken.settings_dict = {**broken.settings_dict, "NAME": str(tmp_path / "no" / "folder")}
    with measuring() as measured:
        with pytest.raises(OperationalError):
            broken.ensure_connection()
        assert measured.counts(metrics.DJANGO_DB_CONNECTION_ERRORS) == {("default",): 1}
