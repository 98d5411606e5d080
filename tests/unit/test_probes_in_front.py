"""Probes where the site would refuse them, and who is told the details."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import OperationalError, connections
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.test.utils import CaptureQueriesContext

from otel_django.health import CheckError, Result
from tests.health_kit import Add, only_checks_of_the_test, with_settings
from tests.metrics_kit import Measured
from tests.requests_kit import traced_requests

LIVE = ("/livez", "/monitoring/health/simple/", "/monitoring/healthz/")
GROUPS = ("/ready/", "/readyz", "/startupz", "/health/", "/monitoring/health/")
COOKIE = {"HTTP_COOKIE": "sessionid=abcdefghijklmnopqrstuvwxyz012345", "HTTP_HOST": "localhost"}
POD = {"HTTP_HOST": "10.1.2.3:8000", "REMOTE_ADDR": "10.0.0.7"}
USUAL = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
LOGIN_REQUIRED = (
    ["django.contrib.auth.middleware.LoginRequiredMiddleware"] if django.VERSION >= (5, 1) else []
)


@pytest.fixture(autouse=True)
def site(tmp_path: Path) -> Iterator[None]:
    with only_checks_of_the_test(tmp_path, TOKENS=["sesame"]):
        yield


def test_N2_probes_need_no_middleware_and_leave_the_sites_as_it_is(add: Add) -> None:
    add("orders", lambda: None)
    for chosen in ([], USUAL, ["django.middleware.common.CommonMiddleware"]):
        with override_settings(MIDDLEWARE=list(chosen)):
            assert Client().get("/readyz").status_code == 200
            assert Client().get("/livez").content == b"OK"
            assert chosen == settings.MIDDLEWARE


class Raises:
    """A middleware that fails."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        pass

    def __call__(self, request: HttpRequest) -> HttpResponse:
        raise LookupError("raised by a middleware")


