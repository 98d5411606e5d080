"""``OTEL_DJANGO_DETAIL=full``: spans below the request's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django import forms
from django.core.handlers import base as handlers
from django.dispatch import Signal
from django.template import Context, Engine, Template
from django.test import AsyncClient, Client
from opentelemetry.trace import SpanKind

from otel_django.instrumentation.detail import DetailInstrumentation
from tests.requests_kit import Traced, traced_requests

base: Any = handlers  # its names are no part of Django's typed interface


@pytest.fixture
def traced() -> Iterator[Traced]:
    with traced_requests() as traced:
        instrumentation = DetailInstrumentation()
        instrumentation.install(traced.provider.tracer("otel_django"), traced.settings)
        try:
            yield traced
        finally:
            instrumentation.uninstall()


def tree(traced: Traced) -> dict[str, str | None]:
    """Each span's name with its parent's."""
    names = {span._context.span_id: span._name for span in traced.spans}
    return {
        span._name: names[span._parent.span_id] if span._parent is not None else None
        for span in traced.spans
    }


def test_middleware_and_views_nest_as_they_run(traced: Traced) -> None:
    Client().get("/plain/")

    parents = tree(traced)
    assert parents["view tests.site.views.plain"] == (
        "middleware django.contrib.auth.middleware.AuthenticationMiddleware"
    )
    assert parents["middleware tests.site.middleware.pass_on"] == (
        "middleware tests.site.middleware.EarlyAnswer"
    )
    assert parents["middleware django.middleware.security.SecurityMiddleware"] == "GET /plain/"
    assert traced.spans[0]._kind is SpanKind.INTERNAL
    assert len(traced.spans) == 9


def test_async_chains_nest_too(traced: Traced) -> None:
    asyncio.run(AsyncClient().get("/plain-async/"))

    parents = tree(traced)
    assert parents["view tests.site.views.plain_async"] == (
        "middleware django.contrib.auth.middleware.AuthenticationMiddleware"
    )
    assert parents["middleware django.middleware.security.SecurityMiddleware"] == (
        "GET /plain-async/"
    )


def test_templates_nest_by_inclusion(traced: Traced) -> None:
    Client().get("/template/")

    names = [span._name for span in traced.spans if span._name.startswith("template")]
    assert names == ["template row.html"] * 3 + ["template page.html"]
    assert tree(traced)["template row.html"] == "template page.html"
    assert tree(traced)["template page.html"] == "view tests.site.views.template"


def test_a_view_that_raises_fails_its_span(traced: Traced) -> None:
    Client(raise_request_exception=False).get("/raises/")

    (view,) = (span for span in traced.spans if span._name == "view tests.site.views.raises")
    assert view._attributes["error.type"] == "ValueError"


class NameForm(forms.Form):
    name = forms.CharField()


def test_forms_and_the_sites_receivers_have_spans(traced: Traced) -> None:
    signal = Signal()
    heard: list[Any] = []

    def hears(sender: Any, **kwargs: Any) -> str:
        heard.append(sender)
        return "heard"

    signal.connect(hears)
    tracer = traced.provider.get_tracer("test")
    with tracer.start_as_current_span("root"):
        assert NameForm({"name": "x"}).is_valid()
        ((_, answer),) = signal.send("me")

    assert answer == "heard"
    assert heard == ["me"]
    assert [span._name.partition(" ")[0] for span in traced.spans] == ["form", "receiver", "root"]


def test_nothing_is_recorded_outside_a_recorded_span(traced: Traced) -> None:
    Template("x", engine=Engine()).render(Context())

    assert traced.spans == []


def test_uninstalling_puts_everything_back() -> None:
    before = (
        base.convert_exception_to_response,
        base.BaseHandler.make_view_atomic,
        Template.render,
        forms.Form.full_clean,
        Signal._live_receivers,
    )
    with traced_requests() as traced:
        instrumentation = DetailInstrumentation()
        tracer = traced.provider.tracer("otel_django")
        instrumentation.install(tracer, traced.settings)
        instrumentation.install(tracer, traced.settings)
        client = Client()
        client.get("/plain/")
        assert base.convert_exception_to_response is not before[0]
        instrumentation.uninstall()
        traced.spans.clear()
        client.get("/plain/")  # its chain was built while installed

    assert traced.span._name == "GET /plain/"
    assert before == (
        base.convert_exception_to_response,
        base.BaseHandler.make_view_atomic,
        Template.render,
        forms.Form.full_clean,
        Signal._live_receivers,
    )
