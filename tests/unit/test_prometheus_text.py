"""The pages that Prometheus reads, held against its client library's parsers."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.metrics_core import Metric as Parsed
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as read_text
from prometheus_client.samples import Sample

from otel_django.clock import SYSTEM_CLOCK
from otel_django.metric_points import MetricDefinition, ResourceMetrics, Scope
from otel_django.metrics import exposition, prometheus_text
from otel_django.metrics.recorder import Recorder
from tests.prometheus_kit import (
    NOW_NS,
    SPAN_ID,
    TRACE_ID,
    every_built_in_metric,
    exemplar,
    histogram,
    metric,
    number,
    role,
)

BOUNDS = (0.1, 1.0)


def page(
    *data: ResourceMetrics,
    form: exposition.Format = "openmetrics",
    metric_names: exposition.MetricNames = "otel",
) -> str:
    return exposition.render(data, form, metric_names, NOW_NS).decode()


def read_openmetrics(text: str) -> Iterable[Parsed]:
    """By the strict parser."""
    read: Any = openmetrics_parser.text_string_to_metric_families
    families: Iterable[Parsed] = read(text)
    return families


def samples(families: Iterable[Parsed]) -> dict[tuple[str, tuple[tuple[str, str], ...]], Sample]:
    """By name and labels; no sample is there twice."""
    found: dict[Any, Sample] = {}
    for sample in itertools.chain.from_iterable(family.samples for family in families):
        key = (sample.name, tuple(sorted(sample.labels.items())))
        assert key not in found, key
        found[key] = sample
    return found


def both(*data: ResourceMetrics, **options: Any) -> dict[tuple[str, Any], float]:
    """The values of a page, which are the same in both formats."""
    strict = samples(read_openmetrics(page(*data, **options)))
    plain = samples(read_text(page(*data, form="prometheus", **options)))
    assert {key: str(sample.value) for key, sample in strict.items()} == {
        key: str(sample.value) for key, sample in plain.items()
    }
    return {key: sample.value for key, sample in strict.items()}


def buckets_of(values: dict[tuple[str, Any], float], name: str) -> dict[str, float]:
    """A histogram's counts by ``le``."""
    return {
        labels[0][1]: value
        for (sample, labels), value in values.items()
        if sample == f"{name}_bucket"
    }


@pytest.mark.parametrize("metric_names", ["otel", "classic", "both"])
def test_a_strict_parser_reads_a_page_with_every_metric(
    metric_names: exposition.MetricNames,
) -> None:
    values = both(every_built_in_metric(), metric_names=metric_names)
    present = {name for name, _ in values}
    assert ("http_server_request_duration_seconds_count" in present) == (metric_names != "classic")
    assert ("django_http_requests_total" in present) == (metric_names != "otel")
    state = "<celery.worker.state>"
    labels = (("celery_worker_state", state), *([("state", state)] * (metric_names != "otel")))
    assert ("celery_workers", labels) in values


def test_the_text_itself() -> None:
    data = role(
        metric("orders.placed", "counter", number(3, channel="web"), unit="{order}"),
        metric(
            "wait",
            "histogram",
            histogram([2, 1, 1], 4.5, [exemplar(0.5)]),
            unit="s",
            description="How long\nit took.",
            bounds=BOUNDS,
        ),
        metric("temperature", "gauge", number(-0.5), unit="Cel"),
    )
    assert page(data, form="prometheus") == (
        "# HELP target_info What is measured\n"
        "# TYPE target_info gauge\n"
        'target_info{service_name="shop"} 1\n'
        "# TYPE orders_placed_total counter\n"
        'orders_placed_total{channel="web"} 3\n'
        "# TYPE temperature_celsius gauge\n"
        "temperature_celsius -0.5\n"
        "# HELP wait_seconds How long\\nit took.\n"
        "# TYPE wait_seconds histogram\n"
        'wait_seconds_bucket{le="0.1"} 2\n'
        'wait_seconds_bucket{le="1.0"} 3\n'
        'wait_seconds_bucket{le="+Inf"} 4\n'
        "wait_seconds_sum 4.5\n"
        "wait_seconds_count 4\n"
    )
    ids = f'trace_id="{TRACE_ID:032x}",span_id="{SPAN_ID:016x}"'
    assert page(data).endswith(
        "# TYPE wait_seconds histogram\n"
        "# UNIT wait_seconds seconds\n"
        "# HELP wait_seconds How long\\nit took.\n"
        'wait_seconds_bucket{le="0.1"} 2\n'
        f'wait_seconds_bucket{{le="1.0"}} 3 # {{{ids}}} 0.5 1700000060.000\n'
        'wait_seconds_bucket{le="+Inf"} 4\n'
        "wait_seconds_count 4\n"
        "wait_seconds_sum 4.5\n"
        "# EOF\n"
    )


