"""Our encoder's messages are upstream's, but for upstream's faults (``otlp_spans.upstream``)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_django.pipeline.otlp_trace import encode_request
from otel_django.tracing.span import Span
from otel_django.tracing.span_parts import SharedAttributes
from tests.unit.otlp_spans import batches, comparable, make_span, our_span, ours, spans, upstream

slow_to_make = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@slow_to_make
@given(batches)
def test_any_batch_parses_to_upstreams_message(batch: Sequence[Span]) -> None:
    assert comparable(ours(batch)) == comparable(upstream(batch))


@slow_to_make
@given(spans)
def test_a_span_alone_is_the_span_in_a_request(span: Span) -> None:
    in_request = ours([span]).resource_spans[0].scope_spans[0].spans[0]
    assert comparable(our_span(span)) == comparable(in_request)


@slow_to_make
@given(spans)
def test_what_is_remembered_changes_nothing(span: Span) -> None:
    first = encode_request([span])
    assert encode_request([span]) == first


def test_the_encoder_needs_neither_opentelemetry_nor_django() -> None:
    program = (
        "import sys, otel_django.pipeline.otlp_trace;"
        "print([m for m in sys.modules if m.startswith(('opentelemetry', 'django', 'google'))])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


def test_shared_attributes_are_written_as_if_they_were_the_spans_own() -> None:
    shared = SharedAttributes({"http.route": "/", "server.port": 443})
    apart = make_span(attributes={"url.path": "/"})
    together = make_span(attributes={**shared.values, "url.path": "/"})
    for _ in range(2):
        apart._shared = shared
        assert encode_request([apart]) == encode_request([together])
    assert comparable(ours([apart])) == comparable(upstream([apart]))
    assert encode_request([apart]) == encode_request([together])


def test_no_spans_are_an_empty_request() -> None:
    assert encode_request([]) == b""


def test_equal_resources_and_scopes_are_one_group() -> None:
    batch = [
        make_span(
            resource=Resource(
                {"service.name": "shop", "a": 1} if n % 2 else {"a": 1, "service.name": "shop"}
            ),
            instrumentation_scope=InstrumentationScope("s", "1", attributes={"x": n // 2}),
        )
        for n in range(4)
    ]
    [resource] = ours(batch).resource_spans
    assert [len(scope.spans) for scope in resource.scope_spans] == [2, 2]


def test_scopes_that_differ_only_in_the_type_of_a_number_stay_apart() -> None:
    batch = [
        make_span(instrumentation_scope=InstrumentationScope("s", attributes={"x": value}))
        for value in (1, True, 1.0)
    ]
    [resource] = ours(batch).resource_spans
    assert len(resource.scope_spans) == 3


def test_a_batch_may_hold_any_number_of_spans() -> None:
    batch = [make_span(attributes={"n": n, "text": "x" * n}) for n in range(3_000)]
    encoded = ours(batch).resource_spans[0].scope_spans[0].spans
    assert [span.attributes[0].value.int_value for span in encoded] == list(range(3_000))
    assert [len(span.attributes[1].value.string_value) for span in encoded] == list(range(3_000))


def test_a_span_that_cant_be_encoded_costs_no_other() -> None:
    broken = make_span(status=object())
    errors: list[Exception] = []
    request = encode_request([make_span(), broken, make_span()], failed=errors.append)
    assert request == encode_request([make_span(), make_span()])
    assert [type(error) for error in errors] == [AttributeError]


def test_a_span_that_cant_be_encoded_is_an_error_if_nobody_is_to_be_told() -> None:
    with pytest.raises(AttributeError):
        encode_request([make_span(status=object())])


def test_threads_encode_beside_each_other() -> None:
    batch = [make_span(attributes={f"k{n % 7}": f"value {n}", "n": n}) for n in range(500)]
    alone = [encode_request([span]) for span in batch]
    with ThreadPoolExecutor(4) as pool:
        for beside in pool.map(lambda _: [encode_request([span]) for span in batch], range(8)):
            assert beside == alone
