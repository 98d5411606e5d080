"""The stub collector's own process: HTTP and gRPC servers, modes, journal.

``tests/stub_collector.py`` says what it does and how to use it.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import os
import random
import signal
import socket
import socketserver
import ssl
import struct
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNALS = ("traces", "metrics", "logs")
_ENTRY = struct.Struct(">BI")


def free_port() -> int:
    """A free TCP port below the ephemeral range.

    An ephemeral one could be taken by an outgoing connection while the collector is down; a
    client that keeps trying could even connect to itself.
    """
    while True:
        port = random.randint(21_000, 31_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def read_journal(journal: Path) -> Iterator[tuple[str, bytes]]:
    """(signal, request body) of every accepted request, a torn tail left out."""
    with journal.open("rb") as file:
        while len(head := file.read(_ENTRY.size)) == _ENTRY.size:
            index, length = _ENTRY.unpack(head)
            body = file.read(length)
            if len(body) < length:
                return
            yield SIGNALS[index], body


class Recorder:
    """What was accepted: a journal on disk, and counts in memory."""

    def __init__(self, journal: Path) -> None:
        self._lock = threading.Lock()
        self._ids: Counter[bytes] = Counter()
        self._requests: Counter[str] = Counter()
        self.headers: deque[dict[str, str]] = deque(maxlen=100)
        if journal.exists():
            for name, body in read_journal(journal):
                self._count(name, body)
        self._journal = journal.open("ab", buffering=0)

    def _count(self, name: str, body: bytes) -> None:
        self._requests["accepted"] += 1
        self._requests[f"accepted.{name}"] += 1
        if name == "traces":
            ids = self._ids
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        ids[span.trace_id + span.span_id] += 1

    def accept(self, name: str, body: bytes) -> None:
        with self._lock:
            self._journal.write(_ENTRY.pack(SIGNALS.index(name), len(body)) + body)
            self._count(name, body)

    def seen(self, headers: dict[str, str]) -> None:
        with self._lock:
            self._requests["requests"] += 1
            self.headers.append(headers)

    def counts(self) -> dict[str, int]:
        with self._lock:
            total = sum(self._ids.values())
            unique = len(self._ids)
            found = {"requests": 0, "accepted": 0, **self._requests}
            return {**found, "spans": total, "unique": unique, "duplicates": total - unique}


class Behaviour:
    """The mode, and waiting until it changes."""

    def __init__(self, mode: str) -> None:
        self._changed = threading.Condition()
        self._mode: dict[str, Any] = {"mode": mode}

    def set(self, mode: dict[str, Any]) -> None:
        with self._changed:
            self._mode = {"mode": "ok", **mode}
            self._changed.notify_all()

    def now(self) -> dict[str, Any]:
        return self._mode

    def take(self) -> dict[str, Any]:
        """The mode for one more request."""
        with self._changed:
            mode = self._mode
            if "times" in mode:
                left = int(mode["times"]) - 1
                self._mode = {**mode, "times": left} if left > 0 else {"mode": "ok"}
            return mode

    def sleep_until_changed(self, limit_s: float = 3600.0) -> None:
        with self._changed:
            before = self._mode
            self._changed.wait_for(lambda: self._mode is not before, limit_s)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    recorder: Recorder
    behaviour: Behaviour

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self.path == "/counts":
            self._json(self.recorder.counts())
        elif self.path == "/headers":
            self._json(list(self.recorder.headers))
        else:
            self._answer(404, b"", "text/plain")

    def do_POST(self) -> None:
        if self.path == "/control":
            self.behaviour.set(json.loads(self._body()))
            self._json({"ok": True})
            return
        name = self.path.rsplit("/", 1)[-1]
        if name not in SIGNALS:
            self._answer(404, b"", "text/plain")
            return
        self.recorder.seen({key.lower(): value for key, value in self.headers.items()})
        mode = self.behaviour.take()
        if mode["mode"] == "never_read":
            self._leave_hanging()
            return
        body = self._body()
        getattr(self, f"_mode_{mode['mode']}")(name, body, mode)

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _answer(self, status: int, body: bytes, kind: str, **headers: str) -> None:
        self.wfile.write(self._message(status, body, kind, **headers))

    @staticmethod
    def _message(status: int, body: bytes, kind: str, **headers: str) -> bytes:
        lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, '')}"]
        lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
        lines += [f"{key.replace('_', '-')}: {value}" for key, value in headers.items()]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def _json(self, value: object) -> None:
        self._answer(200, json.dumps(value).encode(), "application/json")

    def _leave_hanging(self) -> None:
        self.behaviour.sleep_until_changed()
        self.close_connection = True

    def _mode_ok(self, name: str, body: bytes, mode: dict[str, Any]) -> None:
        self.recorder.accept(name, body)
        self._answer(200, b"", "application/x-protobuf")

    def _mode_slow(self, name: str, body: bytes, mode: dict[str, Any]) -> None:
        time.sleep(float(mode.get("delay_s", 1.0)))
        self._mode_ok(name, body, mode)

    def _mode_hang(self, name: str, body: bytes, mode: dict[str, Any]) -> None:
        self._leave_hanging()

    def _mode_reset(self, name: str, body: bytes, mode: dict[str, Any]) -> None:
        self.close_connection = True

    def _mode_dribble(self, name: str, body: bytes, mode: dict[str, Any]) -> None:
        self.recorder.accept(name, body)
        left = self._message(200, b"", "application/x-protobuf")
        while left and self.behaviour.now()["mode"] == "dribble":
            self.wfile.write(left[:1])
            left = left[1:]
            self.behaviour.sleep_until_changed(0.1)
        self.wfile.write(left)

    def _mode_html(self, name: str, body: bytes, mode: dict[str, Any]) -> None:
        self._answer(200, b"<html><body>Please log in</body></html>", "text/html; charset=utf-8")

    def _mode_garbage(self, name: str, body: bytes, mode: dict[str, Any]) -> None:
        self._answer(200, b"\xff\xff\xff\xff not protobuf", "application/x-protobuf")

    def _mode_redirect(self, name: str, body: bytes, mode: dict[str, Any]) -> None:
        self._answer(301, b"", "text/html", Location="/login?next=/v1/traces")

    def _mode_bad_request(self, name: str, body: bytes, mode: dict[str, Any]) -> None:
        self._answer(400, b"\x08\x03\x12\x07bad one", "application/x-protobuf")

    def _mode_unauthorized(self, name: str, body: bytes, mode: dict[str, Any]) -> None:
        self._answer(401, b"who are you", "text/plain")

    def _mode_too_large(self, name: str, body: bytes, mode: dict[str, Any]) -> None:
        if len(body) > int(mode.get("limit", 10_000)):
            self._answer(413, b"", "text/plain")
        else:
            self._mode_ok(name, body, mode)

    def _mode_throttle(self, name: str, body: bytes, mode: dict[str, Any]) -> None:
        self._answer(429, b"", "text/plain", Retry_After=str(mode.get("retry_after", 1)))

    def _mode_unavailable(self, name: str, body: bytes, mode: dict[str, Any]) -> None:
        self._answer(503, b"", "text/plain")

    def _mode_error(self, name: str, body: bytes, mode: dict[str, Any]) -> None:
        self._answer(500, b"", "text/plain")

    def _mode_partial(self, name: str, body: bytes, mode: dict[str, Any]) -> None:
        kept, answer = partial_success(body, mode)
        self.recorder.accept(name, kept)
        self._answer(200, answer, "application/x-protobuf")


def partial_success(body: bytes, mode: dict[str, Any]) -> tuple[bytes, bytes]:
    """The request without its first ``rejected`` spans, and the answer that says so."""
    left = rejected = int(mode.get("rejected", 1))
    request = ExportTraceServiceRequest.FromString(body)
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            cut = min(left, len(scope.spans))
            del scope.spans[:cut]
            left -= cut
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = rejected - left
    answer.partial_success.error_message = str(mode.get("message", "stub rejected some spans"))
    return request.SerializeToString(), answer.SerializeToString()


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128
    tls: ssl.SSLContext | None = None

    def get_request(self) -> tuple[socket.socket, Any]:
        sock, address = super().get_request()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls is not None:
            sock = self.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return sock, address

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class GrpcExport:
    """The Export method of one signal's service."""

    def __init__(self, name: str, recorder: Recorder, behaviour: Behaviour) -> None:
        self._name, self._recorder, self._behaviour = name, recorder, behaviour

    def __call__(self, body: bytes, context: Any) -> bytes:
        metadata = context.invocation_metadata()
        self._recorder.seen({key: str(value) for key, value in metadata})
        mode = self._behaviour.take()
        self._misbehave(body, context, mode)
        answer = b""
        if mode["mode"] == "partial":
            body, answer = partial_success(body, mode)
        self._recorder.accept(self._name, body)
        return answer

    def _misbehave(self, body: bytes, context: Any, mode: dict[str, Any]) -> None:
        """Return for an answer of OK, else abort the call."""
        what = mode["mode"]
        if what in _GRPC_STATUS:
            context.abort(grpc_status(_GRPC_STATUS[what]), f"stub says {what}")
        elif what == "throttle":
            details = retry_info(int(mode.get("retry_after", 1)))
            context.set_trailing_metadata((("grpc-status-details-bin", details),))
            context.abort(grpc_status("RESOURCE_EXHAUSTED"), "slow down")
        elif what == "too_large" and len(body) > int(mode.get("limit", 10_000)):
            context.abort(grpc_status("RESOURCE_EXHAUSTED"), "Received message larger than max")
        elif what in ("hang", "never_read", "dribble"):
            self._behaviour.sleep_until_changed()
            context.abort(grpc_status("UNAVAILABLE"), "gave up")
        elif what == "slow":
            time.sleep(float(mode.get("delay_s", 1.0)))