class Asks:
    """A middleware that wants to know the user of each request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            pass
        return self.get_response(request)


def refuse() -> None:
    raise CheckError("shop-db-7.internal refused")


def get(path: str, **meta: Any) -> Any:
    return Client(raise_request_exception=False, **{**POD, **meta}).get(path)


def get_async(path: str, cookie: str = "") -> Any:
    client = AsyncClient(raise_request_exception=False)
    client.cookies.load(cookie)

    async def ask() -> Any:
        return await client.get(path)

    return asyncio.run(ask())


@pytest.fixture
def database_away() -> Iterator[None]:
    """Every connection fails, as it does when the server is gone."""

    def fail(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("connection refused")

    default = connections["default"]
    with ExitStack() as stack:
        default.close()
        saved = default.get_new_connection
        default.get_new_connection = fail  # type: ignore[method-assign]
        stack.callback(setattr, default, "get_new_connection", saved)
        yield


# --- settings that refuse


STRICT: dict[str, Any] = {
    "ALLOWED_HOSTS": ["shop.example"],
    "SECURE_SSL_REDIRECT": True,
    "SESSION_ENGINE": "django.contrib.sessions.backends.db",
    "LOGIN_URL": "/login/",
}


@pytest.mark.parametrize("ask", [get, get_async])
@pytest.mark.parametrize("failing", [False, True])
def test_a_probe_passes_where_every_page_is_refused(ask: Any, failing: bool) -> None:
    middleware = [*([f"{__name__}.Raises"] if failing else []), *USUAL, *LOGIN_REQUIRED]
    with override_settings(**STRICT, MIDDLEWARE=middleware):
        assert ask("/plain/").status_code >= 400
        for each in (*LIVE, *GROUPS):
            assert ask(each).status_code == 200, each


def test_a_probe_makes_no_query_and_no_session(add: Add) -> None:
    with (
        override_settings(SESSION_SAVE_EVERY_REQUEST=True),
        CaptureQueriesContext(connections["default"]) as queries,
    ):
        for each in (*LIVE, *GROUPS):
            response = get(each)
            assert response.status_code == 200
            assert not response.cookies
    assert queries.captured_queries == []


# --- who is told the details


def logged_in(**user: Any) -> str:
    """The cookie of a user."""
    client = Client()
    client.force_login(User.objects.create(username="u", **user))
    return f"sessionid={client.cookies['sessionid'].value}"


@pytest.mark.parametrize("ask", [get, get_async])
@pytest.mark.parametrize(
    ("user", "told"),
    [
        ({"is_staff": True}, True),
        ({"is_staff": True, "is_active": False}, False),
        ({"is_superuser": True}, False),
        ({}, False),
    ],
)
def test_staff_are_told_the_details(
    add: Add, database: None, ask: Any, user: dict[str, bool], told: bool
) -> None:
    asked = []
    add("orders", lambda: asked.append(1))
    cookie = logged_in(**user)
    if ask is get:
        response = get("/health/", HTTP_COOKIE=cookie, HTTP_HOST="localhost")
    else:
        response = get_async("/health/", cookie=cookie)
    assert response.status_code == 200
    assert ("checks" in response.json()) is told
    assert asked == [1]


def test_in_debug_programs_on_this_machine_are_told_the_details(add: Add) -> None:
    add("orders", lambda: None)
    with override_settings(DEBUG=True):
        local = {"HTTP_HOST": "localhost:8000", "REMOTE_ADDR": "127.0.0.1"}
        assert "checks" in get("/health/", **local).json()
        assert "checks" not in get("/health/").json()
        assert "checks" not in get("/health/", **local, HTTP_X_FORWARDED_FOR="192.0.2.1").json()


@pytest.mark.parametrize("ask", [get, get_async])
def test_who_is_logged_in_is_answered_where_the_site_fails(
    add: Add, database: None, ask: Any
) -> None:
    add("orders", lambda: None)
    cookie = {"HTTP_COOKIE" if ask is get else "cookie": logged_in(is_staff=True)}
    with override_settings(MIDDLEWARE=[f"{__name__}.Raises", *USUAL]):
        assert ask("/plain/").status_code == 500
        response = ask("/ready/", **cookie)
    assert response.status_code == 200
    assert response.json().keys() == {"status", "timestamp"}
    with override_settings(**STRICT, MIDDLEWARE=USUAL):
        assert ask("/ready/", **cookie).json().keys() == {"status", "timestamp"}


@pytest.mark.parametrize("every", [False, True])
def test_with_sessions_in_a_database_that_is_away_it_is_a_503_without_details(
    add: Add, database: None, database_away: None, every: bool
) -> None:
    add("orders", refuse)
    with override_settings(
        SESSION_SAVE_EVERY_REQUEST=every, MIDDLEWARE=[*USUAL, f"{__name__}.Asks"]
    ):
        assert get("/plain/", **COOKIE).status_code == 500
        response = get("/ready/", **COOKIE)
    assert response.status_code == 503
    assert response.json().keys() == {"status", "timestamp"}


def test_nobody_is_looked_up_in_a_database_that_fails(
    add: Add, database: None, database_queries: Any
) -> None:
    add("database", refuse)
    with with_settings(HEALTH_DISABLED=[]), database_queries() as queries:
        response = get("/ready/", **COOKIE)
    assert response.status_code == 503
    assert queries == []


# --- what is told of them


def test_probes_count_in_the_metrics_and_have_no_span(add: Add) -> None:
    from otel_django import metric_definitions as metrics

    add("orders", refuse)
    measured = Measured()
    with traced_requests(recorder=measured.recorder) as traced:
        get("/livez")
        get("/ready/")
        get_async("/ready/")
    assert traced.spans == []
    by = ("http.route", "http.response.status_code")
    assert measured.counts(metrics.HTTP_SERVER_REQUEST_DURATION, *by) == {
        ("/livez", 200): 1,
        ("/ready/", 503): 2,
    }


def test_django_logs_no_error_for_a_probe_that_says_503(
    add: Add, caplog: pytest.LogCaptureFixture
) -> None:
    add("orders", refuse)
    for ask in (get, get_async):
        assert ask("/ready/").status_code == 503
        assert ask("/health/?group=nothing").status_code == 400
    assert [record for record in caplog.records if record.name.startswith("django")] == []


# --- asynchronous servers


def test_an_asynchronous_server_holds_no_thread_while_a_dependency_hangs(
    add: Add, hang: Callable[[], None]
) -> None:
    add("hangs", hang)
    add("works", Result)

    async def many() -> tuple[list[int], set[str]]:
        client, waiting = AsyncClient(), set()
        asking = asyncio.gather(*(client.get("/ready/") for _ in range(200)))
        while not asking.done():
            await asyncio.sleep(0.01)
            waiting |= threads_in("/otel_django/web/")
        return [response.status_code for response in await asking], waiting

    statuses, waiting = asyncio.run(many())
    assert statuses == [503] * 200
    assert waiting == set()


def threads_in(folder: str) -> set[str]:
    """The threads besides this one that run code of a folder."""
    found = set()
    for thread in threading.enumerate():
        frame = sys._current_frames().get(thread.ident or 0)
        while frame is not None and thread is not threading.current_thread():
            if folder in frame.f_code.co_filename:
                found.add(thread.name)
            frame = frame.f_back
    return found
