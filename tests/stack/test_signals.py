"""What a visitor does in the shop is found in Jaeger, Loki and Prometheus, and found whole."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections import Counter
from typing import Any, NamedTuple

import pytest

from otel_django.backends.loki import LokiReader
from otel_django.backends.remote import Remote
from otel_django.contracts import LogQuery, LogRow
from otel_django.pipeline import otlp_logs
from tests.integration.shop_kit import GOOD_CARD, Shop, Visitor
from tests.stack import reading_kit
from tests.stack.stack_kit import Stack, wait_until
from tests.store_logs import record

VISIBLE_S = float(os.environ.get("TESTS_STACK_VISIBLE_S", "30"))
"""Ten are promised, on a machine that has nothing else to do; here others load it meanwhile."""


class Checkout(NamedTuple):
    """One that was paid, and when the answer was there."""

    trace_id: str
    began_s: float
    ended: float


@pytest.fixture(scope="module")
def checkout(stack_shop: Shop) -> Checkout:
    """A checkout whose trace id the visitor has chosen."""
    visitor, trace_id = Visitor(stack_shop.server.port), secrets.token_hex(16)
    began_s = time.time()
    visitor.buy(GOOD_CARD, f"00-{trace_id}-{secrets.token_hex(8)}-03")
    assert visitor.counts["/checkout/", "302"] == 1
    return Checkout(trace_id, began_s, time.monotonic())


def left_s(checkout: Checkout) -> float:
    """What remains of the time that it may take."""
    return checkout.ended + VISIBLE_S - time.monotonic()


def test_its_trace_is_in_jaeger_across_web_and_worker(programs: Stack, checkout: Checkout) -> None:
    def served() -> dict[str, Any]:
        spans = programs.jaeger.trace(checkout.trace_id)
        return next((span for span in spans if kind_of(span) == "server"), {})

    def handed_over() -> list[dict[str, Any]]:
        """What the web process sent a task with that another process ran."""
        spans = {span["spanID"]: span for span in programs.jaeger.trace(checkout.trace_id)}
        return [
            spans[parent]
            for span in spans.values()
            if kind_of(span) == "consumer"
            for parent in parents(span) & spans.keys()
            if spans[parent]["instance"] == request["instance"] != span["instance"]
        ]

    request = wait_until(served, left_s(checkout), "the request in the trace")
    publish = wait_until(handed_over, left_s(checkout), "a task in the trace")[0]

    assert request["attributes"]["http.route"] == "/checkout/"
    assert kind_of(publish) == "producer"


def kind_of(span: dict[str, Any]) -> str:
    """In Jaeger it is a tag."""
    return str(span["attributes"].get("span.kind", ""))


def parents(span: dict[str, Any]) -> set[str]:
    """What a span refers to."""
    return {reference["spanID"] for reference in span["references"]}


def test_each_of_its_lines_is_in_loki_by_the_trace_id(
    programs: Stack, stack_shop: Shop, checkout: Checkout
) -> None:
    def found() -> Counter[str]:
        query = f'{{service_name="shop"}} | trace_id="{checkout.trace_id}"'
        return Counter(line["span_id"] for line in programs.loki.lines(query, checkout.began_s))

    def written() -> Counter[str]:
        text = stack_shop.server.output() + stack_shop.worker_log.read_text()
        lines = [json.loads(line) for line in text.splitlines() if line[:1] == "{"]
        return Counter(
            line["span_id"] for line in lines if line.get("trace_id") == checkout.trace_id
        )

    def same() -> bool:
        # The worker's last line comes when its task has ended.
        return len(found()) > 1 and found() == written()

    wait_until(same, left_s(checkout), f"{written()} in Loki, which has {found()}")


def test_the_name_of_an_event_is_in_loki_beside_its_text(programs: Stack) -> None:
    trace_id = secrets.randbits(127)
    sent = record("mail.failed", service="mail", body="No route to host", trace_id=trace_id)
    reader = LokiReader(Remote("Loki", programs.loki.url))

    def rows() -> tuple[LogRow, ...]:
        return reader.list_logs(LogQuery(trace_id=format(trace_id, "032x"))).rows

    reading_kit.send(programs.collector.port, "/v1/logs", otlp_logs.encode_request([sent]))
    (row,) = wait_until(rows, VISIBLE_S, "the record")

    assert (row.event, row.named, row.body) == ("mail.failed", True, "No route to host")
    assert row.attributes == {}


def test_its_request_is_in_prometheus_with_an_exemplar_of_that_trace(
    programs: Stack, checkout: Checkout
) -> None:
    labels = '{job="shop",http_route="/checkout/",http_request_method="POST"}'
    series = f"http_server_request_duration_seconds_%s{labels}"

    def counted() -> float:
        return sum(float(each["value"]) for each in programs.prometheus.query(series % "count"))

    def exemplified() -> bool:
        exemplars = programs.prometheus.exemplars(series % "bucket", checkout.began_s)
        return checkout.trace_id in {each["labels"].get("trace_id") for each in exemplars}

    wait_until(lambda: counted() == 1, left_s(checkout), "the request's count")
    wait_until(exemplified, left_s(checkout), "the exemplar")