_GRPC_STATUS = {
    "bad_request": "INVALID_ARGUMENT",
    "unauthorized": "UNAUTHENTICATED",
    "unavailable": "UNAVAILABLE",
    "error": "INTERNAL",
    "reset": "UNAVAILABLE",
}


def grpc_status(name: str) -> Any:
    import grpc

    return grpc.StatusCode[name]


def retry_info(seconds: int) -> bytes:
    """A google.rpc.Status with a RetryInfo in its details."""
    from google.protobuf.duration_pb2 import Duration
    from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

    status = status_pb2.Status(code=8, message="slow down")
    status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=seconds)))
    packed: bytes = status.SerializeToString()
    return packed


def serve_grpc(port: int, recorder: Recorder, behaviour: Behaviour) -> Any:
    """The three export services on one gRPC server."""
    from concurrent import futures

    import grpc

    server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
    for name, service in zip(SIGNALS, ("trace", "metrics", "logs"), strict=True):
        path = f"opentelemetry.proto.collector.{service}.v1.{service.capitalize()}Service"
        export: Any = GrpcExport(name, recorder, behaviour)
        method: Any = grpc.unary_unary_rpc_method_handler(export)
        handler = grpc.method_handlers_generic_handler(path, {"Export": method})
        server.add_generic_rpc_handlers((handler,))
    if server.add_insecure_port(f"127.0.0.1:{port}") != port:
        raise OSError(f"port {port} is taken")
    server.start()
    return server


