"""What the real Collector takes out of what services that mask nothing have sent."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import yaml
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.stack.reading_kit import send
from tests.stack.stack_kit import COLLECTOR_CONFIG, Collector, running, wait_until
from tests.stub_collector import StubCollector

SECRET = "hunter2hunter2"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"
CARDS = ("4111 1111 1111 1111", "5500000000000004", "378282246310005")
TELLING = (f"refused: Bearer {SECRET}", f"as Basic {SECRET}", f"got {JWT}", *CARDS)
PLAIN = {"ratio": 0.4512345678901234, "order": "20261122-4511", "count": 4511, "tags": ["a", "b"]}


def value(given: object) -> AnyValue:
    if isinstance(given, str):
        return AnyValue(string_value=given)
    if isinstance(given, float):
        return AnyValue(double_value=given)
    if isinstance(given, int):
        return AnyValue(int_value=given)
    if isinstance(given, dict):
        return AnyValue(kvlist_value=KeyValueList(values=attributes(given)))
    assert isinstance(given, list)
    return AnyValue(array_value=ArrayValue(values=map(value, given)))


def attributes(given: dict[str, object]) -> list[KeyValue]:
    return [KeyValue(key=key, value=value(each)) for key, each in given.items()]


def hostile() -> list[KeyValue]:
    """Attributes that are secrets by their name, or by what they say."""
    named = ("password", "db.password", "session.cookie", "http.request.header.authorization")
    return attributes(
        {
            **dict.fromkeys(named, SECRET),
            "http.request.header.x_api_key": [SECRET],
            "http.request.header.x_forwarded": [f"Bearer {SECRET}", "other"],
            **{f"told.{number}": text for number, text in enumerate(TELLING)},
            **PLAIN,
        }
    )


@pytest.fixture(scope="module")
def stub() -> Iterator[StubCollector]:
    with StubCollector() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def collector(stub: StubCollector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    folder = tmp_path_factory.mktemp("redaction")
    traces = {"exporters": ["otlp_http/stub", "spanmetrics", "servicegraph"]}
    (folder / "stub.yaml").write_text(
        yaml.safe_dump(
            {
                "exporters": {"otlp_http/stub": {"endpoint": stub.base_endpoint}},
                "service": {"pipelines": {"traces": traces}},
            }
        )
    )
    started = Collector(
        folder,
        str(folder / "stub.yaml"),
        LOKI_OTLP_ENDPOINT=stub.base_endpoint,
        PROMETHEUS_OTLP_ENDPOINT=stub.base_endpoint,
    )
    with running(started):
        yield started


def test_secrets_in_spans_are_masked_and_nothing_else(
    stub: StubCollector, collector: Collector
) -> None:
    now_ns = time.time_ns()
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.extend(hostile())
    scope = resource.scope_spans.add()
    scope.scope.attributes.extend(hostile())
    for text in (*TELLING, ""):
        span = Span(
            trace_id=b"\1" * 16,
            span_id=b"\2" * 8,
            name="GET /",
            start_time_unix_nano=now_ns,
            end_time_unix_nano=now_ns + 1,
            attributes=hostile(),
            status=Status(code=Status.STATUS_CODE_ERROR, message=text and f"why: {text}"),
        )
        event = span.events.add(name="exception", time_unix_nano=now_ns)
        event.attributes.extend(attributes({"exception.message": text}))
        scope.spans.append(span)
    send(collector.port, "/v1/traces", request.SerializeToString())
    wait_until(lambda: stub.raw_bodies("traces"), 60, "the spans")
    body = b"".join(stub.raw_bodies("traces"))

    assert no_secret(body)
    spans = ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans
    assert [span.status.message[:4] for span in spans] == ["why:"] * len(TELLING) + [""]
    assert all("****" in span.status.message for span in spans[:-1])
    sent, got = hostile(), {each.key: each.value for each in spans[0].attributes}
    assert got.keys() == {each.key for each in sent}
    assert {key: got[key] for key in PLAIN} == {key: value(each) for key, each in PLAIN.items()}


def test_secrets_in_logs_are_masked(stub: StubCollector, collector: Collector) -> None:
    now_ns = time.time_ns()
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.extend(hostile())
    scope = resource.scope_logs.add()
    for body in (*TELLING, {"user": {"password": SECRET}}, [f"Bearer {SECRET}"]):
        scope.log_records.add(time_unix_nano=now_ns, body=value(body), attributes=hostile())
    send(collector.port, "/v1/logs", request.SerializeToString())
    wait_until(lambda: stub.raw_bodies("logs"), 60, "the records")

    assert no_secret(b"".join(stub.raw_bodies("logs")))


def no_secret(body: bytes) -> bool:
    return not [each for each in (SECRET, JWT, *CARDS) if each.encode() in body]


@pytest.mark.parametrize("name", ["collector.yaml", "agent.yaml", "gateway.yaml"])
def test_no_span_or_record_is_taken_past_the_masking(name: str) -> None:
    found = yaml.safe_load((COLLECTOR_CONFIG / name).read_text())["service"]["pipelines"]
    for signal, wanted in {
        "traces": ["transform/masking", "redaction", "transform/masked"],
        "logs": ["redaction"],
    }.items():
        processors = found.get(signal, {}).get("processors")
        if processors is not None:
            assert [each for each in processors if each in wanted] == wanted
