"""What the tests of delivery share: spans that are numbers, a clock to turn, a sender to try."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_django.clock import SYSTEM_CLOCK
from otel_django.conf import OtlpSettings
from otel_django.pipeline.drops import Drops
from otel_django.pipeline.grpc_transport import GrpcTransport
from otel_django.pipeline.http_transport import HttpTransport
from otel_django.pipeline.sender import OtlpSender
from otel_django.pipeline.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from otel_django.clock import Clock
    from otel_django.pipeline.receiver import Transport


Protocol = Literal["http/protobuf", "grpc"]


def encode(batch: Iterable[int], padding: int = 0) -> bytes:
    """An export request with a span for each number; the number is its span id."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "test"
    scope = resource.scope_spans.add()
    scope.scope.name = "numbers"
    for number in batch:
        span = scope.spans.add()
        span.trace_id = (number + 1).to_bytes(16, "big")
        span.span_id = number.to_bytes(8, "big")
        span.name = f"span {number}" + "x" * padding
    return request.SerializeToString()


def numbers(bodies: Iterable[bytes]) -> list[int]:
    """The numbers of all spans in these requests, in order."""
    return [
        int.from_bytes(span.span_id, "big")
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


class TurnedClock:
    """A clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def now_ns(self) -> int:
        return int(self.now_s * 1e9)

    def monotonic_s(self) -> float:
        return self.now_s


class Midway(random.Random):
    """Always the middle: jitter that can be foretold."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


class Impatient(random.Random):
    """Always the least: the shortest waits that jitter can bring."""

    def uniform(self, a: float, b: float) -> float:
        return a


def make_sender(
    endpoint: str,
    spool_dir: Path,
    *,
    spool_bytes: int = 64 << 20,
    drops: Drops | None = None,
    clock: Clock = SYSTEM_CLOCK,
    transport: Transport | None = None,
    protocol: Protocol = "http/protobuf",
    encoder: Callable[[Sequence[Any]], bytes] = encode,
    timeout_s: float = 10.0,
    headers: dict[str, str] | None = None,
    signal: str = "traces",
    kind: type[OtlpSender] = OtlpSender,
    **options: Any,
) -> OtlpSender:
    """A sender of numbers to a real receiver; ``options`` go to ``OtlpSender``."""
    settings = OtlpSettings(
        endpoint=endpoint,
        insecure=True,
        protocol=protocol,
        timeout_s=timeout_s,
        headers=headers or {},
    )
    if transport is None:
        transport = (
            GrpcTransport(settings, signal=signal, clock=clock)
            if protocol == "grpc"
            else HttpTransport(settings, clock=clock)
        )
    return kind(
        settings,
        transport=transport,
        spool=Spool(spool_dir, max_bytes=spool_bytes, signal=signal),
        encode=encoder,
        signal=signal,
        drops=drops or Drops(),
        clock=clock,
        rng=options.pop("rng", Impatient()),
        **options,
    )


def soon() -> float:
    """A deadline that a healthy exit keeps."""
    return time.monotonic() + 2.0


def run_until(sender: OtlpSender, wanted: Callable[[], bool], timeout_s: float = 15.0) -> None:
    """Poll as the worker does until ``wanted`` holds."""
    end_s = time.monotonic() + timeout_s
    while not wanted():
        assert time.monotonic() < end_s, f"not within {timeout_s} s: {sender.status()}"
        wish = sender.poll(time.monotonic())
        time.sleep(min(0.1 if wish is None else wish, 0.1))


def files_below(folder: Path) -> list[str]:
    """Relative paths of all files and folders."""
    return sorted(
        str(Path(base, name).relative_to(folder))
        for base, folders, files in os.walk(folder)
        for name in [*folders, *files]
    )
