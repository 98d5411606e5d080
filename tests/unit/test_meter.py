"""OpenTelemetry's metrics API over the recorder, beside the SDK's own."""

from __future__ import annotations

import decimal
import http.server
import logging
import random
import subprocess
import sys
import textwrap
import threading
from collections.abc import Generator, Iterable
from typing import Any

import pytest
import requests
from opentelemetry import metrics as api
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import NoOpTracerProvider

from otel_django import guard
from otel_django.clock import SYSTEM_CLOCK
from otel_django.metric_points import HistogramPoint, Metric
from otel_django.metrics.api_meter import MeterProvider
from otel_django.metrics.recorder import Recorder
from otel_django.tracing.redaction import Redactor


def made(**options: Any) -> tuple[Recorder, api.Meter]:
    recorder = Recorder(clock=SYSTEM_CLOCK, redact=Redactor().value, **options)
    return recorder, MeterProvider(recorder).get_meter("shop", "1.0", "https://schema", {"a": "b"})


def found(recorder: Recorder) -> dict[str, Metric]:
    return {metric.name: metric for metric in recorder.collect()}


def values(recorder: Recorder, name: str) -> dict[Any, Any]:
    points: Any = found(recorder)[name].points
    return {point.attributes: point.value for point in points}


def use(meter: api.Meter, rng: random.Random) -> None:
    """The same calls for every provider."""

    def observe(options: CallbackOptions) -> Iterable[Observation]:
        yield Observation(7, {"queue": "a"})
        yield Observation(8, {"queue": "b"})

    counter = meter.create_counter("orders", "{order}", "Orders.")
    stock = meter.create_up_down_counter("stock", "{item}")
    sizes = meter.create_histogram("sizes", "By")
    waits = meter.create_histogram("waits", "s", explicit_bucket_boundaries_advisory=[0.1, 1, 10])
    level = meter.create_gauge("level", "Cel")
    meter.create_observable_counter("read", [observe], "By", "Read.")
    meter.create_observable_up_down_counter("held", [observe])
    meter.create_observable_gauge("length", [observe])
    for _ in range(200):
        attributes = {"channel": rng.choice(["web", "shop"]), "tags": ["x", "y"]}
        counter.add(rng.randrange(5), attributes)
        stock.add(rng.uniform(-2, 2), {"n": rng.choice([1, True, 1.0])})
        sizes.record(rng.uniform(0, 12_000), attributes)
        waits.record(rng.uniform(0, 12))
        level.set(rng.randrange(30), attributes)


def plain(attributes: Any) -> frozenset[Any]:
    return frozenset(
        (key, type(value).__name__, tuple(value) if isinstance(value, list | tuple) else value)
        for key, value in attributes.items()
    )


def test_the_same_calls_give_what_the_sdk_gives() -> None:
    reader = InMemoryMetricReader()
    sdk = SdkMeterProvider([reader], shutdown_on_exit=False)
    use(sdk.get_meter("shop", "1.0"), random.Random(3))
    data = reader.get_metrics_data()
    sdk.shutdown()
    assert data is not None
    recorder, meter = made()
    use(meter, random.Random(3))
    ours = found(recorder)
    theirs = {metric.name: metric for metric in data.resource_metrics[0].scope_metrics[0].metrics}
    assert ours.keys() == theirs.keys()
    for name, metric in theirs.items():
        assert (ours[name].unit, ours[name].description) == (metric.unit, metric.description)
        expected: Any = {plain(point.attributes): point for point in metric.data.data_points}
        points: Any = {plain(dict(point.attributes)): point for point in ours[name].points}
        assert points.keys() == expected.keys()
        for attributes, point in points.items():
            same(point, expected[attributes])


def same(ours: Any, theirs: Any) -> None:
    if isinstance(ours, HistogramPoint):
        assert ours.counts == tuple(theirs.bucket_counts)
        assert (ours.min, ours.max) == (theirs.min, theirs.max)
        assert ours.sum == pytest.approx(theirs.sum)
    else:
        assert ours.value == pytest.approx(theirs.value)
        assert type(ours.value) is type(theirs.value)


