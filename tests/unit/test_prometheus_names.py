"""OpenTelemetry's names as Prometheus has them."""

from __future__ import annotations

from typing import Any

import pytest

from otel_django.metric_points import Kind
from otel_django.metrics import prometheus_names


@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        ("http.server.request.duration", "s", "histogram", "http_server_request_duration_seconds"),
        (
            "http.server.active_requests",
            "{request}",
            "up_down_counter",
            "http_server_active_requests",
        ),
        ("process.memory.usage", "By", "up_down_counter", "process_memory_usage_bytes"),
        ("orders.placed", "{order}", "counter", "orders_placed"),
        ("orders.total.value", "EUR", "counter", "orders_value_EUR"),
        ("system.cpu.utilization", "1", "gauge", "system_cpu_utilization_ratio"),
        ("a.ratio.of", "1", "gauge", "a_of_ratio"),
        ("overhead", "1", "up_down_counter", "overhead"),
        ("used", "%", "gauge", "used_percent"),
        ("io", "By/s", "gauge", "io_bytes_per_second"),
        ("rate", "{request}/s", "gauge", "rate_per_second"),
        ("wait_seconds", "s", "gauge", "wait_seconds"),
        ("2fast//4 you", "", "gauge", "_2fast_4_you"),
        ("größe", "m", "gauge", "gr_e_meters"),
        ("é", "s", "gauge", ""),
    ],
)
def test_a_metrics_name(name: str, unit: str, kind: Kind, expected: str) -> None:
    assert prometheus_names.family_name(name, unit, kind) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("http.route", "http_route"),
        ("1st", "key_1st"),
        ("__name__", "key__name__"),
        ("_hidden", "key_hidden"),
        ("", "key_"),
        ('a"b\n', "a_b_"),
    ],
)
def test_a_labels_name(key: str, expected: str) -> None:
    assert prometheus_names.label_name(key) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "true"),
        (200, "200"),
        (0.5, "0.5"),
        (("a", 'b"'), '["a", "b\\""]'),
        ("half \ud83d of a pair", "half \ufffd of a pair"),
    ],
)
def test_a_labels_value(value: Any, expected: str) -> None:
    assert prometheus_names.label_value(value) == expected


def test_keys_that_become_one_label_share_it() -> None:
    assert prometheus_names.labels((("a.b", "1"), ("a_b", "2"))) == (("a_b", "1;2"),)


def test_a_histograms_own_label_is_not_taken() -> None:
    assert prometheus_names.labels((("le", "x"),), of_histogram=True) == (("key_le", "x"),)
