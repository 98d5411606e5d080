"""How many requests an API has, how many of them it throttles, and how many clients there are."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest
from django.test import Client as Browser
from django.test import RequestFactory, override_settings
from django.urls import path

from otel_django import metric_definitions as metrics
from otel_django.instrumentation import api_statistics
from otel_django.instrumentation.api_statistics import FILE, ApiStatistics, Client
from otel_django.metrics import active
from tests.host_kit import Process, SteppedClock
from tests.metrics_kit import Measured
from tests.requests_kit import settings, traced_requests
from tests.tracing_kit import Collected

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

REQUESTS, THROTTLED = metrics.DJANGO_API_REQUESTS, metrics.DJANGO_API_THROTTLED
CLIENTS = metrics.DJANGO_API_ACTIVE_CLIENTS


class Api:
    """One process that serves the API of the test site."""

    def __init__(self, recorder: Any, **changes: Any) -> None:
        self.statistics = ApiStatistics()
        self.statistics.measure_with(recorder)
        self.statistics.install(Collected().tracer, settings(**changes))


@pytest.fixture
def measured() -> Iterator[Measured]:
    logging.getLogger("django").setLevel(logging.CRITICAL)
    measured = Measured()
    api = Api(measured.recorder)
    with traced_requests(recorder=measured.recorder):
        yield measured
    api.statistics.uninstall()
    gc.collect()
    logging.getLogger("django").setLevel(logging.NOTSET)


def too_many(request: HttpRequest) -> Any:
    from django.http import HttpResponse

    return HttpResponse(status=429)


def one(request: HttpRequest, number: int) -> Any:
    from django.http import HttpResponse

    return HttpResponse("one")


def refusing(exc: Exception, context: Any) -> Any:
    """An exception handler of a site that says 503 where it throttles."""
    from rest_framework.response import Response

    return Response(status=503)


def rest_view() -> Any:
    from rest_framework.response import Response
    from rest_framework.throttling import BaseThrottle
    from rest_framework.views import APIView

    class Never(BaseThrottle):  # type: ignore[misc]
        def allow_request(self, request: Any, view: Any) -> bool:
            return "wait" not in request.query_params

    class Items(APIView):  # type: ignore[misc]
        throttle_classes = (Never,)
        permission_classes = authentication_classes = ()

        def get(self, request: Any) -> Response:
            return Response({})

    return Items.as_view()


urlpatterns = [
    path("api/one/<int:number>/", one),
    path("api/too-many/", too_many),
    path("api/items/", rest_view()),
    path("other/", one, {"number": 1}),
]


@pytest.fixture
def client() -> Iterator[Browser]:
    with override_settings(ROOT_URLCONF=__name__):
        yield Browser(raise_request_exception=False)


def test_requests_to_the_apis_routes_are_counted_by_route(
    measured: Measured, client: Browser
) -> None:
    for number in (1, 2, 3):
        client.get(f"/api/one/{number}/")
    client.get("/other/")
    client.get("/api/missing/")  # no route
    assert measured.counts(REQUESTS) == {("/api/one/<int:number>/",): 3}
    assert measured.counts(THROTTLED) == {}


def test_routes_are_those_of_the_setting(client: Browser) -> None:
    measured = Measured()
    api = Api(measured.recorder, api_routes=("/other/", "/shop/api/"))
    with traced_requests(recorder=measured.recorder):
        client.get("/other/")
        client.get("/api/too-many/")
        client.get("/api/one/1/", SCRIPT_NAME="/shop")
    api.statistics.uninstall()
    assert measured.counts(REQUESTS) == {
        ("/other/",): 1,
        ("/shop/api/one/<int:number>/",): 1,
    }


def test_an_answer_of_429_counts_as_throttled(measured: Measured, client: Browser) -> None:
    client.get("/api/too-many/")
    client.get("/api/one/1/")
    assert measured.counts(THROTTLED) == {("/api/too-many/",): 1}


def test_a_throttle_of_rest_framework_counts_once_whatever_its_answer_is(
    measured: Measured, client: Browser
) -> None:
    assert client.get("/api/items/").status_code == 200
    assert client.get("/api/items/?wait").status_code == 429
    with override_settings(REST_FRAMEWORK={"EXCEPTION_HANDLER": f"{__name__}.refusing"}):
        assert client.get("/api/items/?wait").status_code == 503
    assert measured.counts(THROTTLED) == {("/api/items/",): 2}
    assert measured.counts(REQUESTS) == {("/api/items/",): 3}


def test_what_is_patched_is_put_back() -> None:
    from rest_framework.views import APIView

    before = APIView.handle_exception
    api = Api(Measured().recorder)
    assert APIView.handle_exception is not before
    api.statistics.uninstall()
    assert APIView.handle_exception is before
    assert api_statistics.counting is None


# --- clients


def asked(user: Any = None, **headers: str) -> HttpRequest:
    request = RequestFactory().get("/api/one/1/", **headers)  # type: ignore[arg-type]
    if user is not None:
        request.user = user
    return request


def test_a_client_is_a_user_else_a_token_else_an_address() -> None:
    api = Api(Measured().recorder, trust_inbound="auto")
    try:
        for request, who in (
            (asked(User(pk=7), HTTP_AUTHORIZATION="Bearer a"), ("user", 7)),
            (asked(AnonymousUser(), HTTP_AUTHORIZATION="Bearer a"), ("token", "Bearer a")),
            (asked(HTTP_X_API_KEY="k"), ("token", "k")),
            (asked(AnonymousUser()), ("address", "127.0.0.1")),
        ):
            client = api.statistics.client_of(request, "api/one/", None)
            assert client is not None
            assert client[:2] == who
        assert api.statistics.client_of(asked(), "other/", None) is None
    finally:
        api.statistics.uninstall()


def test_a_user_that_the_site_has_not_loaded_is_not_loaded_for_our_sake(
    measured: Measured, client: Browser, database_queries: Any
) -> None:
    with database_queries() as queries:
        client.get("/api/one/1/", HTTP_COOKIE="sessionid=unknown")
    assert not queries


class Host:
    """A host's processes: each serves, and shows the others who came."""

    def __init__(self, path: Path) -> None:
        self.clock = SteppedClock()
        self.path = path
        self.changes = {"run_dir": path, "service_name": "shop"}
        self.processes: list[tuple[Process, ApiStatistics]] = []

    def process(self) -> tuple[Process, ApiStatistics]:
        process = Process(self.path / "shop", self.clock)
        statistics = ApiStatistics(now_s=lambda: self.clock.s)
        statistics.measure_with(process.recorder)
        statistics.install(Collected().tracer, settings(**self.changes))
        process.count(1)
        process.poll()
        process.poll(5)
        self.processes.append((process, statistics))
        return process, statistics

    def served(self, process: Process, statistics: ApiStatistics, *who: int) -> None:
        for each in who:
            statistics.record(Client("user", each, statistics), "/api/", 200)
        active.activate(process.recorder, process.host)
        process.recorder.collect()
        active.activate(None)

    def shown(self, process: Process, statistics: ApiStatistics) -> dict[str, float]:
        statistics.after_fork()  # look anew
        active.activate(process.recorder, process.host)
        try:
            for metric in process.recorder.collect():
                if metric.name == CLIENTS.name:
                    return {
                        str(point.attributes[0][1]): getattr(point, "value", -1.0)
                        for point in metric.points
                    }
            return {}
        finally:
            active.activate(None)

    def end(self) -> None:
        for _, statistics in self.processes:
            statistics.uninstall()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    host.end()


