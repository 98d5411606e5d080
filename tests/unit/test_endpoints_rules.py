"""What holds for every JSON endpoint: methods, who is let in, CSRF, the rate, headers, errors."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connections
from django.http import HttpRequest
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import include, path

from otel_django import guard, monitoring
from otel_django.health import active as health
from otel_django.web import json_endpoint
from otel_django.web.json_endpoint import Asked, get, json_view
from otel_django.web.rate_limit import RateLimit
from tests.endpoints_kit import (
    BODIES,
    GETS,
    OPERATIONS,
    POSTS,
    STRANGER,
    TOKEN,
    SlowClock,
    by_token,
    ours,
)

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
PUBLIC = ("/monitoring/uptime/",)


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migrated: Path) -> Iterator[SlowClock]:
    """A site with a token; nobody has asked anything yet."""
    clock = SlowClock()
    monkeypatch.setattr(json_endpoint, "_rate", RateLimit(clock))
    with ours(TOKENS=["sesame"], RUN_DIR=str(tmp_path), ALERTS_EVALUATOR="prometheus"):
        yield clock


def user(*, staff: bool = True, superuser: bool = False) -> User:
    made: User = User.objects.create(username="somebody", is_staff=staff, is_superuser=superuser)
    return made


def logged_in(who: User, **options: Any) -> Client:
    client = Client(REMOTE_ADDR=STRANGER, **options)
    client.force_login(who)
    return client


def send(client: Client, path: str) -> Any:
    return client.post(path, json.dumps(BODIES.get(path)), content_type="application/json")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", OPERATIONS)
def test_other_methods_are_refused_with_those_that_are_allowed(path: str, method: str) -> None:
    allowed = [*OPERATIONS[path], *(["HEAD"] if "GET" in OPERATIONS[path] else [])]
    if method in allowed:
        return

    refused = by_token().generic(method, path)

    assert refused.status_code == 405
    assert refused.headers["Allow"] == ", ".join(allowed)
    if method != "HEAD":
        assert set(refused.json()) == {"error", "detail"}


@pytest.mark.parametrize("path", GETS)
def test_head_is_get_without_a_body(path: str) -> None:
    whole, head = by_token().get(path), by_token().head(path)

    assert (whole.status_code, head.status_code) == (200, 200)
    assert head.content == b""
    assert int(head.headers["Content-Length"]) == pytest.approx(len(whole.content), abs=12)
    assert whole.json()


@pytest.mark.parametrize("path", OPERATIONS)
def test_nothing_is_cached_or_run_by_a_browser(path: str) -> None:
    for response in (by_token().get(path), by_token().put(path), Client().post(path)):
        assert response.headers["Content-Type"] == "application/json"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", OPERATIONS)
def test_strangers_are_refused_in_words_that_say_nothing(path: str, database: None) -> None:
    for client in (Client(REMOTE_ADDR=STRANGER), logged_in(user(staff=False))):
        for method in OPERATIONS[path]:
            if path in PUBLIC:
                assert client.generic(method, path).json()["details"] is None
                continue
            refused = client.generic(method, path)
            assert refused.status_code in (401, 403)
            assert set(refused.json()) == {"error", "detail"}
            if refused.status_code == 401:
                assert refused.headers["WWW-Authenticate"].startswith("Bearer")


def test_wrong_tokens_and_those_of_other_schemes_are_refused() -> None:
    for header in ("Bearer sesam", "Bearer", "Basic sesame", "Bearer sesame x", "Bearer \udc80"):
        refused = Client(REMOTE_ADDR=STRANGER).get("/monitoring/status/", HTTP_AUTHORIZATION=header)
        assert refused.status_code == 401


@pytest.mark.parametrize("path", GETS)
def test_staff_is_let_in_as_long_as_it_is_active(path: str, database: None) -> None:
    somebody = user()
    client = logged_in(somebody)
    assert client.get(path).status_code == 200
    somebody.is_active = False
    somebody.save()
    assert client.get(path).status_code == (200 if path in PUBLIC else 401)


@pytest.mark.parametrize(
    ("debug", "asked", "status"),
    [
        (True, {}, 200),
        (False, {}, 401),
        (True, {"REMOTE_ADDR": STRANGER}, 401),
        (True, {"HTTP_HOST": "shop.example"}, 401),
        (True, {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, 401),
        (True, {"HTTP_FORWARDED": "for=127.0.0.1"}, 401),
    ],
)
def test_in_debug_programs_on_this_machine_are_let_in(
    debug: bool, asked: dict[str, str], status: int
) -> None:
    with override_settings(DEBUG=debug, ALLOWED_HOSTS=["*"]):
        response = Client().get("/monitoring/status/", **{"HTTP_HOST": "localhost", **asked})  # type: ignore[arg-type]
    assert response.status_code == status


def test_without_a_database_tokens_are_let_in_and_sessions_are_not(tmp_path: Path) -> None:
    connection = connections["default"]
    connection.close()
    before = connection.settings_dict
    away = {"NAME": str(tmp_path / "no" / "db"), "ATOMIC_REQUESTS": True}
    connection.settings_dict = {**before, **away}
    session = Client(REMOTE_ADDR=STRANGER, HTTP_COOKIE="sessionid=abcdefghijklmnopqrstuvwxyz012345")
    try:
        assert by_token().get("/monitoring/status/").status_code == 200
        assert session.get("/monitoring/status/").status_code == 401
    finally:
        connection.settings_dict = before


HOSTILE = (
    "hours=0",
    "hours=-1",
    "hours=721",
    "hours=1e3",
    "hours=1.5",
    "hours=",
    "hours=%00",
    "hours=' OR 1=1 --",
    "hours=٣",
    "hours=99999999999999999999999999",
    "hours=1&hours=2",
    "limit=0",
    "limit=101",
    "limit=%F0%9F%92%A9",
    "limit=NaN",
)


@pytest.mark.parametrize("query", HOSTILE)
def test_a_parameter_that_cannot_be_used_is_said_to_be_so(query: str) -> None:
    refused = by_token().get(f"/monitoring/performance/queries/?{query}")

    assert refused.status_code == 400
    assert set(refused.json()) == {"error", "detail"}
    assert "OR 1=1" not in refused.content.decode()


@pytest.mark.parametrize("path", GETS)
@pytest.mark.parametrize(
    "query",
    ["%", "%00=%00", "a" * 8000, "&&==&", "x=%ff%fe", "<script>=alert(1)", "__proto__[x]=1"],
)
def test_hostile_query_strings_do_no_harm(path: str, query: str) -> None:
    response = by_token().get(path, QUERY_STRING=query)

    assert response.status_code in (200, 400)
    assert "<script>" not in response.content.decode()


@pytest.mark.parametrize("path", GETS)
def test_too_many_parameters_are_refused(path: str) -> None:
    if path == "/monitoring/performance/queries/":
        refused = by_token().get(path, QUERY_STRING="&".join(f"x{n}=1" for n in range(2000)))
        assert refused.status_code == 400


# --- POST


@pytest.mark.parametrize("path", POSTS)
def test_sessions_need_a_csrf_token_and_bearers_none(path: str, database: None) -> None:
    somebody = user(superuser=True)
    forged = logged_in(somebody, enforce_csrf_checks=True)
    refused = send(forged, path)
    only_by_token = path.endswith("receive/")
    assert refused.status_code == (401 if only_by_token else 403)
    assert refused.json()["error"] == ("unauthorized" if only_by_token else "csrf")

    found = 404 if path.endswith("alerts/") else 200
    program = by_token(enforce_csrf_checks=True)
    assert send(program, path).status_code == (403 if path.endswith("test/") else found)

    honest = logged_in(somebody, enforce_csrf_checks=True)
    honest.cookies["csrftoken"] = "a" * 32
    honest.defaults["HTTP_X_CSRFTOKEN"] = "a" * 32
    assert send(honest, path).status_code == (401 if only_by_token else found)


def test_in_debug_too_a_page_elsewhere_cannot_post() -> None:
    with override_settings(DEBUG=True):
        forged = Client(HTTP_HOST="localhost", enforce_csrf_checks=True).post(
            "/monitoring/cache/clear/", HTTP_ORIGIN="https://evil.example"
        )
    assert forged.status_code == 403


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b" ", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'"text"', 400),
        (b'{"action": "explode", "fingerprint": 1, "version": 4}', 400),
        (b"[" * 100_000, 400),
        (b"\xff\xfe", 400),
        (b'{"x": "' + b"a" * 3_000_000 + b'"}', 413),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_body_that_cannot_be_used_is_refused(path: str, body: bytes, status: int) -> None:
    refused = by_token().post(path, body, content_type="application/json")

    assert refused.status_code == status
    assert set(refused.json()) == {"error", "detail"}


@pytest.mark.parametrize("path", BODIES)
def test_only_json_is_taken(path: str) -> None:
    assert by_token().post(path, {"action": "acknowledge"}).status_code == 415


def test_a_test_alert_needs_its_permission(database: None) -> None:
    somebody = user()
    assert logged_in(somebody).post("/monitoring/alerts/test/").status_code == 403
    somebody.user_permissions.add(Permission.objects.get(codename="test_alerts"))
    assert logged_in(somebody).post("/monitoring/alerts/test/").json()["channels"][0]["ok"]


# --- the rate


def test_who_asks_too_often_is_told_when_to_come_back(site: SlowClock) -> None:
    client = by_token()
    found = [client.get("/monitoring/alerts/").status_code for _ in range(121)]
    assert found == [200] * 120 + [429]

    refused = client.get("/monitoring/alerts/")
    assert refused.headers["Retry-After"] == "1"
    assert refused.json()["error"] == "too many requests"
    assert client.get("/monitoring/health/simple/").status_code == 200

    spelt_otherwise = Client(REMOTE_ADDR=STRANGER, HTTP_AUTHORIZATION=" bearer   sesame ")
    assert spelt_otherwise.get("/monitoring/alerts/").status_code == 429

    site.now_s += 0.5
    assert client.get("/monitoring/alerts/").status_code == 200
    assert client.get("/monitoring/alerts/").status_code == 429


def test_each_user_and_token_has_a_rate_of_its_own(site: SlowClock, database: None) -> None:
    staff = logged_in(user())
    with ours(TOKENS=["sesame", "another"]):
        while by_token().get("/monitoring/alerts/").status_code == 200:
            pass
        assert staff.get("/monitoring/alerts/").status_code == 200
        another = Client(HTTP_AUTHORIZATION="Bearer another", REMOTE_ADDR=STRANGER)
        assert another.get("/monitoring/alerts/").status_code == 200


def test_what_the_rate_remembers_has_a_limit() -> None:
    limit = RateLimit(SlowClock(), most_at_once=2, a_minute=60)
    assert all(limit.wait_s(f"token {number}") == 0.0 for number in range(10_000))
    assert len(limit._free_s) <= 2000
    assert limit.wait_s("token 9999") == 0.0
    assert limit.wait_s("token 9999") == pytest.approx(1.0)


# --- forms of views


@get()
def _broken(asked: Asked) -> dict[str, Any]:
    """It fails."""
    raise ValueError("postgres://shop:secret@db.internal")


@get()
def _odd(asked: Asked) -> dict[str, Any]:
    """Values of all kinds."""
    return {"nan": math.nan, "far": [math.inf], "price": Decimal("1.5"), "text": "\udc80"}


urlpatterns = [
    path("broken/", json_view("broken", _broken)),
    path("odd/", json_view("odd", _odd)),
    path("inner/<str:shop>/", include("otel_django.urls", namespace="inner")),
    path("uptime/", monitoring.uptime_status),
    path("uptime-class/", monitoring.UptimeStatusView.as_view()),
    path("status-class/", monitoring.MonitoringStatusView.as_view()),
    path("dashboard-class/", monitoring.MonitoringDashboardView.as_view()),
    path("clear-class/", monitoring.ClearMonitoringCacheView.as_view()),
    path("test-class/", monitoring.TestAlertsView.as_view()),
]


@override_settings(ROOT_URLCONF=__name__)
def test_a_fault_is_an_error_without_internals() -> None:
    guard.set_strict(False)
    try:
        response = by_token().get("/broken/")
    finally:
        guard.set_strict(True)
    assert response.status_code == 500
    assert set(response.json()) == {"error", "detail"}
    assert "secret" not in response.content.decode()


@override_settings(ROOT_URLCONF=__name__)
def test_what_json_has_no_word_for_is_said_as_well_as_can_be() -> None:
    found = by_token().get("/odd/").json()
    assert found == {"nan": None, "far": [None], "price": "1.5", "text": "\udc80"}


@override_settings(ROOT_URLCONF=__name__)
def test_views_work_as_classes_and_below_any_prefix_and_namespace(database: None) -> None:
    client = by_token(enforce_csrf_checks=True)
    for each in ("/uptime/", "/uptime-class/", "/status-class/", "/dashboard-class/"):
        assert client.get(each).status_code == 200
        assert client.delete(each).status_code == 405
    assert client.post("/clear-class/").status_code == 200
    assert logged_in(user(superuser=True)).post("/test-class/").status_code == 200
    assert client.get("/inner/north/uptime/").status_code == 200


@pytest.mark.parametrize("path", GETS)
def test_asynchronous_servers_answer_alike(path: str) -> None:
    async def ask() -> Any:
        return await AsyncClient().get(path, headers={"authorization": "Bearer sesame"})

    assert asyncio.run(ask()).status_code == 200


def test_views_need_no_middleware() -> None:
    request: HttpRequest = RequestFactory().get("/", **TOKEN)
    assert monitoring.monitoring_status(request).status_code == 200


def test_clearing_has_the_checks_asked_again() -> None:
    engine = health.engine()
    engine.report("all")
    assert engine.last()

    cleared = by_token().post("/monitoring/cache/clear/")

    assert cleared.json()["cleared"] == ["health", "dashboard"]
    assert not engine.last()
