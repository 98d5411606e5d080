"""Nobody without the right to it gets anything from any page, part of one, stream or file.

Every URL there is comes from the URLconfs: a new one is held to this without being named here.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest
from django.test import Client, RequestFactory, override_settings
from django.urls import URLPattern, resolve

from otel_django import names, probe_urls, urls
from otel_django.metrics import active
from otel_django.tracing.trust import FORWARDING_HEADERS
from otel_django.viewer.paths import PATHS
from otel_django.viewer.urls import VIEWS
from tests.alerts_kit import alert
from tests.endpoints_kit import STRANGER, TOKEN, as_sums_of_the_host, by_token, ours
from tests.store_logs import record
from tests.store_metrics import counter, of
from tests.tables_kit import BROWSER, Telemetry

MARK = "only-for-staff"
FINGERPRINT = "0" * 16
SAMPLES = {
    "hex:trace_id": "1" * 32,
    "hex:fingerprint": FINGERPRINT,
    "path:name": "viewer.css",
    "slug:part": "site",
    "slug:name": "HighErrorRate",
}
"""What stands for the parts of paths that vary; the test sees to it that none is missing."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
FORMATS = ("", "html", "json", "csv", "otlp", "ndjson", "prometheus", "openmetrics")
PARTS = ("", "live=1", "part=span", "explain=1", "had=0&since=0", "after=0", "at=0", "q=only")
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"HTTP_HX_REQUEST": "true"},
    {"HTTP_ACCEPT": "text/event-stream"},
    {"HTTP_ACCEPT": BROWSER},
)
FOR_ANYBODY = frozenset(
    {
        *("health/", "health/simple/", "healthz/", "uptime/", "static/<path:name>"),
        *("livez", "readyz", "ready/", "startupz"),
    }
)
"""They say nothing but whether the site is well, and what a script of the pages is."""
INSIDE = {"HTTP_HOST": "localhost", "REMOTE_ADDR": "127.0.0.1"}


def below(prefix: str, patterns: Any) -> list[str]:
    """The routes of a URLconf, those of URLconfs that it includes, too."""
    found: list[str] = []
    for each in patterns:
        route = f"{prefix}{each.pattern}"
        found += [route] if isinstance(each, URLPattern) else below(route, each.url_patterns)
    return found


ROUTES = tuple(dict.fromkeys(below("", [*urls.urlpatterns, *probe_urls.urlpatterns])))
GUARDED = tuple(each for each in ROUTES if each not in FOR_ANYBODY)
urlpatterns = [*urls.urlpatterns, *probe_urls.urlpatterns]


def address(route: str) -> str:
    return "/" + re.sub(r"<([^>]+)>", lambda found: SAMPLES[found.group(1)], route)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Telemetry]:
    """One request with a query, a log record, an exception and a metric, each with the mark."""
    made = Telemetry(tmp_path_factory.mktemp("store"))
    start = made.now_ns - 60 * 10**9
    root = made.spans.request(f"/{MARK}/", start=start, statement=f"SELECT '{MARK}'")
    trace = root.get_span_context().trace_id
    stack = f'Traceback:\n  File "{MARK}.py", line 1, in view\nValueError: {MARK}'
    told: dict[str, Any] = {
        names.EXCEPTION_TYPE: f"{MARK}.Error",
        names.EXCEPTION_MESSAGE: MARK,
        names.EXCEPTION_STACKTRACE: stack,
    }
    failed = record(MARK, level="error", time_ns=start, trace_id=trace, **told)
    made.logs.accept([failed])
    made.metrics.take([of(counter(1.0, start, name=MARK))])
    made.keep()
    SAMPLES["hex:trace_id"] = format(trace, "032x")
    SAMPLES["hex:fingerprint"] = _fingerprint(made)
    yield made
    made.writer.close(time.monotonic() + 2)


