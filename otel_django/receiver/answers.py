"""Answers of OTLP/HTTP, in the encoding that was asked in.

https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from otel_django.errors import OtelDjangoError
from otel_django.pipeline.protobuf import varint

if TYPE_CHECKING:
    from otel_django.receiver.decoded import Signal

JSON: Final = "application/json"
PROTOBUF: Final = "application/x-protobuf"
TEXT: Final = "text/plain; charset=utf-8"
_REJECTED: Final = {
    "traces": "rejectedSpans",
    "metrics": "rejectedDataPoints",
    "logs": "rejectedLogRecords",
}
_CODES: Final = {
    400: 3,  # INVALID_ARGUMENT
    401: 16,  # UNAUTHENTICATED
    403: 7,  # PERMISSION_DENIED
    404: 5,  # NOT_FOUND
    405: 12,  # UNIMPLEMENTED
    408: 4,  # DEADLINE_EXCEEDED
    413: 3,
    415: 3,
    429: 8,  # RESOURCE_EXHAUSTED
    500: 13,  # INTERNAL
    503: 14,  # UNAVAILABLE
}
_UNKNOWN: Final = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response."""

    status: int
    body: bytes = b""
    content_type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(OtelDjangoError):
    """A request that isn't done; its text is for who sent it."""

    def __init__(self, status: int, text: str, **headers: str) -> None:
        super().__init__(text)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(self, content_type: str) -> Answer:
        """With a ``google.rpc.Status``; as a line of text to who speaks no OTLP."""
        text = str(self)
        code = _CODES.get(self.status, _UNKNOWN)
        if content_type == PROTOBUF:
            body = b"\x08" + varint(code) + _text(text)
        elif content_type == JSON:
            body = json.dumps({"code": code, "message": text}).encode()
        else:
            return Answer(self.status, f"{text}\n".encode(), TEXT, self.headers)
        return Answer(self.status, body, content_type, self.headers)


def accepted(signal: Signal, content_type: str, rejected: int, message: str) -> Answer:
    """An ``Export…ServiceResponse``; partial success only where there is something to say."""
    told = rejected > 0 or bool(message)
    if content_type == JSON:
        partial = {_REJECTED[signal]: str(rejected), "errorMessage": message}
        return Answer(200, json.dumps({"partialSuccess": partial} if told else {}).encode(), JSON)
    partial_bytes = (b"\x08" + varint(rejected) if rejected else b"") + _text(message)
    body = b"\x0a" + varint(len(partial_bytes)) + partial_bytes if told else b""
    return Answer(200, body, PROTOBUF)


def _text(text: str) -> bytes:
    """Field 2, a string."""
    data = text.encode("utf-8", "replace")
    return b"\x12" + varint(len(data)) + data if data else b""