def test_a_client_of_several_workers_is_one_and_one_process_tells(host: Host) -> None:
    one, other = host.process(), host.process()
    host.served(*one, 1, 2, 3)
    host.served(*other, 3, 4)
    assert host.shown(*one) == {"1h": 4, "24h": 4}
    assert host.shown(*other) == {}


def test_a_client_behind_a_proxy_of_ours_is_the_one_that_the_proxy_names(host: Host) -> None:
    one = host.process()
    for hop, peer in (("203.0.113.9", "127.0.0.1"), ("203.0.113.9", "10.0.0.2"), ("", "10.0.0.2")):
        request = asked(REMOTE_ADDR=peer, **({"HTTP_X_FORWARDED_FOR": hop} if hop else {}))
        found = one[1].client_of(request, "api/one/", None)
        assert found is not None
        found.was_served("/api/", 200)
    direct = one[1].client_of(asked(REMOTE_ADDR="203.0.113.9"), "api/one/", None)
    assert direct is not None
    direct.was_served("/api/", 200)
    host.served(*one)
    assert host.shown(*one) == {"1h": 2, "24h": 2}


def test_clients_of_workers_that_were_recycled_count_until_the_window_is_over(host: Host) -> None:
    one, other = host.process(), host.process()
    host.served(*other, 1, 2)
    other[0].end()
    host.served(*one, 3)
    assert host.shown(*one) == {"1h": 3, "24h": 3}
    host.clock.s += 3700
    assert host.shown(*one) == {"1h": 0, "24h": 3}
    host.clock.s += 24 * 3600
    assert host.shown(*one) == {"1h": 0, "24h": 0}


def test_a_site_without_an_api_has_no_such_metric_and_no_file(host: Host) -> None:
    one = host.process()
    host.served(*one)
    assert host.shown(*one) == {}
    assert not list(host.path.rglob(f"{FILE}*"))


def test_nothing_of_users_tokens_or_addresses_is_written(host: Host) -> None:
    one = host.process()
    for kind, key in (("token", "Bearer hunter2"), ("address", "203.0.113.9")):
        Client(kind, key, one[1]).was_served("/api/", 200)
    host.served(*one)
    assert host.shown(*one) == {"1h": 2, "24h": 2}
    (file,) = host.path.rglob(FILE)
    content = file.read_bytes()
    for secret in (b"hunter2", b"203.0.113.9"):
        assert secret not in content
    assert max(content[4:4100]) < 54  # ranks only, not even parts of hashes
    if os.name == "posix":
        assert file.stat().st_mode & 0o077 == 0


def test_what_a_process_is_to_say_is_bounded_while_it_cant(host: Host) -> None:
    one = host.process()
    for number in range(20_000):
        one[1].record(Client("user", number, one[1]), "/api/", 200)
    assert len(one[1]._marks) <= 4096
    host.served(*one)
    assert host.shown(*one)["1h"] == pytest.approx(20_000, rel=0.06)


def test_handlers_stay_as_they_are_where_nothing_is_counted() -> None:
    before = BaseHandler.get_response
    statistics = ApiStatistics()
    statistics.install(Collected().tracer, settings())  # no recorder: metrics are off
    assert api_statistics.counting is None
    assert BaseHandler.get_response is before