def _fingerprint(made: Telemetry) -> str:
    from otel_django.backends.embedded_errors import EmbeddedErrorReader

    [group] = EmbeddedErrorReader(made.path).groups(0, made.now_ns).groups
    return group.fingerprint


@pytest.fixture(autouse=True)
def site(store: Telemetry, tmp_path: Path, migrated: Path) -> Iterator[None]:
    changed = {"TOKENS": ["sesame"], "STORE": str(store.path), "RUN_DIR": str(tmp_path)}
    as_sums_of_the_host(of(counter(1.0, store.now_ns, name=MARK, of=MARK)))
    with ours(**changed), override_settings(ROOT_URLCONF=__name__):
        yield
    active.activate(None)


def body(response: Any) -> str:
    whole = b"".join(response.streaming_content) if response.streaming else response.content
    return bytes(whole).decode("utf-8", "replace")


def somebody(**is_what: bool) -> Any:
    """A user as the session would have it."""
    plain = {"is_authenticated": True, "is_active": True, "is_staff": False, **is_what}
    return SimpleNamespace(
        pk=1, has_perm=lambda name: False, get_username=lambda: "somebody", **plain
    )


def ask(route: str, user: Any, method: str = "GET", query: str = "", **environ: str) -> Any:
    """The view's own answer, with no middleware before it."""
    where = address(route)
    said: dict[str, Any] = {"REMOTE_ADDR": STRANGER, **environ}
    made: HttpRequest = RequestFactory().generic(method, f"{where}?{query}", **said)
    made.user = user
    match = resolve(where, __name__)
    return match.func(made, *match.args, **match.kwargs)


def refuses(response: Any) -> bool:
    if response.status_code == 302:
        return "/login/" in response.headers["Location"] and MARK not in body(response)
    return response.status_code in {401, 403, 405} and MARK not in body(response)


def test_with_the_right_to_it_the_mark_is_on_the_pages() -> None:
    """Else its absence elsewhere would say nothing."""
    seen = {
        route
        for route in GUARDED
        if MARK in body(by_token(HTTP_ACCEPT=BROWSER).get(address(route)))
    }
    wanted = ("traces/", "traces/<hex:trace_id>/", "logs/", "metrics/explore/", "endpoints/")
    more = ("performance/queries/", "metrics", "errors/", "errors/<hex:fingerprint>/")
    assert {*wanted, *more, ""} <= seen
    for asked in ("traces/?format=csv", "traces/?format=otlp", "logs/?format=ndjson"):
        assert MARK in body(by_token().get(f"/{asked}")), asked


NOBODY = {
    "a stranger": AnonymousUser(),
    "a customer": somebody(),
    "staff that left": somebody(is_staff=True, is_active=False),
    "nobody at all": None,
}


@pytest.mark.parametrize("who", NOBODY)
@pytest.mark.parametrize("route", GUARDED)
def test_no_method_gives_anything_to_who_has_no_right(route: str, who: str) -> None:
    for method in METHODS:
        assert refuses(ask(route, NOBODY[who], method)), method


@pytest.mark.parametrize("route", GUARDED)
def test_no_form_of_an_answer_gives_anything_to_a_stranger(route: str) -> None:
    for form, part, headers in itertools.product(FORMATS, PARTS, HEADERS):
        query = f"{part}&format={form}" if form else part
        assert refuses(ask(route, AnonymousUser(), query=query, **headers)), (query, headers)


@pytest.mark.parametrize("route", sorted(FOR_ANYBODY))
def test_what_is_for_anybody_says_nothing_of_what_is_kept(route: str) -> None:
    assert route in ROUTES
    for form, method in itertools.product(FORMATS, METHODS):
        found = ask(route, AnonymousUser(), method, f"format={form}")
        assert MARK not in body(found)