@given(st.text(), st.text(), st.text())
def test_hostile_texts_stay_inside_their_place(key: str, value: str, description: str) -> None:
    attributes: dict[str, Any] = {key: value, "other": value[::-1]}
    data = role(
        metric("a", "counter", number(1, **attributes), description=description),
        metric("b", "histogram", histogram([1], **attributes), description=description),
    )
    values = both(data)
    found = {name for name, _ in values}
    assert found == {
        "target_info",
        "a_total",
        "b_bucket",
        "b_sum",
        "b_count",
    }


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 10**30, 1e300, 5e-324])
def test_numbers_of_every_size(value: float) -> None:
    values = both(role(metric("a", "gauge", number(value))))
    assert str(float(values["a", ()])) == str(float(value))


@pytest.mark.parametrize(
    ("bound", "text"),
    [
        (1.0, "1.0"),
        (0.005, "0.005"),
        (256.0, "256.0"),
        (100000.0, "100000.0"),
        (1e6, "1e+06"),
        (1048576.0, "1.048576e+06"),
        (67108864.0, "6.7108864e+07"),
        (12500000.0, "1.25e+07"),
        (1e22, "1e+22"),
        (math.inf, "+Inf"),
    ],
)
def test_bounds_are_written_as_go_writes_them(bound: float, text: str) -> None:
    assert prometheus_text.bound_text(bound) == text


def test_roles_are_one_set_of_series() -> None:
    web = role(
        metric("a", "counter", number(1, x="1")),
        metric("b", "up_down_counter", number(2)),
        metric("c", "gauge", number(7, NOW_NS)),
        metric("d", "histogram", histogram([1, 2, 3], 2.0), bounds=BOUNDS),
        service__instance__id="1",
    )
    worker = role(
        metric("a", "counter", number(10, x="1")),
        metric("b", "up_down_counter", number(20)),
        metric("c", "gauge", number(70, NOW_NS - 1)),
        metric("d", "histogram", histogram([1, 1, 1], 1.0), bounds=BOUNDS),
        service__instance__id="2",
    )
    values = both(web, worker)
    assert values["a_total", (("x", "1"),)] == 11
    assert values["b", ()] == 22
    assert values["c", ()] == 7
    assert values["d_count", ()] == 9
    assert values["d_bucket", (("le", "1.0"),)] == 5
    assert values["target_info", (("service_name", "shop"),)] == 1


def test_histograms_of_different_bounds_are_added_at_those_they_share() -> None:
    values = both(
        role(metric("d", "histogram", histogram([1, 2, 3, 4]), bounds=(0.1, 0.5, 1.0))),
        role(metric("d", "histogram", histogram([1, 1, 1]), bounds=(0.1, 1.0))),
    )
    assert buckets_of(values, "d") == {"0.1": 2, "1.0": 8, "+Inf": 13}


def test_of_metrics_whose_names_clash_one_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    data = role(
        metric("wait", "histogram", histogram([1, 2, 3]), bounds=BOUNDS),
        metric("wait.count", "gauge", number(1)),
        metric("wait_", "counter", number(1)),
        metric("target.info", "gauge", number(1)),
    )
    for _ in range(2):
        values = both(data)
    assert values["wait_count", ()] == 6
    assert ("wait_total", ()) not in values
    assert len(caplog.records) == 3


def test_another_librarys_metrics_say_so() -> None:
    scope = Scope("requests", "1.2", attributes=(("a.b", "c"), ("name", "no")))
    values = both(role(metric("a", "counter", number(1, x="1"), scope=scope)))
    labels = {
        "otel_scope_a_b": "c",
        "otel_scope_name": "requests",
        "otel_scope_version": "1.2",
        "x": "1",
    }
    assert values["a_total", tuple(sorted(labels.items()))] == 1


