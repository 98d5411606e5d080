"""The caller's context: our parser against upstream's, and other formats."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import SpanContext, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otel_django.errors import ConfigurationError
from otel_django.tracing.propagation import EnvironGetter, Inbound, parse_traceparent
from tests.requests_kit import traced_requests

logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

hexadecimal = st.text("0123456789abcdef", min_size=1, max_size=40)


def exactly(length: int) -> st.SearchStrategy[str]:
    return st.one_of(
        st.text("0123456789abcdef", min_size=length, max_size=length),
        st.just("0" * length),
        hexadecimal,
        st.text(max_size=length),
    )


traceparents = st.one_of(
    st.text(max_size=80),
    st.tuples(
        st.sampled_from(["", " ", "\t ", "\n"]),
        st.one_of(st.sampled_from(["00", "01", "fe", "ff"]), exactly(2)),
        exactly(32),
        exactly(16),
        exactly(2),
        st.sampled_from(["", " ", "-", "-more", "-\n", "\n", " \t", "x", "-" * 600]),
    ).map(lambda parts: f"{parts[0]}{parts[1]}-{parts[2]}-{parts[3]}-{parts[4]}{parts[5]}"),
)
tracestates = st.one_of(
    st.none(),
    st.text(max_size=40),
    st.lists(
        st.tuples(
            st.one_of(st.sampled_from(["ot", "a", "1@b", "UPPER", "a@"]), st.text(max_size=5)),
            st.one_of(st.sampled_from(["th:8", "x", "", "y" * 9000]), st.text(max_size=5)),
        ).map("=".join),
        max_size=40,
    ).map(", ".join),
)


def upstreams(headers: Mapping[str, str]) -> SpanContext:
    context = TraceContextTextMapPropagator().extract(headers, Context())
    return get_current_span(context).get_span_context()


@given(traceparents, tracestates)
def test_traceparent_is_read_as_upstream_reads_it(traceparent: str, tracestate: str | None) -> None:
    headers = {"traceparent": traceparent}
    if tracestate is not None:
        headers["tracestate"] = tracestate
    theirs = upstreams(headers)

    ours = parse_traceparent(traceparent, tracestate)

    if not theirs.is_valid:
        assert ours is None
        return
    assert ours is not None
    assert ours[:4] == theirs[:4]
    assert ours.is_remote
    assert dict(ours.trace_state) == dict(theirs.trace_state)


PARENT = f"00-{'a' * 32}-{'b' * 16}-01"


def test_the_usual_propagators_read_context_and_baggage() -> None:
    inbound = Inbound(("tracecontext", "baggage"))

    remote, carried = inbound.extract({"HTTP_TRACEPARENT": PARENT, "HTTP_BAGGAGE": "tier=gold"})

    assert remote is not None
    assert remote.trace_id == int("a" * 32, 16)
    assert baggage.get_all(carried) == {"tier": "gold"}
    assert inbound.headers == ("HTTP_TRACEPARENT", "HTTP_TRACESTATE", "HTTP_BAGGAGE")


def test_without_baggage_there_is_no_context() -> None:
    remote, carried = Inbound(("tracecontext", "baggage")).extract({"HTTP_TRACEPARENT": PARENT})

    assert remote is not None
    assert carried is None


@pytest.mark.parametrize("names", [(), ("none",), ("baggage",)])
def test_a_context_is_not_read_unless_its_format_is_named(names: tuple[str, ...]) -> None:
    remote, _ = Inbound(names).extract({"HTTP_TRACEPARENT": PARENT})

    assert remote is None


def test_a_propagator_that_is_not_installed_is_named_in_the_error() -> None:
    with pytest.raises(ConfigurationError, match="'b4'"):
        Inbound(("tracecontext", "b4"))


def test_requests_are_traced_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    with traced_requests(propagators=("b4",)) as traced:
        Client().get("/plain/", headers={"traceparent": PARENT})

    assert traced.span._parent is not None
    assert "'b4'" in caplog.text


class Foreign(TextMapPropagator):
    """A propagator of somebody's own."""

    fields = {"x-foreign"}  # noqa: RUF012

    def extract(self, carrier: Any, context: Any = None, getter: Any = None) -> Context:
        return Context({"found": getter.get(carrier, "X-Foreign"), "keys": getter.keys(carrier)})

    def inject(self, carrier: Any, context: Any = None, setter: Any = None) -> None:
        raise NotImplementedError


def test_foreign_propagators_read_an_environ_by_header_names() -> None:
    found = Foreign().extract({"HTTP_X_FOREIGN": "1", "REMOTE_ADDR": "x"}, None, EnvironGetter())

    assert found == {"found": ["1"], "keys": ["x-foreign"]}