@pytest.mark.parametrize(
    "header", ["Bearer sesam", "Bearer", "Basic sesame", "sesame", "Bearer \x00"]
)
@pytest.mark.parametrize("route", GUARDED)
def test_a_wrong_token_is_none(route: str, header: str) -> None:
    assert refuses(ask(route, AnonymousUser(), HTTP_AUTHORIZATION=header))


@pytest.mark.parametrize("route", GUARDED)
def test_the_door_of_debug_is_for_this_machine_alone(route: str) -> None:
    with override_settings(DEBUG=True, ALLOWED_HOSTS=["*"]):
        if route not in {"alerts/receive/", "alerts/test/", "cache/clear/"}:
            assert ask(route, AnonymousUser(), **INSIDE).status_code in {200, 404}
        hosts = ("shop.example", "localhost.shop.example", "127.0.0.1.nip.io")
        changes = [{"REMOTE_ADDR": STRANGER}, {"REMOTE_ADDR": ""}]
        changes += [{"HTTP_HOST": host} for host in hosts]
        changes += [{header: "127.0.0.1"} for header in FORWARDING_HEADERS]
        for changed in changes:
            for method in ("GET", "HEAD", "POST"):
                found = ask(route, AnonymousUser(), method, **{**INSIDE, **changed})
                assert refuses(found), (method, changed)


@pytest.mark.parametrize(
    "header", ["X_FORWARDED_FOR", "X_FORWARDED_HOST", "FORWARDED", "X_REAL_IP"]
)
def test_what_proxies_say_is_known(header: str) -> None:
    assert f"HTTP_{header}" in FORWARDING_HEADERS


# --- what changes something


@pytest.mark.parametrize("route", GUARDED)
def test_nothing_is_changed_by_a_form_of_another_site(route: str) -> None:
    """Whatever takes POST at all wants the token of a form of ours from who is logged in."""
    staff = somebody(is_staff=True, is_superuser=True)
    staff.has_perm = lambda name: True
    made = ask(route, staff, "POST", HTTP_ORIGIN="https://evil.example")
    assert made.status_code in {401, 403, 405}
    if made.status_code == 403:
        assert "csrf" in body(made).lower() or "Nothing was changed" in body(made)


@pytest.mark.parametrize("route", GUARDED)
def test_a_token_changes_no_decision_of_people(route: str) -> None:
    made = ask(route, AnonymousUser(), "POST", **TOKEN)
    if route.startswith("errors/<"):
        assert made.status_code in {302, 403}
    assert MARK not in body(made)


# --- staff


def test_staff_sees_what_is_for_staff(database: None) -> None:
    client = Client(REMOTE_ADDR=STRANGER)
    client.force_login(User.objects.create(username="staff", is_staff=True))
    only_by_post = {"alerts/receive/", "alerts/test/", "cache/clear/"}
    alert(fingerprint=SAMPLES["hex:fingerprint"])
    for route in GUARDED:
        assert client.get(address(route)).status_code == (405 if route in only_by_post else 200)
    assert client.post("/alerts/test/").status_code == 403


# --- what every answer has


PAGES = tuple(PATHS[name] for name in VIEWS if name != "static")


@pytest.mark.parametrize("route", PAGES)
def test_every_answer_forbids_scripts_of_others_and_keeping(route: str) -> None:
    response = by_token(HTTP_ACCEPT=BROWSER).get(address(route))
    assert response.headers["Cache-Control"] == "no-store"
    policy = response.headers.get("Content-Security-Policy", "")
    assert "unsafe" not in policy
    if response.headers["Content-Type"].startswith("text/html"):
        assert "default-src 'none'" in policy
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        for inline in ("<style", " style=", " onclick=", "javascript:"):
            assert inline not in body(response)


@pytest.mark.parametrize("route", PAGES)
def test_an_address_with_too_many_parameters_is_refused(route: str) -> None:
    many = "&".join(f"a{number}=1" for number in range(2000))
    response = by_token(HTTP_ACCEPT=BROWSER).get(f"{address(route)}?{many}")
    assert response.status_code == 400
