"""A real OTLP receiver in a process of its own, for tests and benchmarks.

It takes OTLP over HTTP/protobuf on one port and, with ``grpc=True``, over gRPC on another, writes
every request it accepts to a journal file, counts span ids (duplicates too), and misbehaves when
told to. Use it from a test:

    with StubCollector() as collector:              # grpc=True, tls=(cert, key) when wanted
        ... export to collector.endpoint            # "http://127.0.0.1:23456/v1/traces"
        collector.base_endpoint                     # "http://127.0.0.1:23456"
        collector.grpc_endpoint                     # "http://127.0.0.1:23457"
        collector.wait_for_spans(10)                # unique spans, TimeoutError after 10 s
        collector.spans()                           # list of dicts, see ``span_dict``
        collector.counts()                          # requests, accepted, spans, unique, duplicates
        collector.raw_bodies("traces")              # decoded request bodies, for secret scans
        collector.request_headers()                 # headers of the requests, newest last (100)
        collector.set_mode("hang")                  # until set_mode("ok")
        collector.set_mode("unavailable", times=3)  # for three requests
        collector.kill(); collector.restart()       # SIGKILL; the same ports, the journal is kept

or from a shell: ``python tests/stub_collector_process.py --port 4318 --mode unavailable``;
it prints one line of JSON with its ports; ``curl -d '{"mode": "ok"}' localhost:4318/control``
tells it more.

Modes (what is not accepted is not recorded):
    ok            200 with an empty ExportTraceServiceResponse; gRPC OK
    slow          as ok, after ``delay_s``
    hang          reads the request, never answers
    never_read    accepts the connection, reads the head at most, never answers
    reset         reads the request, closes the connection without an answer
    dribble       as ok, one byte of the answer every 0.1 s (the rest when the mode changes)
    html          200 with a login page
    garbage       200 application/x-protobuf with a body that isn't one
    redirect      301 to /login
    bad_request   400; gRPC INVALID_ARGUMENT
    unauthorized  401; gRPC UNAUTHENTICATED
    too_large     413 for bodies over ``limit`` bytes, else ok; gRPC RESOURCE_EXHAUSTED
    throttle      429 with ``Retry-After: retry_after``; gRPC RESOURCE_EXHAUSTED with RetryInfo
    unavailable   503; gRPC UNAVAILABLE
    error         500; gRPC INTERNAL
    partial       200 with partial success: the first ``rejected`` spans aren't recorded
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from typing_extensions import Self

from tests.stub_collector_process import free_port, read_journal

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_PROCESS = Path(__file__).with_name("stub_collector_process.py")


def plain(value: Any) -> Any:
    """A protobuf AnyValue as plain Python."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return plain_dict(value.kvlist_value.values)
    return getattr(value, kind)


def plain_dict(pairs: Any) -> dict[str, Any]:
    return {pair.key: plain(pair.value) for pair in pairs}


def span_dict(span: Any, scope: Any, resource: Any) -> dict[str, Any]:
    """One span: ids as hex, times in ns, attributes plain; ``resource`` and ``scope`` with it."""
    return {
        "name": span.name,
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex(),
        "trace_state": span.trace_state,
        "flags": span.flags,
        "kind": span.kind,
        "start_ns": span.start_time_unix_nano,
        "end_ns": span.end_time_unix_nano,
        "attributes": plain_dict(span.attributes),
        "dropped_attributes": span.dropped_attributes_count,
        "status": {"code": span.status.code, "message": span.status.message},
        "events": [
            {
                "name": event.name,
                "time_ns": event.time_unix_nano,
                "attributes": plain_dict(event.attributes),
            }
            for event in span.events
        ],
        "links": [
            {
                "trace_id": link.trace_id.hex(),
                "span_id": link.span_id.hex(),
                "attributes": plain_dict(link.attributes),
            }
            for link in span.links
        ],
        "resource": plain_dict(resource.attributes),
        "scope": {"name": scope.name, "version": scope.version},
    }


