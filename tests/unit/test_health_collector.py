"""The check of what telemetry is sent to: a real receiver, and a runtime that sends to it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from otel_django.bootstrap.process import Runtime
from otel_django.conf import OtlpSettings, Settings
from otel_django.health.check import Registered
from otel_django.health.checks import collector as checked
from otel_django.health.results import Result
from tests.misbehaving import Proxy, closed_port, hanging, proxy
from tests.stub_collector import StubCollector

SIGNALS = ("traces", "metrics", "logs")


@pytest.fixture
def receiver() -> Iterator[StubCollector]:
    with StubCollector() as running:
        yield running


@pytest.fixture
def between(receiver: StubCollector) -> Iterator[Proxy]:
    with proxy(receiver.port) as running:
        yield running


def settings(port: int, folder: Path, *signals: str, **more: Any) -> Settings:
    """All signals are sent there, or some."""
    fields: dict[str, Any] = {
        f"otlp_{signal}": OtlpSettings(endpoint=f"http://127.0.0.1:{port}/v1/{signal}")
        for signal in SIGNALS
    }
    fields |= {f"{signal}_exporters": ("otlp",) for signal in signals or SIGNALS}
    return Settings(
        **fields, strict=True, spool_dir=folder / "spool", run_dir=folder / "run", **more
    )


def check(said: Settings) -> Registered:
    (found,) = checked.checks(said)
    return found


def look(said: Settings) -> dict[str, Result]:
    return {result.instance: result for result in cast("list[Result]", check(said).run())}


@pytest.fixture
def sending(
    no_meter_provider: None, between: Proxy, tmp_path: Path
) -> Iterator[tuple[Runtime, Settings]]:
    """A runtime that sends what it has through the proxy, and isn't the global one."""
    said = settings(between.port, tmp_path)
    runtime = Runtime(said)
    runtime.metrics.install(runtime.instrumentations)
    for each in runtime.instrumentations:
        if type(each).__name__ == "SelfObservation":
            each.install(runtime.provider.tracer("tests"), said)
            yield runtime, said
            each.uninstall()
    runtime.stop()


def send_a_span(runtime: Runtime, timeout_s: float = 5.0) -> None:
    runtime.provider.get_tracer("tests").start_span("work").end()
    runtime.flush(timeout_s)


def test_where_nothing_was_sent_each_place_is_connected_to_once(
    between: Proxy, tmp_path: Path
) -> None:
    results = look(settings(between.port, tmp_path))
    assert {signal: result.status for signal, result in results.items()} == dict.fromkeys(
        SIGNALS, "healthy"
    )
    between.wait_until(lambda one: one.connections == 1 and not one.open)
    assert between.requests == 0


def test_one_that_is_gone_is_unhealthy_for_each_signal(tmp_path: Path) -> None:
    results = look(settings(closed_port(), tmp_path, "traces", "logs"))
    assert {signal: result.message for signal, result in results.items()} == {
        "traces": "Nothing listens there.",
        "logs": "Nothing listens there.",
    }


def test_what_was_sent_says_it_without_a_connection(
    sending: tuple[Runtime, Settings], between: Proxy
) -> None:
    runtime, said = sending
    send_a_span(runtime)
    before = between.connections
    results = look(said)
    assert {result.status for result in results.values()} == {"healthy"}
    assert results["traces"].observed["last_success_age_s"] < 60
    assert results["traces"].observed["waiting_items"] == 0
    assert between.connections == before


def test_an_export_without_an_answer_is_degraded(
    sending: tuple[Runtime, Settings], between: Proxy
) -> None:
    runtime, said = sending
    between.hang()
    send_a_span(runtime, 1.0)
    result = look(said)["traces"]
    assert (result.status, result.message) == (
        "degraded",
        "It hasn't answered yet to what is being sent.",
    )
    between.pass_on()
    send_a_span(runtime)
    assert look(said)["traces"].status == "healthy"


@pytest.mark.parametrize("fault", ["cut", "gone"])
def test_an_export_that_failed_is_unhealthy_and_says_what_waits(
    sending: tuple[Runtime, Settings], between: Proxy, fault: str
) -> None:
    runtime, said = sending
    getattr(between, fault)()
    send_a_span(runtime, 1.0)
    result = look(said)["traces"]
    assert result.status == "unhealthy"
    assert result.message.startswith("The last export failed: ")
    assert result.observed["waiting_items"] == 1
    between.pass_on()
    send_a_span(runtime)
    assert look(said)["traces"].status == "healthy"


def test_a_receiver_that_refuses_is_unhealthy(
    sending: tuple[Runtime, Settings], receiver: StubCollector
) -> None:
    runtime, said = sending
    receiver.set_mode("unauthorized")
    logging.getLogger("otel_django").setLevel(logging.ERROR)
    try:
        send_a_span(runtime)
    finally:
        logging.getLogger("otel_django").setLevel(logging.INFO)
    result = look(said)["traces"]
    assert (result.status, "401" in result.message) == ("unhealthy", True)


def test_one_that_hangs_and_was_sent_nothing_takes_connections_which_is_all_that_is_asked() -> None:
    with hanging() as server:
        assert look(settings(server.port, Path("/nowhere"), "traces"))["traces"].status == "healthy"
        server.wait_until(lambda one: one.connections == 1 and not one.open)


def test_a_name_that_does_not_resolve_is_told(tmp_path: Path) -> None:
    endpoint = OtlpSettings(endpoint="http://no-such-host.invalid:4318/v1/traces")
    said = Settings(traces_exporters=("otlp",), otlp_traces=endpoint)
    assert look(said)["traces"].message == "Its name can't be resolved."


def test_grpc_endpoints_have_no_scheme(between: Proxy, tmp_path: Path) -> None:
    endpoint = OtlpSettings(endpoint=f"127.0.0.1:{between.port}", protocol="grpc", insecure=True)
    said = Settings(traces_exporters=("otlp",), otlp_traces=endpoint)
    assert look(said)["traces"].status == "healthy"
    between.wait_until(lambda one: one.connections == 1)


def test_without_otlp_there_is_nothing_to_check(tmp_path: Path) -> None:
    assert not check(Settings(traces_exporters=("console",))).is_possible()
    assert not check(settings(4318, tmp_path, sdk_disabled=True)).is_possible()
    assert check(settings(4318, tmp_path)).is_possible()
