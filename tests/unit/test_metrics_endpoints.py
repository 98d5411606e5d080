"""The metrics endpoints of a site, in process."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import include, path, reverse

from otel_django.errors import ReadError
from otel_django.metric_points import ResourceMetrics
from otel_django.metrics import active
from otel_django.web import metrics_views
from tests.prometheus_kit import histogram, metric, number, role
from tests.requests_kit import traced_requests

PATHS = ("/metrics", "/api/v1/metrics", "/monitoring/metrics/")


class Sums:
    """A host's, as they stand."""

    elected = False

    def __init__(self, *data: ResourceMetrics) -> None:
        self.data = data

    def read(self) -> tuple[ResourceMetrics, ...]:
        return self.data


@contextmanager
def host(sums: Sums | None) -> Iterator[None]:
    before = active.recorder(), active.host()
    active.activate(None, sums)
    try:
        yield
    finally:
        active.activate(*before)


@pytest.fixture(autouse=True)
def sums() -> Iterator[Sums]:
    made = Sums(
        role(
            metric("orders.placed", "counter", number(3, channel="web")),
            metric("wait", "histogram", histogram(range(200)), bounds=[*map(float, range(199))]),
        )
    )
    with host(made):
        yield made


@pytest.fixture
def client() -> Client:
    return Client(HTTP_HOST="localhost")


def settings(**ours: Any) -> Any:
    from django.conf import settings

    return override_settings(OTEL_DJANGO={**settings.OTEL_DJANGO, **ours})


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("accepted", "version", "beginning"),
    [
        ("application/openmetrics-text", "; version=1.0.0", b"# TYPE target info"),
        ("text/plain", "; version=0.0.4", b"# HELP target_info"),
        ("application/json", "", b'{"timestamp": '),
    ],
)
def test_the_format_is_what_is_accepted(
    client: Client, path: str, accepted: str, version: str, beginning: bytes
) -> None:
    response = client.get(path, HTTP_ACCEPT=accepted)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith(f"{accepted}{version}")
    assert response.headers["Cache-Control"] == "no-store"
    assert response.content.startswith(beginning)


@pytest.mark.parametrize("path", PATHS)
def test_the_format_can_be_asked_for(client: Client, path: str) -> None:
    accept = "application/openmetrics-text"
    assert client.get(f"{path}?format=prometheus", HTTP_ACCEPT=accept).content.startswith(b"# HELP")
    assert client.get(f"{path}?format=openmetrics").content.endswith(b"# EOF\n")
    assert json.loads(client.get(f"{path}?format=json").content)["resources"]
    refused = client.get(f"{path}?format=xml")
    assert refused.status_code == 400
    assert set(refused.json()) == {"error", "detail"}


def test_the_default_is_text_for_scrapers_and_json_for_programs(client: Client) -> None:
    assert client.get("/metrics").headers["Content-Type"].startswith("text/plain")
    assert client.get("/monitoring/metrics/").headers["Content-Type"] == "application/json"
    assert reverse("otel_django:metrics_endpoint") == "/monitoring/metrics/"


@pytest.mark.parametrize("path", PATHS)
def test_only_get_and_head_are_served(client: Client, path: str) -> None:
    refused = Client(HTTP_HOST="localhost", enforce_csrf_checks=True).post(path)
    assert refused.status_code == 405
    assert refused.headers["Allow"] == "GET, HEAD"
    assert set(refused.json()) == {"error", "detail"}
    whole = client.get(path)
    head = client.head(path)
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["Content-Length"] == str(len(whole.content))


def test_gzip_if_asked(client: Client) -> None:
    packed = client.get("/metrics", HTTP_ACCEPT_ENCODING="gzip")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.content) == client.get("/metrics").content


@pytest.mark.parametrize("path", PATHS)
def test_strangers_are_refused_without_a_word_of_the_site(client: Client, path: str) -> None:
    refused = client.get(path, REMOTE_ADDR="192.0.2.1")
    assert refused.status_code == 403
    assert refused.json() == {
        "error": "forbidden",
        "detail": "This address may not read metrics.",
    }
    with settings(TOKENS=["sesame"]):
        refused = client.get(path, REMOTE_ADDR="192.0.2.1")
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")
        let_in = client.get(path, REMOTE_ADDR="192.0.2.1", HTTP_AUTHORIZATION="Bearer sesame")
        assert let_in.status_code == 200
    with settings(METRICS_ACCESS="192.0.2.0/24"):
        assert client.get(path, REMOTE_ADDR="192.0.2.1").status_code == 200


