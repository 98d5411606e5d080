"""Context, baggage and request ids that come in with a request, and what goes back."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient, Client
from opentelemetry import baggage

from otel_django.tracing import request_id
from tests.requests_kit import traced_requests

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
PUBLIC = "198.51.101.7"


def test_a_trusted_callers_context_is_the_parent() -> None:
    with traced_requests() as traced:
        Client().get("/plain/", headers={"traceparent": PARENT, "tracestate": "a=b"})

    assert f"{traced.span._context.trace_id:032x}" == TRACE
    assert traced.span._parent is not None
    assert f"{traced.span._parent.span_id:016x}" == SPAN
    assert dict(traced.span._context.trace_state) == {"a": "b"}
    assert not traced.span.links


def test_a_strangers_context_is_linked_and_its_baggage_is_not_taken() -> None:
    with traced_requests() as traced:
        response = Client().get(
            "/context/",
            REMOTE_ADDR=PUBLIC,
            headers={"traceparent": PARENT, "baggage": "tier=gold", "x-request-id": "mine"},
        )

    assert f"{traced.span._context.trace_id:032x}" != TRACE
    assert traced.span._parent is None
    assert [f"{link.context.trace_id:032x}" for link in traced.span.links] == [TRACE]
    assert response.json() == {"baggage": {}, "request_id": response["X-Request-ID"]}
    assert response["X-Request-ID"] != "mine"


def test_a_trusted_callers_baggage_is_taken() -> None:
    with traced_requests():
        response = Client().get("/context/", headers={"baggage": "tier=gold"})

    assert response.json()["baggage"] == {"tier": "gold"}
    assert baggage.get_all() == {}


def test_a_strangers_flag_does_not_switch_sampling_on() -> None:
    with traced_requests("parentbased_always_off") as traced:
        Client().get("/plain/", REMOTE_ADDR=PUBLIC, headers={"traceparent": PARENT})
        assert traced.spans == []
        Client().get("/plain/", headers={"traceparent": PARENT})

    assert f"{traced.span._context.trace_id:032x}" == TRACE


def test_never_and_always_are_heeded() -> None:
    with traced_requests(trust_inbound="never") as never:
        Client().get("/plain/", headers={"traceparent": PARENT})
    with traced_requests(trust_inbound="always") as always:
        Client().get("/plain/", REMOTE_ADDR=PUBLIC, headers={"traceparent": PARENT})

    assert never.span._parent is None
    assert always.span._parent is not None


def test_a_wrong_traceparent_starts_a_new_trace() -> None:
    with traced_requests() as traced:
        Client().get("/plain/", headers={"traceparent": "00-zz"})

    assert traced.span._parent is None
    assert not traced.span.links


def test_over_asgi_the_same_headers_are_read() -> None:
    from tests.unit.test_http_asgi import serve

    headers = [(b"traceparent", PARENT.encode()), (b"baggage", b"a=1"), (b"baggage", b"b=2")]
    with traced_requests() as traced:
        server = serve("/context/", headers=[(b"host", b"localhost"), *headers])

    assert f"{traced.span._context.trace_id:032x}" == TRACE
    assert json.loads(server.body)["baggage"] == {"a": "1", "b": "2"}


def test_the_request_id_is_the_trace_id_unless_one_comes_in() -> None:
    with traced_requests() as traced:
        response = Client().get("/context/")

    trace_id = f"{traced.span._context.trace_id:032x}"
    assert response["X-Request-ID"] == trace_id
    assert response.json()["request_id"] == trace_id
    assert "django.request_id" not in traced.attributes
    assert traced.span.local_root().request_id == trace_id
    assert request_id.current() is None


def test_a_trusted_callers_request_id_is_taken_and_returned() -> None:
    with traced_requests() as traced:
        response = Client().get("/context/", headers={"x-request-id": "order-77.a_b"})

    assert response["X-Request-ID"] == "order-77.a_b"
    assert response.json()["request_id"] == "order-77.a_b"
    assert traced.attributes["django.request_id"] == "order-77.a_b"


@pytest.mark.parametrize("given", ["a b", "x" * 129, "a\tb", "é", "", "<script>"])
def test_an_ill_formed_request_id_is_not_taken(given: str) -> None:
    with traced_requests() as traced:
        response = Client().get("/plain/", headers={"x-request-id": given})

    assert response["X-Request-ID"] == f"{traced.span._context.trace_id:032x}"


def test_a_sites_own_request_id_on_the_response_stays() -> None:
    with traced_requests():
        assert Client().get("/own-request-id/")["X-Request-ID"] == "the site's"


def test_server_timing_names_the_trace_in_debug_only() -> None:
    with traced_requests() as quiet:
        assert "Server-Timing" not in Client().get("/plain/")
    with traced_requests(debug=True) as traced:
        response = Client().get("/plain/")

    assert quiet.span
    context = traced.span._context
    expected = f'traceparent;desc="00-{context.trace_id:032x}-{context.span_id:016x}-03"'
    assert response["Server-Timing"] == expected


def test_server_timing_adds_to_the_sites_own() -> None:
    with traced_requests(debug=True):
        timing = Client().get("/own-timing/")["Server-Timing"]

    assert timing.startswith("db;dur=5, traceparent;desc=")


@pytest.mark.usefixtures("database")
class TestUsers:
    """Who is logged in matters only if the view asked itself."""

    @staticmethod
    def client(*, staff: bool = False) -> Client:
        user = User.objects.create_user("someone", password="pw", is_staff=staff)
        client = Client()
        client.force_login(user)
        return client

    def test_a_user_nobody_loaded_is_not_loaded_for_our_sake(self, database_queries: Any) -> None:
        client = self.client(staff=True)
        with traced_requests(user_id="plain") as traced, database_queries() as queries:
            response = client.get("/user-untouched/")

        assert queries == []
        assert "user.id" not in traced.attributes
        assert "Server-Timing" not in response

    def test_staff_that_the_view_loaded_gets_server_timing(self) -> None:
        with traced_requests():
            assert "Server-Timing" in self.client(staff=True).get("/user/")

    def test_others_do_not(self) -> None:
        with traced_requests():
            assert "Server-Timing" not in self.client().get("/user/")

    def test_the_user_is_not_on_the_span_by_default(self) -> None:
        with traced_requests() as traced:
            self.client().get("/user/")

        assert not [key for key in traced.attributes if key.startswith("user.")]

    def test_opted_in_the_users_id_is_hashed_with_the_secret_key(
        self, settings_changed: Any
    ) -> None:
        client = self.client()
        hashes = []
        for key in ("one", "two", "one"):
            with traced_requests(user_id="hash") as traced, settings_changed(SECRET_KEY=key):
                client.force_login(User.objects.get())
                client.get("/user/")
            assert "user.id" not in traced.attributes
            hashes.append(traced.attributes["user.hash"])

        assert hashes[0] == hashes[2] != hashes[1]
        assert len(hashes[0]) == 32

    def test_opted_in_plain_it_is_the_primary_key(self) -> None:
        with traced_requests(user_id="plain") as traced:
            self.client().get("/user/")

        assert traced.attributes["user.id"] == str(User.objects.get().pk)

    def test_a_user_loaded_by_an_async_view_counts_too(self) -> None:
        user = User.objects.create_user("someone", password="pw")

        async def run() -> None:
            client = AsyncClient()
            await client.aforce_login(user) if hasattr(client, "aforce_login") else None
            await client.get("/user-async/")

        if not hasattr(AsyncClient, "aforce_login"):
            pytest.skip("Django 5.0 and newer")
        with traced_requests(user_id="plain") as traced:
            asyncio.run(run())

        assert traced.attributes["user.id"] == str(user.pk)