def main() -> None:
    """Serve until killed; prints one line of JSON when ready."""
    parser = argparse.ArgumentParser(description="A stub OTLP receiver that misbehaves on demand.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--grpc-port", type=int, help="serve gRPC there too (0: a free one)")
    parser.add_argument("--journal", type=Path, help="file of accepted requests, read at start")
    parser.add_argument("--mode", default="ok")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--client-ca", help="ask for client certificates signed by it")
    options = parser.parse_args()
    journal = options.journal or Path(tempfile.mkstemp(prefix="stub-collector-")[1])
    Handler.recorder, Handler.behaviour = Recorder(journal), Behaviour(options.mode)
    server = Server(("127.0.0.1", options.port or free_port()), Handler)
    if options.tls:
        server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.tls.load_cert_chain(*options.tls)
        if options.client_ca:
            server.tls.load_verify_locations(options.client_ca)
            server.tls.verify_mode = ssl.CERT_REQUIRED
    grpc_port = None if options.grpc_port is None else options.grpc_port or free_port()
    keep = grpc_port and serve_grpc(grpc_port, Handler.recorder, Handler.behaviour)
    ready = {"port": server.server_address[1], "grpc_port": grpc_port, "journal": str(journal)}
    print(json.dumps(ready), flush=True)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    server.serve_forever(poll_interval=0.1)
    del keep


if __name__ == "__main__":
    main()