def test_a_metric_keeps_the_scope_it_was_made_in() -> None:
    recorder, meter = made()
    meter.create_counter("orders").add(1)
    scope = found(recorder)["orders"].scope
    assert (scope.name, scope.version, scope.schema_url) == ("shop", "1.0", "https://schema")
    assert scope.attributes == (("a", "b"),)


def test_D2_a_histogram_in_seconds_has_buckets_in_seconds() -> None:
    recorder, meter = made()
    meter.create_histogram("flower.task.runtime.seconds", "s").record(0.2)
    assert found(recorder)["flower.task.runtime.seconds"].bounds[0] == 0.005


def test_an_instrument_made_twice_is_one_also_in_another_spelling() -> None:
    recorder, meter = made()
    meter.create_counter("orders", "{order}").add(1)
    meter.create_counter("Orders", "{order}").add(1)
    assert values(recorder, "orders") == {(): 2}


def test_a_conflict_of_names_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    _, meter = made()
    with caplog.at_level(logging.WARNING, guard.LOGGER_NAME):
        meter.create_counter("orders")
        for _ in range(3):
            meter.create_histogram("orders", "s").record(1)
    assert len(caplog.records) == 1
    assert "orders" in caplog.text


@pytest.mark.parametrize(("name", "unit"), [("1st", ""), ("", ""), ("a b", ""), ("a", "é")])
def test_a_name_that_is_not_allowed_is_said_and_breaks_nothing(
    name: str, unit: str, caplog: pytest.LogCaptureFixture
) -> None:
    recorder, meter = made()
    with caplog.at_level(logging.WARNING, guard.LOGGER_NAME):
        meter.create_counter(name, unit).add(1)
        meter.create_gauge(name, unit).set(1)
        meter.create_observable_gauge(name, [lambda _: []], unit)
    assert len(caplog.records) == 3
    assert recorder.collect() == ()


@pytest.mark.parametrize("amount", [-1, float("nan"), float("inf"), "7", None])
def test_an_amount_that_can_not_be_counted_is_left_out_and_said_once(
    amount: Any, caplog: pytest.LogCaptureFixture
) -> None:
    recorder, meter = made()
    counter = meter.create_counter("orders")
    with caplog.at_level(logging.WARNING, guard.LOGGER_NAME):
        counter.add(amount)
        counter.add(amount)
    counter.add(2)
    assert values(recorder, "orders") == {(): 2}
    assert len(caplog.records) == 1


def test_numbers_of_other_types_are_made_plain() -> None:
    recorder, meter = made()
    counter = meter.create_counter("orders")
    other: Any = decimal.Decimal("1.5")
    counter.add(other)
    counter.add(True)
    assert values(recorder, "orders") == {(): 2.5}


def test_attributes_are_copied_plain_sorted_and_without_secrets() -> None:
    recorder, meter = made()
    counter = meter.create_counter("orders")
    tags = ["a", "b"]
    odd: Any = {"z": "1", "tags": tags, "password": "hunter2", "at": decimal.Decimal(1), "no": None}
    counter.add(1, odd)
    tags.append("c")
    counter.add(1, {"url": "https://user:hunter2@shop/?q=hunter2"})
    expected = (("at", "1"), ("password", "[redacted]"), ("tags", ("a", "b")), ("z", "1"))
    assert expected in values(recorder, "orders")
    assert "hunter2" not in str(recorder.collect())


def test_what_differs_by_a_secret_only_is_one_series() -> None:
    recorder, meter = made()
    counter = meter.create_counter("orders")
    counter.add(1, {"token": "one"})
    counter.add(1, {"token": "two"})
    assert values(recorder, "orders") == {(("token", "[redacted]"),): 2}


def test_callbacks_may_be_generators_and_failing_ones_stop_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard, "_strict", False)
    recorder, meter = made()

    def steps() -> Generator[Iterable[Observation], CallbackOptions, None]:
        options = yield []
        while True:
            assert options.timeout_millis > 0
            options = yield [Observation(3)]

    def fails(options: CallbackOptions) -> Iterable[Observation]:
        yield Observation(1, {"n": "1"})
        raise RuntimeError

    meter.create_observable_gauge("fails", [fails])
    meter.create_observable_gauge("steps", [steps()])
    for _ in range(2):
        assert values(recorder, "steps") == {(): 3}
    assert values(recorder, "fails") == {(("n", "1"),): 1}