class StubCollector:
    """Starts the process, talks to it, ends it; see the module's docstring."""

    def __init__(
        self,
        *,
        mode: str = "ok",
        grpc: bool = False,
        tls: tuple[str | os.PathLike[str], str | os.PathLike[str]] | None = None,
        client_ca: str | os.PathLike[str] | None = None,
        started: bool = True,
    ) -> None:
        self._folder = tempfile.mkdtemp(prefix="stub-collector-")
        self._journal = Path(self._folder, "journal")
        self._arguments = ["--journal", str(self._journal), "--mode", mode]
        self.port = free_port()
        self.grpc_port = free_port() if grpc else None
        self._tls = tls is not None
        if tls is not None:
            self._arguments += ["--tls", os.fspath(tls[0]), os.fspath(tls[1])]
        if client_ca is not None:
            self._arguments += ["--client-ca", os.fspath(client_ca)]
        self._process: subprocess.Popen[str] | None = None
        if started:
            self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def base_endpoint(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    @property
    def endpoint(self) -> str:
        return f"{self.base_endpoint}/v1/traces"

    @property
    def grpc_endpoint(self) -> str:
        return f"http://127.0.0.1:{self.grpc_port}"

    def start(self) -> None:
        """Start the process (again) on its ports; returns when it listens."""
        command = [sys.executable, str(_PROCESS), "--port", str(self.port), *self._arguments]
        if self.grpc_port is not None:
            command += ["--grpc-port", str(self.grpc_port)]
        # Variables of the test under way must not reach the receiver.
        environ = {key: os.environ[key] for key in os.environ if not key.startswith("OTEL_")}
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise RuntimeError(f"the stub collector did not start on port {self.port}")

    restart = start

    def kill(self) -> None:
        """SIGKILL: connections are reset, the port is closed, what was accepted is kept."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        if self._tls:
            context = ssl._create_unverified_context()
            link: http.client.HTTPConnection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=10, context=context
            )
        else:
            link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            link.request(method, path, body)
            return json.loads(link.getresponse().read())
        finally:
            link.close()

    def set_mode(self, mode: str, **options: object) -> None:
        self._ask("POST", "/control", json.dumps({"mode": mode, **options}).encode())

    def counts(self) -> dict[str, int]:
        """requests seen, requests accepted, spans accepted, unique ones, duplicates."""
        found: dict[str, int] = self._ask("GET", "/counts")
        return found

    def request_headers(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self._ask("GET", "/headers")
        return found

    def raw_bodies(self, signal_name: str | None = None) -> list[bytes]:
        """Accepted request bodies, uncompressed; works after ``kill`` too."""
        if not self._journal.exists():
            return []
        return [body for name, body in read_journal(self._journal) if signal_name in (None, name)]

    def spans(self) -> list[dict[str, Any]]:
        """Every accepted span, duplicates too, as ``span_dict`` makes it; for small numbers."""
        return [
            span_dict(span, scope.scope, resource.resource)
            for body in self.raw_bodies("traces")
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def span_ids(self) -> Counter[str]:
        """How often each span id was accepted."""
        ids: Counter[str] = Counter()
        for body in self.raw_bodies("traces"):
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    ids.update(span.span_id.hex() for span in scope.spans)
        return ids

    def wait_for_spans(self, count: int, timeout_s: float = 10.0) -> list[dict[str, Any]]:
        """Wait until ``count`` different spans were accepted and return them all."""
        self.wait_until(lambda found: found["unique"] >= count, timeout_s)
        return self.spans()

    def wait_until(
        self, wanted: Callable[[dict[str, int]], bool], timeout_s: float = 10.0
    ) -> dict[str, int]:
        """Poll ``counts()`` until ``wanted`` holds."""
        deadline = time.monotonic() + timeout_s
        while not wanted(found := self.counts()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the stub collector has only {found} after {timeout_s} s")
            time.sleep(0.05)
        return found