def test_exemplars_stand_at_their_bucket_and_only_in_openmetrics() -> None:
    data = role(
        metric(
            "d",
            "histogram",
            histogram([1, 1, 1], 1.5, [exemplar(0.05, 1), exemplar(0.06, 2), exemplar(7.0)]),
            bounds=BOUNDS,
        ),
    )
    read = samples(read_openmetrics(page(data)))
    first = read["d_bucket", (("le", "0.1"),)].exemplar
    assert first is not None
    assert first.value == 0.06
    assert first.labels == {"trace_id": f"{TRACE_ID:032x}", "span_id": f"{SPAN_ID:016x}"}
    assert read["d_bucket", (("le", "1.0"),)].exemplar is None
    assert read["d_bucket", (("le", "+Inf"),)].exemplar is not None
    assert "trace_id" not in page(data, form="prometheus")


def test_a_histogram_of_negative_bounds_has_no_sum_in_openmetrics() -> None:
    data = role(metric("d", "histogram", histogram([1, 1, 1]), bounds=(-1.0, 1.0)))
    assert ("d_sum", ()) not in samples(read_openmetrics(page(data)))
    assert ("d_sum", ()) in samples(read_text(page(data, form="prometheus")))


def test_exponential_histograms_are_exact_at_powers_of_two_and_never_fall() -> None:
    recorder = Recorder(clock=SYSTEM_CLOCK, aggregation="exponential")
    durations = recorder.histogram(MetricDefinition("wait", "histogram", "s", ""))
    rng = random.Random(7)
    measured: list[float] = [0.0, 1.0, 4.0]
    before: dict[str, float] = {}
    for spread in (1, 4, 9, 30):  # wider and wider, so that the scale is taken back
        measured += [2 ** rng.uniform(-spread, spread) for _ in range(200)]
        for value in measured[-203:] if spread == 1 else measured[-200:]:
            durations.record(value, ())
        values = both(role(*(each for each in recorder.collect() if each.name == "wait")))
        buckets = buckets_of(values, "wait_seconds")
        assert len(buckets) == 17
        for bound, count in buckets.items():
            assert count == sum(value <= float(bound) for value in measured), bound
            assert count >= before.get(bound, 0)
        before = buckets


def test_json_keeps_the_names_and_the_roles() -> None:
    data = [
        role(
            metric("a.b", "gauge", number(math.nan, tags=("x",)), unit="s"),
            metric("d", "histogram", histogram([1, 2, 3]), bounds=BOUNDS),
        ),
        role(service__instance__id="2"),
    ]
    read = json.loads(page(*data, form="json"))
    assert read["timestamp"] == "2023-11-14T22:14:20+00:00"
    assert [each["attributes"] for each in read["resources"]] == [
        {"service.name": "shop"},
        {"service.name": "shop", "service.instance.id": "2"},
    ]
    gauge, spread = read["resources"][0]["metrics"]
    assert gauge["name"] == "a.b"
    assert gauge["series"] == [{"attributes": {"tags": ["x"]}, "value": "NaN"}]
    assert spread["bounds"] == [0.1, 1.0]
    assert spread["series"][0]["counts"] == [1, 2, 3]
    assert spread["series"][0]["count"] == 6


def test_a_host_without_metrics_has_an_empty_page() -> None:
    assert page() == "# EOF\n"
    assert page(form="prometheus") == ""


PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "json"),
        (PROMETHEUS_3, "openmetrics"),
        (f"application/vnd.google.protobuf;encoding=delimited;q=0.7,{PROMETHEUS_3}", "openmetrics"),
        ("application/openmetrics-text;version=2.0.0,text/plain;q=0.5", "prometheus"),
        ('application/openmetrics-text; version="0.0.1"', "openmetrics"),
        ("text/plain;q=0.9, application/openmetrics-text;q=0.1", "prometheus"),
        ("application/openmetrics-text;q=0", "json"),
        (";;,=,q=", "json"),
    ],
)
def test_the_format_a_client_accepts(accept: str, expected: exposition.Format) -> None:
    assert exposition.wanted_format(accept, default="json") == expected


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [("", False), ("gzip", True), ("br, GZIP;q=0.1", True), ("gzip;q=0", False), ("*", False)],
)
def test_gzip_only_if_asked(accept_encoding: str, expected: bool) -> None:
    assert exposition.accepts_gzip(accept_encoding) is expected
