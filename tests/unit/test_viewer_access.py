"""Nobody without the right to it gets anything from any page, part of one, stream or file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client, RequestFactory, override_settings
from django.urls import resolve

from otel_django.store.writer import StoreWriter
from otel_django.viewer.paths import PATHS
from otel_django.viewer.urls import VIEWS
from tests.endpoints_kit import STRANGER, by_token, ours
from tests.store_spans import Losses, SpanSource, store_path

MARK = "/only-for-staff/"
ASKED = ("", "?live=1", "?format=csv", "?format=otlp", "?format=ndjson", "?format=json", "?q=a")
NAMES = sorted(VIEWS.keys() - {"static"})


def path_of(name: str, trace_id: str) -> str:
    """The page's path; pages of one thing are that of the trace there is."""
    return (
        f"/{PATHS[name].replace('<hex:trace_id>', trace_id).replace('<hex:fingerprint>', '0' * 16)}"
    )


@pytest.fixture
def trace_id(tmp_path: Path) -> Iterator[str]:
    """A store with one request."""
    path, losses, spans = store_path(tmp_path), Losses(), SpanSource()
    writer = StoreWriter(path, retention_hours=24, max_mb=64, drops=losses)
    root = spans.request(MARK, start=time.time_ns() - 10**9)
    writer.accept(spans.take())
    writer.flush(time.monotonic() + 2)
    with (
        ours(TOKENS=["sesame"], STORE=str(path)),
        override_settings(ROOT_URLCONF="otel_django.viewer.urls"),
    ):
        yield format(root._context[0], "032x")
    writer.close(time.monotonic() + 2)


def body(response: Any) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else response.content


def test_with_the_right_to_it_the_request_is_on_the_pages(trace_id: str) -> None:
    client = by_token()
    for name in ("traces", "trace", "endpoints"):
        assert MARK.encode() in body(client.get(path_of(name, trace_id))), name
    for asked in ("?format=csv", "?format=otlp"):
        assert MARK.encode() in body(client.get(path_of("traces", trace_id) + asked)), asked


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("name", NAMES)
def test_a_stranger_gets_nothing(name: str, asked: str, trace_id: str) -> None:
    for headers in ({}, {"HTTP_HX_REQUEST": "true"}, {"HTTP_ACCEPT": "text/event-stream"}):
        client = Client(REMOTE_ADDR=STRANGER, **headers)  # type: ignore[arg-type]
        response = client.get(path_of(name, trace_id) + asked)
        assert response.status_code in {302, 403}
        assert MARK.encode() not in body(response)


@pytest.mark.parametrize("name", NAMES)
def test_a_customer_who_is_logged_in_gets_nothing(name: str, trace_id: str) -> None:
    path = path_of(name, trace_id)
    request = RequestFactory().get(path, REMOTE_ADDR=STRANGER)
    request.user = SimpleNamespace(  # type: ignore[assignment]
        is_authenticated=True, is_active=True, is_staff=False, pk=1, has_perm=lambda name: False
    )
    match = resolve(path, "otel_django.viewer.urls")
    response = match.func(request, **match.kwargs)
    assert response.status_code == 403
    assert MARK.encode() not in body(response)


@pytest.mark.parametrize(
    "changed",
    [
        {"HTTP_HOST": "shop.example"},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"HTTP_FORWARDED": "for=127.0.0.1"},
        {"HTTP_X_REAL_IP": "127.0.0.1"},
        {"REMOTE_ADDR": STRANGER},
    ],
    ids=["rebinding", "x-forwarded-for", "forwarded", "x-real-ip", "another machine"],
)
@pytest.mark.parametrize("name", NAMES)
def test_the_door_of_debug_is_for_this_machine_alone(
    name: str, changed: dict[str, str], trace_id: str
) -> None:
    with override_settings(DEBUG=True, ALLOWED_HOSTS=["*"]):
        path = path_of(name, trace_id)
        inside = {"HTTP_HOST": "localhost", "REMOTE_ADDR": "127.0.0.1"}
        assert Client().get(path, **inside).status_code in {200, 404}  # type: ignore[arg-type]
        response = Client().get(path, **{**inside, **changed})  # type: ignore[arg-type]
        assert response.status_code in {302, 403}
        assert MARK.encode() not in body(response)


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_forbids_scripts_of_others_and_keeping(name: str, trace_id: str) -> None:
    response = by_token().get(path_of(name, trace_id))
    assert response.headers["Cache-Control"] == "no-store"
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    text = body(response)
    for inline in (b"<style", b" style=", b" onclick=", b"javascript:"):
        assert inline not in text


@pytest.mark.parametrize("name", NAMES)
def test_an_address_with_too_many_parameters_is_refused(name: str, trace_id: str) -> None:
    many = "&".join(f"a{number}=1" for number in range(2000))
    response = by_token().get(f"{path_of(name, trace_id)}?{many}")
    assert response.status_code == 400
