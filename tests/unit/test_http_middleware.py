"""``RequestMiddleware`` where a site places it itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import AsyncClient, Client, override_settings

from otel_django import guard
from tests.requests_kit import Traced, make_traced, traced_requests
from tests.requests_kit import settings as ours

PLACED = ["otel_django.middleware.RequestMiddleware", *settings.MIDDLEWARE]


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Traced]:
    """Our provider in charge, the handler not instrumented."""
    traced = make_traced(ours())
    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", traced.provider)
    guard.set_strict(True)
    with override_settings(MIDDLEWARE=PLACED):
        yield traced


def get_async(path: str) -> Any:
    async def run() -> Any:
        response: Any = await AsyncClient(raise_request_exception=False).get(path)
        if response.streaming:
            [chunk async for chunk in response.streaming_content]
        return response

    return asyncio.run(run())


def test_alone_it_makes_the_span(alone: Traced) -> None:
    response = Client().get("/api/v1/articles/7/")

    assert alone.span._name == "GET /api/v1/articles/<int:pk>/"
    assert alone.attributes["http.response.status_code"] == 200
    assert response["X-Request-ID"] == f"{alone.span._context.trace_id:032x}"


def test_alone_it_makes_the_span_of_async_views(alone: Traced) -> None:
    get_async("/stream-async/")

    assert alone.span._name == "GET /stream-async/"
    assert alone.span._end_time - alone.span._start_time >= 30_000_000


def test_alone_it_sees_errors(alone: Traced) -> None:
    assert Client(raise_request_exception=False).get("/raises/").status_code == 500
    assert get_async("/raises-async/").status_code == 500

    assert [span._attributes["http.response.status_code"] for span in alone.spans] == [500, 500]
    assert [str(span._status.status_code) for span in alone.spans] == ["StatusCode.ERROR"] * 2


def test_with_the_handler_instrumented_there_is_one_span() -> None:
    with override_settings(MIDDLEWARE=[PLACED[0], *PLACED]), traced_requests() as traced:
        Client().get("/plain/")
        get_async("/plain/")

    assert [span._name for span in traced.spans] == ["GET /plain/"] * 2


def test_without_a_provider_of_ours_it_passes_requests_through() -> None:
    with override_settings(MIDDLEWARE=PLACED):
        assert Client().get("/plain/").status_code == 200
        assert get_async("/plain/").status_code == 200
