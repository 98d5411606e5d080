"""A receiver in this process, and what is sent to one."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_django.conf import Settings
from otel_django.receiver.answers import PROTOBUF
from otel_django.receiver.door import Door
from otel_django.receiver.intake import Intake
from otel_django.receiver.limits import LIMITS, Limits
from otel_django.receiver.pages import Pages
from otel_django.receiver.server import Server
from otel_django.receiver.writing import Writing
from otel_django.web import site_settings

HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class Receiver:
    """A server that runs in this process."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.port: int = server.server_address[1]

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def post(
        self, body: bytes, path: str = "/v1/traces", kind: str = PROTOBUF, **headers: str
    ) -> int:
        return self.ask("POST", path, body, content_type=kind, **headers)[0]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def say(self, data: bytes) -> bytes:
        """All that is answered to raw bytes."""
        with self.connect() as connection:
            connection.sendall(data)
            return everything(connection)


def everything(connection: socket.socket) -> bytes:
    found = b""
    with suppress(ConnectionError):
        while part := connection.recv(65536):
            found += part
    return found


@contextmanager
def receiving(store: Path, limits: Limits = LIMITS, *tokens: str) -> Iterator[Receiver]:
    settings = Settings(store=store, tokens=tokens, debug=not tokens)
    door = Door(tokens)
    writing = Writing(store, settings, limits.waiting_s)
    writing.start()
    site_settings.take(settings)
    server = Server(
        "127.0.0.1",
        0,
        intake=Intake(door, writing, limits),
        pages=Pages(door, limits),
        limits=limits,
    )
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield Receiver(server)
    finally:
        server.stop(2)
        writing.close(2)
        site_settings.take(None)


def request(name: str = "GET /", service: str = "shop", count: int = 1) -> bytes:
    whole = ExportTraceServiceRequest()
    part = whole.resource_spans.add()
    pair = part.resource.attributes.add()
    pair.key, pair.value.string_value = "service.name", service
    spans = part.scope_spans.add().spans
    now = time.time_ns()
    for number in range(count):
        spans.add(
            trace_id=bytes(15) + bytes((1 + number % 255,)),
            span_id=(number + 1).to_bytes(8, "big"),
            name=name,
            start_time_unix_nano=now,
            end_time_unix_nano=now + 1_000_000,
        )
    data: bytes = whole.SerializeToString()
    return data
