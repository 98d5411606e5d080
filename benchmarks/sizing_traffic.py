"""What visitors of the shop cause, recorded as OTLP, and the same of others as often as needed."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from typing import Final, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.integration.shop_kit import GOOD_CARD, Shop, Visitor, shop
from tests.stack.stack_kit import wait_until

ROUNDS: Final = 12
VISITORS: Final = 4
PATIENCE_S: Final = 600.0
INSTANCE: Final = re.compile(rb"(-(?:web|worker|command|host)-)[0-9a-f]{8}")
Bodies = list[tuple[int, bytes]]
"""How many spans, lines or points, and the request's body."""


class Recorded(NamedTuple):
    """What ``requests`` requests have sent; ``points`` is one host's metrics, once."""

    requests: int
    spans: Bodies
    lines: Bodies
    points: Bodies


def visited(site: Shop) -> int:
    """Visitors come, look around and buy; how many requests that were."""

    def come(_: int) -> int:
        visitor = Visitor(site.server.port)
        for _ in range(ROUNDS):
            visitor.look_around()
            visitor.buy(GOOD_CARD)
        return visitor.counts.total()

    with ThreadPoolExecutor(VISITORS) as pool:
        return sum(pool.map(come, range(VISITORS)))


def recorded(folder: Path) -> Recorded:
    """The shop's requests with their tasks, as they leave it by default."""
    env = {"OTEL_BSP_SCHEDULE_DELAY": "500", "OTEL_BLRP_SCHEDULE_DELAY": "500"}
    env["OTEL_METRIC_EXPORT_INTERVAL"] = "10000"
    with shop(folder, "--workers", "2", more_env=env) as site:
        requests = visited(site)
        bodies = site.collector.raw_bodies
        paid = ROUNDS * VISITORS
        wait_until(lambda: len(site.lines("order paid")) >= paid, PATIENCE_S, "the tasks")
        time.sleep(25)  # the metrics of all processes, at least once
        return Recorded(
            requests,
            [(_spans(body), body) for body in bodies("traces")],
            [(_lines(body), body) for body in bodies("logs")],
            [max((_points(body), body) for body in bodies("metrics"))],
        )


def _spans(body: bytes) -> int:
    resources = ExportTraceServiceRequest.FromString(body).resource_spans
    return sum(len(scope.spans) for each in resources for scope in each.scope_spans)


def _lines(body: bytes) -> int:
    resources = ExportLogsServiceRequest.FromString(body).resource_logs
    return sum(len(scope.log_records) for each in resources for scope in each.scope_logs)


def _points(body: bytes) -> int:
    resources = ExportMetricsServiceRequest.FromString(body).resource_metrics
    scopes = (scope for each in resources for scope in each.scope_metrics)
    return sum(
        len(one.gauge.data_points) + len(one.sum.data_points) + len(one.histogram.data_points)
        for scope in scopes
        for one in scope.metrics
    )


def other_traces(bodies: Bodies, least: int) -> Iterator[tuple[int, bytes]]:
    """At least so many spans, with ids of their own."""
    for _, key, count, body in _again(bodies, least):
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    span.trace_id = _mixed(span.trace_id, key)
                    span.span_id = _mixed(span.span_id, key)
                    span.parent_span_id = _mixed(span.parent_span_id, key)
        yield count, request.SerializeToString()


def other_lines(bodies: Bodies, least: int) -> Iterator[tuple[int, bytes]]:
    """At least so many log records, of traces of their own."""
    for turn, key, count, body in _again(bodies, least):
        request = ExportLogsServiceRequest.FromString(body)
        for resource in request.resource_logs:
            for scope in resource.scope_logs:
                for line in scope.log_records:
                    line.trace_id = _mixed(line.trace_id, key)
                    line.span_id = _mixed(line.span_id, key)
                    line.time_unix_nano += turn
        yield count, request.SerializeToString()


def _again(bodies: Bodies, least: int) -> Iterator[tuple[int, bytes, int, bytes]]:
    """Until there are so many: the turn, a key for its ids, and the next of the bodies."""
    made = 0
    for index, (count, body) in enumerate(cycle(bodies)):
        if made >= least:
            return
        turn = index // len(bodies)
        yield turn, random.Random(turn).randbytes(16), count, body
        made += count


def _mixed(given: bytes, key: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(given, key, strict=False))


def other_hosts(bodies: Bodies, hosts: int) -> Iterator[tuple[int, bytes]]:
    """The same metrics as so many hosts tell them."""
    for host in range(hosts):
        for count, body in bodies:
            yield count, INSTANCE.sub(rb"\g<1>%08x" % host, body)
