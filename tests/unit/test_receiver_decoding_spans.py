"""Spans that other services send are stored as if they had been recorded here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_django import names
from otel_django.pipeline.protobuf import TOO_DEEP
from otel_django.receiver import decoding_values
from otel_django.receiver.decoding import decode
from otel_django.receiver.decoding_spans import ReceivedSpan
from otel_django.store.rows import Packer, Rows
from tests.unit.otlp_spans import _spared, batches, upstream
from tests.unit.received import (
    JSON,
    PROTOBUF,
    as_json,
    attribute,
    of_items,
    of_json,
    of_message,
    request,
    span,
)

if TYPE_CHECKING:
    from otel_django.tracing.span import Span

slow_to_make = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
RESOURCE = Resource({"service.name": "shop", "process.command_args": ["a", "b"]})
SCOPE = InstrumentationScope("tests", "1")


def rows(spans: Sequence[Any]) -> Rows:
    return Packer(lambda: None).pack(spans)


def one(**changes: Any) -> ReceivedSpan:
    """The span of a request, the same in both encodings."""
    [from_json] = of_json("traces", span(**changes), service__name="shop").spans
    [found] = of_items("traces", span(**changes), service__name="shop").spans
    assert rows([from_json]) == rows([found])
    assert isinstance(found, ReceivedSpan)
    return found


@slow_to_make
@given(batches)
def test_what_upstreams_encoder_sends_is_stored_as_if_recorded_here(batch: list[Span]) -> None:
    for each in batch:
        each._resource, each._instrumentation_scope = RESOURCE, SCOPE
        each._name = each._name[:500]
        for event in each._events:
            event._name = event._name[:500]
    message = upstream(batch)
    own = rows([_spared(each) for each in batch])
    for found in (
        of_message("traces", message),
        decode("traces", JSON, as_json(message)),
        decode("traces", JSON, as_json(message, names_of_enums=True)),
    ):
        assert (found.rejected, found.message) == (0, "")
        assert rows(found.spans) == own


@pytest.mark.parametrize(
    ("flags", "kind", "remote"),
    [
        (0x100, 2, False),  # says that it is of this process
        (0x300, 3, True),
        (0, 2, True),  # says nothing: a server is called from elsewhere
        (0, 5, True),
        (0, 1, False),
        (0, 3, False),
    ],
)
def test_a_parent_is_elsewhere_if_the_flags_or_else_the_kind_say_so(
    flags: int, kind: int, remote: bool
) -> None:
    found = one(flags=flags, kind=kind, parentSpanId="00f067aa0ba902b7")
    assert found._parent is not None
    assert found._parent.is_remote is remote


@pytest.mark.parametrize("parent", ["", "0000000000000000"])
def test_no_parent_is_a_root(parent: str) -> None:
    assert one(parentSpanId=parent)._parent is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"traceId": ""}, "the trace id is not 16 bytes, or all zeros"),
        ({"traceId": "00" * 16}, "the trace id is not 16 bytes, or all zeros"),
        ({"traceId": "ab" * 15}, "the trace id is not 16 bytes, or all zeros"),
        ({"spanId": "ab" * 9}, "the span id is not 8 bytes, or all zeros"),
        ({"parentSpanId": "ab"}, "the parent's span id is not 8 bytes"),
    ],
)
def test_a_span_with_ids_that_arent_any_is_rejected_alone(
    changes: dict[str, str], reason: str
) -> None:
    for decoded in (of_json, of_items):
        found = decoded("traces", span(), span(**changes), span(**changes))
        assert len(found.spans) == 1
        assert (found.rejected, found.message) == (2, f"2 spans: {reason}")


def test_ids_in_capitals_are_the_same() -> None:
    [found] = of_json("traces", span(traceId="0AF7651916CD43DD8448EB211C80319C")).spans
    assert found._context.trace_id == 0x0AF7651916CD43DD8448EB211C80319C


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"startTimeUnixNano": "soon"}, "startTimeUnixNano"),
        ({"startTimeUnixNano": 1.5}, "startTimeUnixNano"),
        ({"endTimeUnixNano": -1}, "endTimeUnixNano"),
        ({"traceId": "no hexadecimal digits"}, "traceId"),
        ({"name": 7}, "name"),
        ({"attributes": {"a": 1}}, "attributes"),
        ({"attributes": [{"key": "k", "value": {"boolValue": "yes"}}]}, "boolValue"),
        ({"attributes": [{"key": "k", "value": {"bytesValue": "%"}}]}, "bytesValue"),
    ],
)
def test_json_with_a_value_of_the_wrong_kind_costs_that_span_only(
    changes: dict[str, Any], field: str
) -> None:
    found = of_json("traces", span(**changes), span())
    assert (len(found.spans), found.rejected) == (1, 1)
    assert found.message == f"1 span: {field} has a value of the wrong kind"


def test_numbers_may_be_texts_or_numbers_and_what_is_unknown_is_ignored() -> None:
    found = one(startTimeUnixNano=1000000000, endTimeUnixNano="1005000000")
    assert (found._start_time, found._end_time) == (1_000_000_000, 1_005_000_000)
    [other] = of_json("traces", span(kind="SPAN_KIND_CLIENT", flavour={"of": ["late"]})).spans
    assert other._kind.name == "CLIENT"


def test_text_that_javascript_cut_within_a_character_is_taken() -> None:
    body = json.dumps(request("traces", span(name="cut \ud83d"))).encode()
    assert b"\\ud83d" in body
    [found] = decode("traces", JSON, body).spans
    assert found._name == "cut \ufffd"


def test_text_that_isnt_utf8_costs_that_span_only() -> None:
    message = ExportTraceServiceRequest()
    spans = message.resource_spans.add().scope_spans.add().spans
    for name in ("fine", "broken"):
        spans.add(trace_id=b"\1" * 16, span_id=b"\2" * 8, name=name)
    body = message.SerializeToString().replace(b"broken", b"brok\xff\xfe")
    found = decode("traces", PROTOBUF, body)
    assert ([each._name for each in found.spans], found.rejected) == (["fine"], 1)
    assert "UTF-8" in found.message


def test_a_service_without_a_name_is_unknown() -> None:
    [found] = of_json("traces", span()).spans
    assert found._resource.attributes == {names.SERVICE_NAME: "unknown_service"}


def test_equal_resources_and_scopes_are_one_object_across_requests() -> None:
    first, second = one(), one()
    assert first._resource is second._resource
    assert first._instrumentation_scope is second._instrumentation_scope


def test_what_is_too_long_or_too_much_is_cut_with_a_mark() -> None:
    long, many = "x" * 70_000, [attribute(f"k{number}", "v") for number in range(1_200)]
    found = one(name=long, attributes=[attribute("long", long)], events=[{"name": "e"}] * 1_100)
    assert len(found._name) == decoding_values.MAX_NAME_CHARACTERS
    assert len(found._attributes["long"]) == decoding_values.MAX_CHARACTERS
    assert found._name[-1] == found._attributes["long"][-1] == "…"
    assert (len(found._events), found._dropped_events) == (1_000, 100)
    more = one(attributes=many, droppedAttributesCount=3)
    assert (len(more._attributes), more._dropped_attributes) == (1_000, 203)


def test_values_nested_too_deeply_say_so() -> None:
    value: dict[str, Any] = {"stringValue": "x"}
    for _ in range(40):
        value = {"arrayValue": {"values": [value]}}
    found = one(attributes=[{"key": "k", "value": value}])._attributes["k"]
    assert TOO_DEEP in json.dumps(found)


def test_links_without_ids_are_counted_as_dropped() -> None:
    good = {"traceId": "ab" * 16, "spanId": "cd" * 8, "attributes": [attribute("why", "retry")]}
    found = one(links=[good, {"traceId": "ab"}])
    [link] = found._links
    assert (link.context.trace_id, link.attributes) == (int("ab" * 16, 16), {"why": "retry"})
    assert found._dropped_links == 1


def test_names_of_older_conventions_are_there_under_todays_too() -> None:
    old = {"http.method": "GET", "http.target": "/a?token=1", "net.host.name": "shop.example"}
    found = one(attributes=[attribute(*each) for each in old.items()])._attributes
    assert found == {
        **old,
        names.HTTP_REQUEST_METHOD: "GET",
        names.URL_PATH: "/a",
        names.SERVER_ADDRESS: "shop.example",
    }
    query = {"db.system": "mysql", "db.statement": "SELECT ?", "net.peer.name": "db"}
    found = one(kind=3, attributes=[attribute(*each) for each in query.items()])._attributes
    assert found[names.DB_SYSTEM_NAME] == "mysql"
    assert found[names.DB_QUERY_TEXT] == "SELECT ?"
    assert found[names.SERVER_ADDRESS] == "db"
