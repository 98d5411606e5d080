"""Requests of OTLP as senders write them, for tests of the receiver's decoder."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_django.receiver.decoding import decode

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from otel_django.receiver.decoded import Decoded, Signal

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
REQUESTS: dict[Signal, tuple[Any, str, str, str]] = {
    "traces": (ExportTraceServiceRequest, "resourceSpans", "scopeSpans", "spans"),
    "metrics": (ExportMetricsServiceRequest, "resourceMetrics", "scopeMetrics", "metrics"),
    "logs": (ExportLogsServiceRequest, "resourceLogs", "scopeLogs", "logRecords"),
}
IDS = ("traceId", "spanId", "parentSpanId")


def as_json(message: Message, *, names_of_enums: bool = False) -> bytes:
    """A request in JSON as OTLP has it: what protobuf's has, but for hexadecimal ids."""
    found = json_format.MessageToDict(message, use_integers_for_enums=not names_of_enums)
    return json.dumps(_with_hexadecimal_ids(found)).encode()


def _with_hexadecimal_ids(found: Any) -> Any:
    if isinstance(found, dict):
        return {
            key: base64.b64decode(each).hex() if key in IDS else _with_hexadecimal_ids(each)
            for key, each in found.items()
        }
    return [_with_hexadecimal_ids(each) for each in found] if isinstance(found, list) else found


def of_message(signal: Signal, message: Message) -> Decoded:
    """Decoded from protobuf."""
    return decode(signal, PROTOBUF, message.SerializeToString())


def of_json(signal: Signal, *items: dict[str, Any], **resource: Any) -> Decoded:
    """Decoded from JSON: items of one resource; double underscores stand for dots."""
    return decode(signal, JSON, json.dumps(request(signal, *items, **resource)).encode())


def of_items(signal: Signal, *items: dict[str, Any], **resource: Any) -> Decoded:
    """The same by way of protobuf; ids are given in hexadecimal here, too."""
    kind = REQUESTS[signal][0]
    found = _with_base64_ids(request(signal, *items, **resource))
    return of_message(signal, json_format.ParseDict(found, kind()))


def _with_base64_ids(found: Any) -> Any:
    if isinstance(found, dict):
        return {
            key: base64.b64encode(bytes.fromhex(each)).decode()
            if key in IDS
            else _with_base64_ids(each)
            for key, each in found.items()
        }
    return [_with_base64_ids(each) for each in found] if isinstance(found, list) else found


def request(signal: Signal, *items: dict[str, Any], **resource: Any) -> dict[str, Any]:
    """As JSON has it."""
    _, resources, scopes, name = REQUESTS[signal]
    own = {
        "attributes": [attribute(key.replace("__", "."), each) for key, each in resource.items()]
    }
    scope = {"scope": {"name": "tests", "version": "1"}, name: list(items)}
    return {resources: [{"resource": own, scopes: [scope]}]}


def attribute(key: str, text: str) -> dict[str, Any]:
    """A ``KeyValue`` of a text."""
    return {"key": key, "value": {"stringValue": text}}


def span(**changes: Any) -> dict[str, Any]:
    """A span of 5 ms."""
    usual = {
        "traceId": TRACE_ID,
        "spanId": SPAN_ID,
        "name": "GET /",
        "kind": 2,
        "startTimeUnixNano": "1000000000",
        "endTimeUnixNano": "1005000000",
    }
    return {**usual, **changes}