def test_a_callback_may_make_instruments_and_measure() -> None:
    recorder, meter = made()

    def busy(options: CallbackOptions) -> Iterable[Observation]:
        meter.create_counter("asked").add(1)
        return [Observation(1)]

    meter.create_observable_gauge("busy", [busy])
    recorder.collect()
    assert values(recorder, "asked") == {(): 2}


def test_P1_after_a_fork_callbacks_stay_and_sums_begin_at_zero() -> None:
    recorder, meter = made()
    meter.create_observable_gauge("level", [lambda _: [Observation(1)]])
    counter = meter.create_counter("orders")
    counter.add(5)
    recorder.collect()
    recorder.after_fork()
    counter.add(1)
    assert values(recorder, "orders") == {(): 1}
    assert values(recorder, "level") == {(): 1}


def run(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


BEGIN = """
    import sys
    from opentelemetry import metrics
    early = metrics.get_meter("early")
    counter = early.create_counter("orders")
    early.create_observable_gauge("level", [lambda _: [metrics.Observation(4)]])
    counter.add(100)  # nobody measures yet
    from otel_django.clock import SYSTEM_CLOCK
    from otel_django.metrics import api_meter
    from otel_django.metrics.recorder import Recorder
    recorder = Recorder(clock=SYSTEM_CLOCK)
"""


def test_instruments_made_before_the_provider_measure_with_it() -> None:
    printed = run(
        BEGIN
        + """
    assert api_meter.take_charge(api_meter.MeterProvider(recorder))
    counter.add(1)
    metrics.get_meter("late").create_counter("late").add(2)
    print({m.name: m.points[0].value for m in recorder.collect()})
    assert not [name for name in sys.modules if name.startswith("opentelemetry.sdk")]
    """
    )
    assert printed == "{'orders': 1, 'level': 4, 'late': 2}"


def test_a_provider_of_the_users_stays_in_charge() -> None:
    printed = run(
        BEGIN
        + """
    metrics.set_meter_provider(metrics.NoOpMeterProvider())
    assert not api_meter.take_charge(api_meter.MeterProvider(recorder))
    counter.add(1)
    print(recorder.collect())
    """
    )
    assert printed == "()"


def test_P1_a_child_forked_while_another_thread_collects_counts_from_zero() -> None:
    printed = run(
        BEGIN
        + """
    import os, threading, time
    api_meter.take_charge(api_meter.MeterProvider(recorder))
    entered = threading.Event()
    def slow(options):
        entered.set()
        time.sleep(0.5)
        return [metrics.Observation(1)]
    early.create_observable_gauge("slow", [slow])
    counter.add(5)
    threading.Thread(target=recorder.collect, daemon=True).start()
    entered.wait()
    with recorder._shards.read(), recorder._making:
        child = os.fork()
    if not child:
        recorder.after_fork()
        early.create_observable_gauge("mine", [lambda _: [metrics.Observation(2)]])
        counter.add(1)
        threading.Thread(target=counter.add, args=(1,)).start()
        print({m.name: m.points[0].value for m in recorder.collect()}, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    """
    )
    assert "'orders': " in printed
    assert "'mine': 2" in printed
    assert "'orders': 6" not in printed


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Nothing."""


def test_contribs_instrumentors_measure_with_it() -> None:
    recorder = Recorder(clock=SYSTEM_CLOCK)
    instrumentor = RequestsInstrumentor()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        instrumentor.instrument(
            meter_provider=MeterProvider(recorder), tracer_provider=NoOpTracerProvider()
        )
        try:
            requests.get(f"http://127.0.0.1:{server.server_port}/", timeout=10)
        finally:
            instrumentor.uninstrument()
            server.shutdown()
    metrics = [metric for metric in recorder.collect() if "http.client" in metric.name]
    assert metrics
    for metric in metrics:
        (point,) = metric.points
        assert isinstance(point, HistogramPoint)
        assert point.count == 1
