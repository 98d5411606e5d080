"""What the JSON endpoints say of a site with some telemetry, and that it is as OpenAPI has it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client, override_settings
from django.urls import path as route
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from docs import openapi
from otel_django import bootstrap, conf, monitoring, names, runtime_state
from otel_django import metric_definitions as metrics
from otel_django.bootstrap.process import Runtime
from otel_django.bootstrap.state import state_of
from otel_django.errors import ReadError
from otel_django.health.results import Result
from otel_django.metric_points import ExponentialPoint
from otel_django.metrics import active
from otel_django.store.writer import LogWriter, StoreWriter
from otel_django.web.metric_sums import Spread, Sums
from otel_django.web.system_health import health_api_view
from tests.endpoints_kit import BODIES, GETS, OPERATIONS, as_sums_of_the_host, by_token
from tests.health_kit import Add, only_checks_of_the_test, site_checks
from tests.prometheus_kit import every_built_in_metric, histogram, metric, number, role
from tests.store_logs import record
from tests.store_spans import MS, Losses, SpanSource, store_path

DOCUMENT = openapi.document()
SLOW = "SELECT id FROM shop_order WHERE note LIKE ?"
QUICK = "SELECT id FROM shop_product WHERE id = ?"


@pytest.fixture(autouse=True)
def sums(migrated: Path) -> Iterator[None]:
    before = active.recorder(), active.host()
    as_sums_of_the_host(every_built_in_metric())
    yield
    active.activate(*before)


@pytest.fixture(autouse=True)
def store(tmp_path: Path) -> Path:
    """An embedded store: one slow statement, forty quick ones, and one that is repeated."""
    file = store_path(tmp_path)
    losses = Losses()
    writer = StoreWriter(file, retention_hours=24, max_mb=64, drops=losses)
    source = SpanSource()
    start = time.time_ns() - 5_000 * MS
    root = source.request(start=start, queries=40, statement=QUICK)
    source.query(root, start, SLOW)
    spans = source.take()
    slow = next(span for span in spans if span._attributes.get(names.DB_QUERY_TEXT) == SLOW)
    slow._end_time = slow._start_time + 700 * MS
    writer.accept(spans)
    logs = LogWriter(writer.file, drops=losses)
    repeated: dict[str, Any] = {
        "db.query.text": QUICK,
        "db.query.summary": "SELECT shop_product",
        "http.route": "/brands/",
        "django.db.n_plus_one.count": 60,
        "django.db.n_plus_one.duration": 0.03,
        "code.file.path": "catalogue/views.py",
        "code.line.number": 41,
        "code.function.name": "brands",
    }
    logs.accept([record(names.QUERY_REPEATED, named=True, **repeated) for _ in range(2)])
    writer.close(time.monotonic() + 1)
    assert losses.counts == {}
    return file


@pytest.fixture(autouse=True)
def site(tmp_path: Path, store: Path) -> Iterator[Add]:
    with (
        only_checks_of_the_test(tmp_path, TOKENS=["sesame"], STORE=str(store)),
        site_checks() as add,
    ):
        add("orders", lambda: [Result(instance="default", observed={"used_ratio": 0.1})])
        yield add


def asked(path: str, method: str = "GET", client: Client | None = None) -> Any:
    """The answer, which is as the OpenAPI file says."""
    client = client or by_token()
    bare = path.partition("?")[0]
    response = client.generic(
        method, path, json.dumps(BODIES.get(bare, {})), content_type="application/json"
    )
    responses = DOCUMENT["paths"][bare][method.lower()]["responses"]
    described = responses[str(response.status_code)]
    if "$ref" in described:
        described = DOCUMENT["components"]["responses"][described["$ref"].rpartition("/")[2]]
    schema = described["content"]["application/json"]["schema"]
    validator = Draft202012Validator({**schema, "components": DOCUMENT["components"]})
    answer = response.json()
    assert [f"{each.json_path}: {each.message}" for each in validator.iter_errors(answer)] == []
    return answer


def test_the_openapi_file_keeps_to_the_specification() -> None:
    validate(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1")
    assert set(OPERATIONS) <= set(DOCUMENT["paths"])


@pytest.mark.parametrize(
    ("path", "method"), [(path, each) for path, methods in OPERATIONS.items() for each in methods]
)
def test_answers_are_as_the_openapi_file_says(path: str, method: str) -> None:
    assert asked(path, method)
    assert asked(path, method, Client(REMOTE_ADDR="192.0.2.1"))


@pytest.mark.parametrize(
    "path", ["/health/", "/monitoring/health/", "/ready/", "/readyz", "/startupz"]
)
def test_reports_of_health_are_as_the_openapi_file_says(path: str) -> None:
    assert "checks" in asked(path)
    assert "checks" not in asked(path, client=Client(REMOTE_ADDR="192.0.2.1"))


def test_the_openapi_file_says_nothing_that_is_not_there() -> None:
    """Every key that is answered is described, but for open objects."""
    for each in GETS:
        answer = by_token().get(each).json()
        content = DOCUMENT["paths"][each]["get"]["responses"]["200"]["content"]
        shape = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
        assert set(answer) == set(DOCUMENT["components"]["schemas"][shape]["properties"])


# --- statements


def test_statements_come_with_percentiles_a_rating_and_the_line_that_repeats_them() -> None:
    found = asked("/monitoring/performance/queries/?hours=2")

    slowest = found["slowest"][0]
    assert slowest["statement"] == SLOW
    assert slowest["p95_ms"] == pytest.approx(700, rel=0.13)
    assert slowest["rating"] == "poor"
    frequent = found["most_frequent"][0]
    assert (frequent["statement"], frequent["count"], frequent["rating"]) == (QUICK, 40, "good")
    assert found["n_plus_one"] == [
        {
            "statement": QUICK,
            "summary": "SELECT shop_product",
            "route": "/brands/",
            "code": {"file": "catalogue/views.py", "line": 41, "function": "brands"},
            "times": 2,
            "queries": 120,
            "total_ms": 60.0,
            "last_seen": found["n_plus_one"][0]["last_seen"],
            "trace_id": "",
        }
    ]
    assert found["rating"] == "poor"
    assert found["note"] == ""


def test_lists_are_as_long_as_asked_for() -> None:
    found = asked("/monitoring/performance/queries/?limit=1")
    assert [len(found["slowest"]), len(found["most_frequent"])] == [1, 1]


def test_without_a_store_it_is_said_where_to_look(tmp_path: Path) -> None:
    with only_checks_of_the_test(tmp_path, TOKENS=["sesame"], STORE="off"):
        found = asked("/monitoring/performance/queries/")
    assert found["slowest"] == []
    assert found["rating"] is None
    assert "no embedded store" in found["note"]


def test_a_store_that_cannot_be_read_is_a_503(store: Path) -> None:
    store.write_bytes(b"no database at all, but a text that is longer than any header" * 20)
    refused = by_token().get("/monitoring/performance/queries/")
    assert refused.status_code == 503
    assert str(store) not in refused.content.decode()


# --- caches


def looked_up(result: str, count: int, prefix: str, alias: str = "default") -> Any:
    attributes = {
        names.DJANGO_CACHE_ALIAS: alias,
        names.DJANGO_CACHE_OPERATION: "get",
        names.DJANGO_CACHE_RESULT: result,
        names.DJANGO_CACHE_KEY_PREFIX: prefix,
    }
    return number(count, **attributes)


def test_caches_come_with_hit_ratios_by_alias_and_key_prefix_and_a_rating() -> None:
    took = metrics.DJANGO_CACHE_OPERATION_DURATION
    times = histogram(
        [0, 0, 0, 90, 10, 0, 0, 0, 0, 0],
        **{names.DJANGO_CACHE_ALIAS: "default", names.DJANGO_CACHE_OPERATION: "get"},
    )
    as_sums_of_the_host(
        role(
            metric(
                "django.cache.operations",
                "counter",
                looked_up("hit", 90, "user"),
                looked_up("miss", 10, "user"),
                looked_up("hit", 10, "page"),
                looked_up("miss", 90, "page"),
                looked_up("error", 2, "page"),
                looked_up("set", 5, "page"),
            ),
            metric(took.name, "histogram", times, bounds=took.bounds),
        )
    )

    found = asked("/monitoring/performance/cache/")

    (default,) = found["caches"]
    assert (default["hits"], default["misses"], default["errors"]) == (100, 100, 2)
    assert (default["hit_ratio"], default["rating"], found["rating"]) == (0.5, "fair", "fair")
    user, page = default["prefixes"]
    assert (user["prefix"], user["hit_ratio"], user["rating"]) == ("user", 0.9, "good")
    assert (page["prefix"], page["hit_ratio"], page["rating"]) == ("page", 0.1, "poor")
    (get,) = default["operations"]
    assert get["durations"]["count"] == 100
    assert 1 < get["durations"]["p50_ms"] <= 5
    assert 5 < get["durations"]["p95_ms"] <= 10


def test_percentiles_are_read_off_explicit_and_exponential_buckets() -> None:
    spread = Spread()
    assert spread.durations() is None
    for _, point, of in Sums([every_built_in_metric()]).points(metrics.CELERY_TASK_QUEUE_WAIT):
        spread.add(point, of)
    assert spread.quantile_s(0.0) <= spread.quantile_s(0.5) <= spread.quantile_s(1.0) == 3600.0

    exponential = Spread()
    point = ExponentialPoint((), 0, 2, -3, (1, 1), 0, (), 0.5, 0, 0)
    exponential.add(point, metric("x", "exponential_histogram", point))
    assert exponential.quantile_s(0.5) == 0.0
    assert exponential.quantile_s(1.0) == pytest.approx(0.5)


# --- the rest


def test_uptime_tells_strangers_no_version_and_staff_the_process() -> None:
    stranger = asked("/monitoring/uptime/", client=Client(REMOTE_ADDR="192.0.2.1"))
    assert stranger["details"] is None
    assert stranger["uptime_s"] > 0
    known = asked("/monitoring/uptime/")
    assert known["details"]["process"]["django"]
    assert known["details"]["service"]


def test_status_tells_of_the_pipeline(tmp_path: Path) -> None:
    assert asked("/monitoring/status/")["pipeline"] is None
    given: dict[str, Any] = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:secret@127.0.0.1:1",
        "STORE": str(tmp_path / "store.sqlite3"),
        "SPOOL_DIR": str(tmp_path / "spool"),
        "RUN_DIR": str(tmp_path / "run"),
    }
    settings = conf.load({}, given, base_dir=None, debug=False, settings_module=None)
    runtime = Runtime(settings)
    runtime.drops.add("traces", "spool_full", 3)
    runtime_state.set_source(lambda: state_of(runtime))
    try:
        found = asked("/monitoring/status/")
    finally:
        runtime_state.set_source(None)

    pipeline = found["pipeline"]
    assert {each["signal"] for each in pipeline["queues"]} == {"traces", "logs"}
    assert {each["signal"] for each in pipeline["exporters"]} == {"traces", "logs", "metrics"}
    assert pipeline["dropped"] == [{"signal": "traces", "cause": "spool_full", "count": 3}]
    assert pipeline["spool"] == {"bytes": 0, "limit_bytes": 512 << 20}
    assert pipeline["governor"]["limit_ratio"] == 0.05
    assert pipeline["store"]["retention_hours"] == 24
    assert found["evaluator"]["evaluated_s"] is None
    assert "secret" not in json.dumps(found)
    assert bootstrap.runtime() is None


def test_the_dashboard_tells_of_health_requests_and_all_that_was_measured(site: Add) -> None:
    site("search", lambda: Result("degraded"), critical=False)

    found = asked("/monitoring/dashboard/?format=json")

    assert found["health"]["status"] == "degraded"
    assert found["health"]["checks"] == {"search": "degraded", "orders": "healthy"}
    assert found["health"]["score"] == 87.5
    assert found["site"]["requests"] == 15
    assert found["site"]["routes"][0]["route"] == "<http.route>"
    assert found["celery"]["queue_lengths"] == {"<messaging.destination.name>": 3}
    assert found["api"]["requests"] == 3
    assert found["host"]["load_average"] == [3, 3, 3]
    assert by_token().get("/monitoring/dashboard/?format=xml").status_code == 400


def test_sums_that_cannot_be_read_are_a_503() -> None:
    class Torn:
        elected = False

        def read(self) -> Any:
            raise ReadError("torn in /srv/run")

    active.activate(None, Torn())
    refused = by_token().get("/monitoring/performance/cache/")
    assert refused.status_code == 503
    assert "torn" not in refused.content.decode()
    assert asked("/monitoring/status/")["host"] is None


def test_the_objects_of_monitoring_do_what_the_endpoints_do() -> None:
    report = monitoring.health_check_manager.run_all_checks()
    assert report["status"] == "healthy"
    assert report["checks"]["orders"]["instances"]["default"]["observed"] == {"used_ratio": 0.1}
    found = monitoring.performance_monitor.collect_metrics()
    assert found["site"]["requests"] == 15
    assert json.dumps([report, found])
    assert monitoring.alert_manager.check_and_send_alerts() == []


# --- the admin's


def test_the_admin_s_answer_needs_the_permission_and_changes_only_with_what_is_found(
    database: None, site: Add
) -> None:
    state = ["healthy"]
    site("queue", lambda: Result(state[0]), critical=False, ttl_s=0.0)  # type: ignore[arg-type]
    somebody = User.objects.create(username="somebody", is_staff=True)
    client = Client()
    client.force_login(somebody)
    where = "/api/"
    here = type("urls", (), {"urlpatterns": [route("api/", health_api_view)]})
    with override_settings(ROOT_URLCONF=here):
        assert client.get(where).status_code == 403
        assert by_token().get(where).status_code == 403
        somebody.user_permissions.add(Permission.objects.get(codename="view_system_health"))
        first = client.get(where)
        assert first.status_code == 200
        assert first.json()["checks"]["queue"]["status"] == "healthy"
        tag = first.headers["ETag"]
        again = client.get(where, HTTP_IF_NONE_MATCH=tag)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == tag
        state[0] = "degraded"
        changed = client.get(where, HTTP_IF_NONE_MATCH=tag)
        assert changed.status_code == 200
        assert changed.headers["ETag"] != tag
        assert client.post(where).status_code == 405
