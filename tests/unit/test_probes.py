"""The probes of a site, in process: what they answer, and to whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import include, path, reverse

from otel_django.health import CheckError, Result
from otel_django.web import health_views
from tests.health_kit import Add, only_checks_of_the_test, with_settings
from tests.requests_kit import traced_requests

LIVE = ("/livez", "/monitoring/health/simple/", "/monitoring/healthz/")
GROUPS = ("/ready/", "/readyz", "/startupz", "/health/", "/monitoring/health/")
STRANGER: dict[str, Any] = {"REMOTE_ADDR": "192.0.2.1"}
TOKEN: dict[str, Any] = {"HTTP_AUTHORIZATION": "Bearer sesame", **STRANGER}


@pytest.fixture(autouse=True)
def site(tmp_path: Path) -> Iterator[None]:
    with only_checks_of_the_test(tmp_path, TOKENS=["sesame"]):
        yield


@pytest.fixture
def client() -> Client:
    return Client(HTTP_HOST="localhost")


def broken() -> None:
    raise CheckError("shop-db-7.internal refused")


# --- liveness


@pytest.mark.parametrize("path", LIVE)
def test_liveness_is_ok_in_plain_text(client: Client, path: str) -> None:
    response = client.get(path, **STRANGER)
    assert (response.status_code, response.content) == (200, b"OK")
    assert response.headers["Content-Type"] == "text/plain"
    assert response.headers["Cache-Control"] == "no-store"


def test_liveness_touches_no_dependency(client: Client, add: Add, database_queries: Any) -> None:
    add("gone", broken, "ready", "startup")
    with database_queries() as queries:
        assert [client.get(each).status_code for each in LIVE] == [200, 200, 200]
    assert queries == []


def test_liveness_asks_checks_of_the_site_that_are_for_it(client: Client, add: Add) -> None:
    add("deadlocked", broken, "live")
    response = client.get("/livez")
    assert (response.status_code, response.content) == (503, b"unhealthy")


def test_a_check_of_liveness_that_has_not_come_back_yet_is_no_reason_to_restart(
    client: Client, add: Add, hang: Callable[[], None]
) -> None:
    add("slow", hang, "live")
    assert client.get("/livez").status_code == 200


# --- groups


@pytest.mark.parametrize("path", GROUPS)
def test_strangers_learn_the_status_and_nothing_else(client: Client, add: Add, path: str) -> None:
    add("orders", lambda: Result(message="on shop-db-7.internal"), "ready", "startup")
    with with_settings(OTEL_RESOURCE_ATTRIBUTES="service.version=4.2"):
        response = client.get(path, **STRANGER)
    assert response.status_code == 200
    assert response.json().keys() == {"status", "timestamp"}
    assert response.json()["status"] == "healthy"


@pytest.mark.parametrize("path", GROUPS)
def test_a_critical_failure_is_a_503_named_to_those_who_may_know(
    client: Client, add: Add, path: str
) -> None:
    add("orders", broken, "ready", "startup")
    refused = client.get(path, **STRANGER)
    assert refused.status_code == 503
    assert refused.json().keys() == {"status", "timestamp"}
    known = client.get(path, **TOKEN)
    assert known.status_code == 503
    assert known.json()["status"] == "unhealthy"
    assert known.json()["checks"]["orders"]["message"] == "shop-db-7.internal refused"


def test_a_failure_that_is_not_critical_is_degraded_and_a_200(client: Client, add: Add) -> None:
    add("mail", broken, critical=False)
    response = client.get("/ready/", **TOKEN)
    assert response.status_code == 200
    assert response.json()["status"] == "degraded"


def test_a_report_holds_what_each_check_found(client: Client, add: Add) -> None:
    add(
        "queues",
        lambda: [
            Result(observed={"waiting": 3}, instance="high"),
            Result("degraded", "12 wait", {"waiting": 12}, "low"),
        ],
    )
    report = client.get("/health/", **TOKEN).json()
    assert report.keys() == {"status", "timestamp", "duration_ms", "version", "checks"}
    found = report["checks"]["queues"]
    assert found.pop("age_s") >= 0
    assert found.pop("duration_ms") >= 0
    assert found == {
        "status": "degraded",
        "critical": True,
        "observed": {},
        "message": "low: 12 wait",
        "instances": {
            "high": {"status": "healthy", "observed": {"waiting": 3}, "message": ""},
            "low": {"status": "degraded", "observed": {"waiting": 12}, "message": "12 wait"},
        },
    }


def test_N1_a_critical_check_that_never_answered_makes_readiness_a_503_and_liveness_stays(
    client: Client, add: Add, hang: Callable[[], None]
) -> None:
    add("hangs", hang, "ready", "startup")
    add("works", lambda: None)
    for each in ("/ready/", "/readyz", "/startupz"):
        assert client.get(each).status_code == 503
    found = client.get("/ready/", **TOKEN).json()["checks"]
    assert found["hangs"]["status"] in {"pending", "unhealthy"}
    assert found["works"]["status"] == "healthy"
    assert client.get("/livez").status_code == 200


def test_N1_a_check_that_fails_in_any_way_is_a_503_and_never_a_500(
    client: Client, add: Add
) -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    def exits() -> None:
        raise SystemExit(3)

    add("cancelled", cancelled)
    add("exits", exits)
    response = client.get("/ready/", **TOKEN)
    assert response.status_code == 503
    assert {found["status"] for found in response.json()["checks"].values()} == {"unhealthy"}


# --- what can be asked for


def test_groups_and_checks_can_be_asked_for(client: Client, add: Add) -> None:
    add("one", lambda: None, "startup")
    add("two", lambda: None)
    add("three", lambda: None)

    def checks(query: str) -> set[str]:
        return set(client.get(f"/health/?{query}", **TOKEN).json()["checks"])

    assert checks("") == checks("group=all") == {"one", "two", "three"}
    assert checks("group=startup") == {"one"}
    assert checks("group=live") == set()
    assert checks("check=two") == {"two"}
    assert checks("check=one&check=three") == checks("check=one,three") == {"one", "three"}
    assert checks("group=ready&check=two") == {"two"}


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("group=nothing", "bad parameter"),
        ("group=", "bad parameter"),
        ("check=nothing", "unknown check"),
        ("check=", "unknown check"),
        ("group=live&check=orders", "unknown check"),
        ("check=../../etc/passwd%00", "unknown check"),
        ("check=%ff%fe", "unknown check"),
        ("&".join(f"check={number}" for number in range(2000)), "bad parameter"),
    ],
)
def test_what_there_is_not_is_said_in_a_400(
    client: Client, add: Add, query: str, error: str
) -> None:
    add("orders", lambda: None)
    for who in (TOKEN,) if "check" in query else (STRANGER, TOKEN):
        response = client.get(f"/health/?{query}", **who)
        assert response.status_code == 400
        assert response.json().keys() == {"error", "detail"}
        assert response.json()["error"] == error


def test_who_may_know_is_told_which_checks_there_are(client: Client, add: Add) -> None:
    add("orders", lambda: None)
    path = "/health/?check=nothing"
    assert client.get(path, **TOKEN).json()["detail"].endswith("There are: orders.")
    assert "orders" not in client.get(path, **STRANGER).json()["detail"]


def test_strangers_cannot_tell_which_checks_there_are_nor_run_one(client: Client, add: Add) -> None:
    ran: list[int] = []
    add("orders", lambda: ran.append(1))
    cookies: tuple[Any, ...] = ({}, {"HTTP_COOKIE": "sessionid=made-up"})
    for more in cookies:
        there, not_there = (
            client.get(f"/health/?check={name}", **STRANGER, **more) for name in ("orders", "none")
        )
        assert there.status_code == not_there.status_code == 401
        assert there.content == not_there.content
    assert not ran


def test_how_a_single_check_does_is_a_detail(client: Client, add: Add) -> None:
    add("orders", broken)
    refused = client.get("/health/?check=orders", **STRANGER)
    assert refused.status_code == 401
    assert client.get("/health/?check=orders", **TOKEN).status_code == 503


def test_other_query_strings_change_nothing(client: Client, add: Add) -> None:
    add("orders", broken, "startup")
    assert client.get("/ready/?group=startup&check=x&%ff=<script>").status_code == 200


def test_health_json_is_spoken(client: Client, add: Add) -> None:
    add("orders", lambda: Result("degraded", "slow", {"duration_ms": 700}))
    accept: dict[str, Any] = {"HTTP_ACCEPT": "application/health+json"}
    response = client.get("/health/", **accept, **TOKEN)
    assert response.headers["Content-Type"] == "application/health+json"
    (found,) = response.json()["checks"]["orders"]
    assert found.pop("time").endswith("Z")
    assert found == {"status": "warn", "output": "slow", "observedValue": {"duration_ms": 700}}
    assert response.json()["status"] == "warn"
    assert client.get("/health/", **accept, **STRANGER).json() == {"status": "warn"}
    add("gone", broken)
    response = client.get("/ready/", **accept, **STRANGER)
    assert (response.status_code, response.json()) == (503, {"status": "fail"})


@pytest.mark.parametrize("path", [*LIVE, *GROUPS])
def test_only_get_and_head_are_served(client: Client, path: str) -> None:
    for method in ("post", "put", "patch", "delete", "options", "trace"):
        refused = getattr(Client(HTTP_HOST="localhost", enforce_csrf_checks=True), method)(path)
        assert refused.status_code == 405
        assert refused.headers["Allow"] == "GET, HEAD"
        assert refused.json().keys() == {"error", "detail"}
    head = client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["Content-Length"]) > 0


# --- where they lie


urlpatterns = [
    path("deep/down/", include("otel_django.urls")),
    path("probes/", include("otel_django.probe_urls")),
    path("function/", health_views.health_check),
    path("class/", health_views.HealthCheckView.as_view()),
    path("ready-class/", health_views.ReadinessCheckView.as_view()),
    path("startup-class/", health_views.StartupCheckView.as_view()),
    path("live-class/", health_views.HealthCheckSimpleView.as_view()),
    path("guarded/", login_required(health_views.health_check)),
]
ELSEWHERE = (
    *("deep/down/health", "deep/down/health/simple", "deep/down/healthz", "probes/ready"),
    *("function", "class", "ready-class", "startup-class", "live-class"),
)


class Raises:
    """A middleware that fails."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        pass

    def __call__(self, request: HttpRequest) -> HttpResponse:
        raise LookupError("raised by a middleware")


@override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[f"{__name__}.Raises"])
def test_views_are_functions_and_classes_at_any_prefix() -> None:
    client = Client(HTTP_HOST="10.1.2.3:8000", raise_request_exception=False)
    for each in ELSEWHERE:
        assert client.get(f"/{each}/").status_code == 200, each
        assert client.post(f"/{each}/").status_code == 405, each
    assert client.get("/guarded/").status_code == 500


def test_names_to_reverse() -> None:
    assert reverse("otel_django:health_check") == "/monitoring/health/"
    assert reverse("otel_django:health_check_simple") == "/monitoring/health/simple/"
    assert reverse("otel_django:healthz") == "/monitoring/healthz/"
    named = {"livez": "/livez", "readyz": "/readyz", "ready": "/ready/", "startupz": "/startupz"}
    for name, expected in {**named, "health": "/health/"}.items():
        assert reverse(f"otel_django_probes:{name}") == expected


@override_settings(ROOT_URLCONF=__name__)
def test_probes_have_no_span_wherever_they_lie(client: Client) -> None:
    with traced_requests() as traced:
        for each in ELSEWHERE:
            assert client.get(f"/{each}/").status_code == 200
    assert traced.spans == []
