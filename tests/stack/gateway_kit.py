"""An agent before two gateways, over TLS and with a token, and who sends through them.

What reaches a gateway is passed on to a stub of its own before it is sampled; what it keeps is in
Jaeger; metrics and logs of both end in a third stub.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import trustme
import yaml
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.stack.stack_kit import Collector, Jaeger, running
from tests.stub_collector import StubCollector

DECISION_WAIT_S = 4.0
SHARE = 0.2
SPANS_A_TRACE = 3
TICK_S, TRACES_A_TICK = 0.1, 4
NUMBERS = "shop.numbers"
TOKEN = "the-token"
HEADERS = {"Content-Type": "application/x-protobuf", "Authorization": f"Bearer {TOKEN}"}


@dataclass
class Tier:
    """The programs; ``reached`` are the gateways' stubs, in their order."""

    agent: Collector
    gateways: tuple[Collector, ...]
    jaeger: Jaeger
    reached: tuple[StubCollector, ...]
    rest: StubCollector

    def where(self, sent: Sent) -> dict[str, set[int]]:
        """Which gateways each trace has reached with all its spans, or some."""
        found = defaultdict(set)
        for number, stub in enumerate(self.reached):
            for trace_id, _ in _spans_in(stub):
                if trace_id in sent.traces:
                    found[trace_id].add(number)
        return found

    def spans_that_reached(self, sent: Sent) -> list[str]:
        """Their ids, as often as they came."""
        return [
            span_id
            for stub in self.reached
            for trace_id, span_id in _spans_in(stub)
            if trace_id in sent.traces
        ]

    def kept(self, sent: Sent) -> dict[str, int]:
        """How many spans Jaeger has of each trace."""
        spans: dict[str, set[str]] = defaultdict(set)
        for span in self.jaeger.spans(sent.service, sent.began_s - 60, time.time() + 60):
            spans[span["traceID"]].add(span["spanID"])
        return {trace_id: len(ids) for trace_id, ids in spans.items()}

    def numbers_in_metrics(self, sent: Sent) -> list[int]:
        """The points that arrived, in order of arrival."""
        return [
            point.as_int
            for request in map(
                ExportMetricsServiceRequest.FromString, self.rest.raw_bodies("metrics")
            )
            for resource in request.resource_metrics
            if _service(resource.resource) == sent.service
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == NUMBERS
            for point in metric.gauge.data_points
        ]

    def numbers_in_logs(self, sent: Sent) -> list[int]:
        """The lines that arrived."""
        return [
            line.body.int_value
            for request in map(ExportLogsServiceRequest.FromString, self.rest.raw_bodies("logs"))
            for resource in request.resource_logs
            if _service(resource.resource) == sent.service
            for scope in resource.scope_logs
            for line in scope.log_records
        ]

    def calls(self, sent: Sent) -> float:
        """How many spans the agent's span metrics have counted."""
        last: dict[bytes, float] = {}
        for body in self.rest.raw_bodies("metrics"):
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                if _service(resource.resource) == sent.service:
                    last |= {
                        b"".join(each.SerializeToString() for each in point.attributes): (
                            point.as_int or point.as_double
                        )
                        for scope in resource.scope_metrics
                        for metric in scope.metrics
                        if metric.name == "traces.span.metrics.calls"
                        for point in metric.sum.data_points
                    }
        return sum(last.values())


@contextlib.contextmanager
def tier(folder: Path) -> Iterator[Tier]:
    """All of them, ready; ended with the block."""
    with contextlib.ExitStack() as stubs:
        reached = tuple(stubs.enter_context(StubCollector()) for _ in range(2))
        rest = stubs.enter_context(StubCollector())
        secrets = _secrets(folder)
        jaeger = Jaeger(folder)
        gateways = tuple(
            Collector(
                folder / f"gateway-{number}",
                "gateway.yaml",
                "network.yaml",
                "tls.yaml",
                _passing_on_to(stub, folder / f"passing-on-{number}.yaml"),
                COLLECTOR_INSTANCE=f"gateway-{number}",
                COLLECTOR_LISTEN="127.0.0.1",
                COLLECTOR_DECISION_WAIT=f"{DECISION_WAIT_S}s",
                COLLECTOR_SAMPLING_PERCENTAGE=str(SHARE * 100),
                JAEGER_OTLP_ENDPOINT=f"127.0.0.1:{jaeger.otlp_port}",
                PROMETHEUS_OTLP_ENDPOINT=rest.base_endpoint,
                LOKI_OTLP_ENDPOINT=rest.base_endpoint,
                **secrets,
            )
            for number, stub in enumerate(reached)
        )
        addresses = [f"127.0.0.1:{gateway.grpc_port}" for gateway in gateways]
        agent = Collector(
            folder / "agent",
            "agent.yaml",
            "network.yaml",
            COLLECTOR_LISTEN="127.0.0.1",
            COLLECTOR_GATEWAYS=f"[{','.join(addresses)}]",
            COLLECTOR_GATEWAY=addresses[0],
            COLLECTOR_GATEWAY_CA=secrets["CA"],
            COLLECTOR_TOKEN=TOKEN,
        )
        with running(jaeger, *gateways), running(agent):  # else its first requests are refused
            yield Tier(agent, gateways, jaeger, reached, rest)