@pytest.mark.parametrize(("staff", "status"), [(True, 200), (False, 403)])
def test_staff_may_read(client: Client, database: None, staff: bool, status: int) -> None:
    from django.contrib.auth.models import User

    client.force_login(User.objects.create(username="u", is_staff=staff))
    assert client.get("/metrics", REMOTE_ADDR="192.0.2.1").status_code == status


def test_strict_settings_do_not_refuse_a_probe() -> None:
    """The pod's address as Host over plain HTTP, a login required everywhere, no database."""

    def status(path: str, peer: str = "10.0.0.7") -> int:
        return Client(HTTP_HOST="10.1.2.3:8000", REMOTE_ADDR=peer).get(path).status_code

    strict = {
        "SECURE_SSL_REDIRECT": True,
        "ALLOWED_HOSTS": ["shop.example"],
        "MIDDLEWARE": [
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "tests.unit.test_metrics_endpoints.Refuses",
        ],
    }
    with override_settings(**strict), settings(METRICS_ACCESS="10.0.0.0/8"):
        assert [status(each) for each in PATHS] == [200, 200, 200]
        assert status("/metrics", peer="192.0.2.1") == 403
        assert status("/plain/") == 400


class Refuses:
    """A middleware that lets nobody in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        pass

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=302, headers={"Location": "/login/"})


def test_asynchronous_handlers_answer_too() -> None:
    async def ask(path: str) -> Any:
        return await AsyncClient().get(path, headers={"accept": "text/plain"})

    for each in PATHS:
        with override_settings(SECURE_SSL_REDIRECT=True), settings(METRICS_ACCESS="any"):
            response = asyncio.run(ask(each))
        assert response.status_code == 200
        assert b"orders_placed_total" in response.content


urlpatterns = [
    path("function/", metrics_views.metrics),
    path("class/", metrics_views.MetricsView.as_view()),
    path("json-class/", metrics_views.MetricsEndpointView.as_view()),
    path("guarded/", login_required(metrics_views.metrics)),
    path("guarded-class/", login_required(metrics_views.MetricsView.as_view())),
    path("of/<str:shop>/", include([path("metrics", metrics_views.metrics)])),
    path("taken/", lambda request: HttpResponse("mine")),
    path("taken/", metrics_views.metrics),
]


@override_settings(ROOT_URLCONF=__name__, LOGIN_URL="/login/")
def test_views_are_functions_and_classes_and_can_be_wrapped(client: Client) -> None:
    assert client.get("/function/").status_code == 200
    assert client.get("/class/").status_code == 200
    assert client.post("/class/").status_code == 405
    assert client.get("/json-class/").json()["resources"]
    assert client.get("/guarded/").status_code == 302
    assert client.get("/guarded-class/").status_code == 302
    assert client.get("/taken/").content == b"mine"


@override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[f"{__name__}.Refuses"])
def test_only_what_is_ours_is_answered_before_middleware(client: Client) -> None:
    asked = ("function", "class", "json-class", "guarded", "guarded-class", "taken")
    answered = [name for name in asked if client.get(f"/{name}/").status_code == 200]
    assert answered == ["function", "class", "json-class"]


def test_views_take_no_part_in_transactions() -> None:
    views: list[Any] = [metrics_views.metrics, metrics_views.MetricsView.as_view()]
    for view in views:
        assert "default" in view._non_atomic_requests
        assert "another" in view._non_atomic_requests


def test_without_metrics_it_says_so(client: Client) -> None:
    with host(None):
        assert client.get("/metrics").status_code == 503


def test_a_host_that_cannot_be_read_is_said_to_be_so(client: Client) -> None:
    class Unreadable(Sums):
        def read(self) -> tuple[ResourceMetrics, ...]:
            raise ReadError("torn")

    with host(Unreadable()):
        refused = client.get("/metrics")
    assert refused.status_code == 503
    assert "torn" not in refused.content.decode()


def test_scrapes_have_no_span(client: Client) -> None:
    with traced_requests() as traced:
        assert [client.get(each).status_code for each in PATHS] == [200, 200, 200]
    assert traced.spans == []


@override_settings(ROOT_URLCONF=__name__)
def test_scrapes_at_another_path_have_no_span_either(client: Client) -> None:
    with traced_requests() as traced:
        for each in ("/function/", "/function/", "/class/", "/taken/"):
            assert client.get(each).status_code == 200
    assert [span._name for span in traced.spans] == ["GET /taken/"]