def _secrets(folder: Path) -> dict[str, str]:
    authority = trustme.CA()
    paths = {name: folder / f"{name}.pem" for name in ("ca", "cert", "key")}
    authority.cert_pem.write_to_path(paths["ca"])
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(paths["cert"])
    issued.private_key_pem.write_to_path(paths["key"])
    return {
        "CA": str(paths["ca"]),
        "COLLECTOR_TLS_CERT": str(paths["cert"]),
        "COLLECTOR_TLS_KEY": str(paths["key"]),
        "COLLECTOR_TOKEN": TOKEN,
    }


def _passing_on_to(stub: StubCollector, file: Path) -> str:
    """Without a queue: the agent is answered when the stub has it."""
    passed_on = {
        "endpoint": stub.base_endpoint,
        "sending_queue": {"enabled": False},
        "retry_on_failure": {"enabled": False},
    }
    traces = {"exporters": ["servicegraph", "forward/sampled", "otlp_http/reached"]}
    laid_over = {
        "exporters": {"otlp_http/reached": passed_on},
        "service": {"pipelines": {"traces": traces}},
    }
    file.write_text(yaml.safe_dump(laid_over))
    return str(file)


def _spans_in(stub: StubCollector) -> Iterator[tuple[str, str]]:
    for body in stub.raw_bodies("traces"):
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    yield span.trace_id.hex(), span.span_id.hex()


def _service(resource: Resource) -> str:
    return next(
        (each.value.string_value for each in resource.attributes if each.key == "service.name"), ""
    )


@dataclass
class Sent:
    """What the agent has answered with 200: traces by what they are, with when that was."""

    service: str
    began_s: float = field(default_factory=time.time)
    traces: dict[str, str] = field(default_factory=dict)
    at_s: dict[str, float] = field(default_factory=dict)
    numbers: int = 0

    def those(self, *kinds: str) -> set[str]:
        """The traces of some kinds: ``error``, ``slow``, ``usual``."""
        return {trace_id for trace_id, kind in self.traces.items() if kind in kinds}


class Sender:
    """Sends forty traces a second, and numbers as metrics and logs; again until it is answered.

    One trace in ten has an error, one in ten is slow. A trace comes in two requests, as from two
    processes.
    """

    def __init__(self, service: str, agent: Collector) -> None:
        self.sent = Sent(service)
        self._link = http.client.HTTPConnection("127.0.0.1", agent.port, timeout=10)
        self._random = random.Random(service)
        self._over = threading.Event()
        self._resource = Resource(
            attributes=[KeyValue(key="service.name", value=AnyValue(string_value=service))]
        )

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        """While the block runs; all is answered when it ends."""
        thread = threading.Thread(target=self._send)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def send(self, ticks: int) -> None:
        """So many ticks' traces, as fast as they are answered."""
        with contextlib.closing(self._link):
            for _ in range(ticks):
                self._tick()

    def _send(self) -> None:
        with contextlib.closing(self._link):
            while not self._over.wait(TICK_S):
                self._tick()

    def _tick(self) -> None:
        traces = {
            self._random.getrandbits(128).to_bytes(16, "big"): self._random.choices(
                ("error", "slow", "usual"), (1, 1, 8)
            )[0]
            for _ in range(TRACES_A_TICK)
        }
        spans = [span for trace_id, kind in traces.items() for span in self._spans(trace_id, kind)]
        number = self.sent.numbers
        self._post("traces", _traces(self._resource, spans[::2]))
        self._post("traces", _traces(self._resource, spans[1::2]))
        self._post("metrics", _metrics(self._resource, number))
        self._post("logs", _logs(self._resource, number))
        self.sent.numbers += 1
        self.sent.traces |= {trace_id.hex(): kind for trace_id, kind in traces.items()}
        self.sent.at_s |= dict.fromkeys((trace_id.hex() for trace_id in traces), time.time())

    def _spans(self, trace_id: bytes, kind: str) -> Iterator[Span]:
        now_ns = time.time_ns()
        for number in range(SPANS_A_TRACE):
            failed = kind == "error" and number == 1
            yield Span(
                trace_id=trace_id,
                span_id=self._random.getrandbits(64).to_bytes(8, "big"),
                name=f"part {number}",
                kind=Span.SPAN_KIND_INTERNAL,
                start_time_unix_nano=now_ns,
                end_time_unix_nano=now_ns + (1_500_000_000 if kind == "slow" else 5_000_000),
                status=Status(
                    code=Status.STATUS_CODE_ERROR if failed else Status.STATUS_CODE_UNSET
                ),
            )

    def _post(self, signal: str, body: bytes) -> None:
        deadline = time.monotonic() + 60
        while not self._is_accepted(signal, body):
            assert time.monotonic() < deadline, f"the agent does not take {signal}"
            time.sleep(0.1)

    def _is_accepted(self, signal: str, body: bytes) -> bool:
        try:
            self._link.request("POST", f"/v1/{signal}", body, HEADERS)
            answer = self._link.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._link.close()
            return False
        return answer.status == 200


def _traces(resource: Resource, spans: list[Span]) -> bytes:
    request = ExportTraceServiceRequest()
    of = request.resource_spans.add(resource=resource)
    of.scope_spans.add(spans=spans)
    return request.SerializeToString()


def _metrics(resource: Resource, number: int) -> bytes:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add(resource=resource).scope_metrics.add().metrics.add()
    metric.name = NUMBERS
    metric.gauge.data_points.add(as_int=number, time_unix_nano=time.time_ns())
    return request.SerializeToString()


def _logs(resource: Resource, number: int) -> bytes:
    request = ExportLogsServiceRequest()
    line = request.resource_logs.add(resource=resource).scope_logs.add().log_records.add()
    line.body.int_value = number
    line.time_unix_nano = time.time_ns()
    return request.SerializeToString()
