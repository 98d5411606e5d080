"""The doctor on the real stack: each fault is made, found, and gone when its cure is taken."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme
import yaml

from tests.misbehaving import closed_port, proxy
from tests.stack.doctor_cases import CASES, ENDPOINT, GRPC, READ_FROM
from tests.stack.doctor_kit import Doctor, Report
from tests.stack.reading_kit import TenantsLoki
from tests.stack.stack_kit import (
    COLLECTOR_CONFIG,
    Collector,
    Jaeger,
    Loki,
    Prometheus,
    Stack,
    passing_on_to,
    running,
    wait_until,
)
from tests.stub_collector_process import free_port

ALL = {"Jaeger", "Loki", "Prometheus"}
ARRIVES_S = 60.0


@pytest.fixture(scope="module")
def doctor(programs: Stack, tmp_path_factory: pytest.TempPathFactory) -> Doctor:
    """Of a shop that exports to the stack, and reads from it."""
    return Doctor(programs, tmp_path_factory.mktemp("doctor"))


def exporting(programs: Stack) -> dict[str, str]:
    """A Collector's environment."""
    return passing_on_to(programs.jaeger, programs.loki, programs.prometheus)


class Guarded(NamedTuple):
    """A Collector with network.yaml and tls.yaml, and ports that want clients' certificates."""

    collector: Collector
    mutual_http_port: int
    mutual_grpc_port: int
    authority: Path
    client_certificate: Path
    client_key: Path


@pytest.fixture(scope="module")
def guarded(programs: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Its certificate is for localhost alone."""
    folder = tmp_path_factory.mktemp("guarded")
    authority, files = trustme.CA(), {}
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    for name in ("localhost", "shop"):
        issued = authority.issue_cert(name)
        files[name] = folder / f"{name}.pem", folder / f"{name}.key"
        for piece in issued.cert_chain_pems:
            piece.write_to_path(str(files[name][0]), append=True)
        issued.private_key_pem.write_to_path(str(files[name][1]))
    certificate, key = map(str, files["localhost"])
    ports = {"http": free_port(), "grpc": free_port()}
    tls = {"cert_file": certificate, "key_file": key, "client_ca_file": str(folder / "ca.pem")}
    mutual = {
        "protocols": {
            protocol: {"endpoint": f"127.0.0.1:{port}", "tls": tls}
            for protocol, port in ports.items()
        }
    }
    pipelines = {
        "traces": {"receivers": ["otlp", "otlp/mutual"]},
        "metrics": {"receivers": ["otlp", "otlp/mutual", "forward/metrics"]},
        "logs": {"receivers": ["otlp", "otlp/mutual"]},
    }
    further = folder / "mutual.yaml"
    further.write_text(
        yaml.safe_dump({"receivers": {"otlp/mutual": mutual}, "service": {"pipelines": pipelines}})
    )
    collector = Collector(
        folder,
        "network.yaml",
        "tls.yaml",
        str(further),
        COLLECTOR_TOKEN="right",
        COLLECTOR_LISTEN="127.0.0.1",
        COLLECTOR_TLS_CERT=certificate,
        COLLECTOR_TLS_KEY=key,
        **exporting(programs),
    )
    with running(collector):
        yield Guarded(collector, ports["http"], ports["grpc"], folder / "ca.pem", *files["shop"])


@pytest.fixture(scope="module")
def words(programs: Stack, guarded: Guarded, doctor: Doctor) -> Mapping[str, Any]:
    """What stands for itself in braces, in the table below."""
    return {
        "http": programs.collector.port,
        "grpc": programs.collector.grpc_port,
        "tls_http": guarded.collector.port,
        "tls_grpc": guarded.collector.grpc_port,
        "mutual": guarded.mutual_http_port,
        "mutual_grpc": guarded.mutual_grpc_port,
        "ca": guarded.authority,
        "certificate": guarded.client_certificate,
        "key": guarded.client_key,
        "jaeger": programs.jaeger.port,
        "read_from": doctor.environment[READ_FROM],
        "nobody": closed_port(),
    }


# --- all is well


@pytest.mark.parametrize(
    "more",
    [{}, {**GRPC, ENDPOINT: "http://127.0.0.1:{grpc}"}],
    ids=["http", "grpc"],
)
def test_all_is_well(doctor: Doctor, words: Mapping[str, Any], more: Mapping[str, str]) -> None:
    report = doctor.ask(filled(more, words))

    assert report.is_well, report.findings
    assert report.places() == ALL


def test_what_it_says_is_read_in_a_terminal(doctor: Doctor, programs: Stack) -> None:
    code, output = doctor.told({})

    assert code == 0
    assert f"traces, metrics, logs: 127.0.0.1:{programs.collector.port} has taken" in output
    for place in ALL:
        assert f": The probe was found in {place}, " in output
    assert output.endswith("\nNothing is wrong.\n")
    assert max(map(len, output.splitlines())) <= 80


# --- what settings mend


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_setting_is_found_and_its_cure_helps(
    doctor: Doctor, words: Mapping[str, Any], name: str
) -> None:
    case = CASES[name]

    report = doctor.ask(filled(case.wrong, words), wait_s=2)
    cured = doctor.cured(filled(case.mended, words))

    (finding,) = report.of(case.state)
    assert case.seen.format(**words) in finding["message"]
    assert case.cure.format(**words) in finding["cure"]
    assert "hush" not in str(report.findings)
    assert report.code == (1 if case.state == "fault" else 0)
    assert cured.is_well, cured.findings
    assert "Jaeger" in cured.places()


def filled(variables: Mapping[str, str], words: Mapping[str, Any]) -> dict[str, str]:
    """With ports and paths for the words in braces."""
    return {name: value.format(**words) for name, value in variables.items()}


# --- what the Collector's configuration mends


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_a_pipeline_that_is_missing_is_named(
    doctor: Doctor, programs: Stack, tmp_path: Path, signal: str
) -> None:
    collector = Collector(tmp_path, **exporting(programs))
    whole = collector.files
    collector.files = (str(without_pipeline(signal, tmp_path / "collector.yaml")),)
    by_grpc = {**GRPC, ENDPOINT: f"http://127.0.0.1:{collector.grpc_port}"}
    with running(collector):
        reports = [doctor.ask({ENDPOINT: collector.url}), doctor.ask(by_grpc)]
    collector.files = whole
    with running(collector):
        cured = doctor.ask({ENDPOINT: collector.url})

    for report in reports:
        (fault,) = report.of("fault")
        assert report.code == 1
        assert fault["subject"] == signal
        assert f"takes no {signal}" in fault["message"]
        assert f"service: pipelines: {signal}: receivers: [otlp]" in fault["cure"]
        assert report.places() == ALL - {seen_in(signal)}
    assert cured.is_well, cured.findings


def without_pipeline(signal: str, file: Path) -> Path:
    """collector.yaml without it, and without what hangs on it."""
    config = yaml.safe_load((COLLECTOR_CONFIG / "collector.yaml").read_text())
    pipelines = config["service"]["pipelines"]
    del pipelines[signal]
    if signal == "traces":
        del pipelines["metrics/derived"]
    if signal == "metrics":
        pipelines["metrics/kept"] = {"receivers": ["forward/metrics"], "exporters": ["debug"]}
        config["exporters"]["debug"] = {}
    file.write_text(yaml.safe_dump(config))
    return file


def seen_in(signal: str) -> str:
    return {"traces": "Jaeger", "logs": "Loki", "metrics": "Prometheus"}[signal]


def test_an_exporter_with_a_wrong_address_is_pointed_to(
    doctor: Doctor, programs: Stack, tmp_path: Path
) -> None:
    right = exporting(programs)
    wrong = {**right, "JAEGER_OTLP_ENDPOINT": f"127.0.0.1:{closed_port()}"}
    collector = Collector(tmp_path, **wrong)

    def waits() -> bool:
        return any(
            line.startswith("otelcol_exporter_queue_size{")
            and "otlp_grpc/jaeger" in line
            and not line.endswith(" 0")
            for line in collector.metrics().splitlines()
        )

    with running(collector):
        report = doctor.ask({ENDPOINT: collector.url}, wait_s=3)
        wait_until(waits, ARRIVES_S, "what the cure says to look at")
    collector.environment.update(right)
    with running(collector):
        cured = doctor.ask({ENDPOINT: collector.url})
        waited_for(programs.jaeger, trace_id_of(report))

    (fault,) = report.of("fault")
    assert "The receiver took the probe, but Jaeger doesn't have it" in fault["message"]
    assert "port 8888, otelcol_exporter_queue_size" in fault["cure"]
    assert cured.is_well, cured.findings


def trace_id_of(report: Report) -> str:
    """The probe's."""
    (known,) = {
        finding["observed"]["trace_id"]
        for finding in report.findings
        if "trace_id" in finding["observed"]
    }
    return str(known)


def waited_for(jaeger: Jaeger, trace_id: str) -> None:
    wait_until(lambda: jaeger.trace(trace_id), ARRIVES_S, "the probe that waited in the queue")


# --- programs that are away, or hang


@pytest.mark.parametrize("which", ["jaeger", "loki", "prometheus"])
def test_a_backend_that_is_away_is_named_and_the_probe_waits_for_it(
    doctor: Doctor, programs: Stack, which: str
) -> None:
    backend: Jaeger | Loki | Prometheus = getattr(programs, which)
    backend.kill()
    try:
        report = doctor.ask(wait_s=3)
    finally:
        backend.start()
    cured = doctor.ask(wait_s=ARRIVES_S)

    (fault,) = report.of("fault")
    assert report.code == 1
    assert fault["message"].startswith(f"{which.capitalize()} at {backend.url} can't be read")
    assert f"Start {which.capitalize()}" in fault["cure"]
    assert "waits in the Collector's queue" in fault["cure"]
    assert report.places() == ALL - {which.capitalize()}
    assert cured.is_well, cured.findings
    if isinstance(backend, Jaeger):
        waited_for(backend, trace_id_of(report))


def test_a_collector_that_was_killed_is_started_again(
    doctor: Doctor, programs: Stack, tmp_path: Path
) -> None:
    collector = Collector(tmp_path, **exporting(programs))
    with running(collector):
        collector.kill()
        report = doctor.ask({ENDPOINT: collector.url})
        collector.start()
        cured = doctor.ask({ENDPOINT: collector.url})

    (fault,) = report.of("fault")
    assert fault["subject"] == "traces, metrics, logs"
    assert fault["cure"].startswith("Start the Collector")
    assert cured.is_well, cured.findings


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_collector_that_hangs_is_told_from_one_that_is_away(
    doctor: Doctor, programs: Stack, protocol: str
) -> None:
    collector = programs.collector
    with proxy(collector.port if protocol == "http" else collector.grpc_port) as between:
        environment = {
            ENDPOINT: f"http://127.0.0.1:{between.port}",
            **(GRPC if protocol == "grpc" else {}),
        }
        between.hang()
        report = doctor.ask(environment)
        between.pass_on()
        cured = doctor.ask(environment)

    (fault,) = report.of("fault")
    assert "takes connections, but doesn't answer" in fault["message"]
    assert "See whether the Collector hangs" in fault["cure"]
    assert cured.is_well, cured.findings


def test_a_backend_that_hangs_is_not_waited_for_without_an_end(
    doctor: Doctor, programs: Stack
) -> None:
    with proxy(programs.jaeger.port) as between:
        environment = {READ_FROM: f"jaeger=http://127.0.0.1:{between.port}"}
        between.hang()
        report = doctor.ask(environment, wait_s=1)
        between.pass_on()
        cured = doctor.ask(environment)

    (fault,) = report.of("fault")
    assert "took longer than 5 s" in fault["message"]
    assert "Start Jaeger" in fault["cure"]
    assert cured.is_well, cured.findings


def test_a_tenant_that_is_missing_or_another_is_found(
    doctor: Doctor, programs: Stack, tmp_path: Path
) -> None:
    loki = TenantsLoki(tmp_path)
    further = tmp_path / "tenant.yaml"
    exporters = {"otlp_http/loki": {"headers": {"X-Scope-OrgID": "shop"}}}
    further.write_text(yaml.safe_dump({"exporters": exporters}))
    addresses = {**exporting(programs), "LOKI_OTLP_ENDPOINT": f"{loki.url}/otlp"}
    collector = Collector(tmp_path, str(further), **addresses)
    environment = {ENDPOINT: collector.url, READ_FROM: f"loki={loki.url}"}
    with running(loki, collector):
        nobody = doctor.ask(environment, wait_s=2)
        other = doctor.ask({**environment, "OTEL_DJANGO_READ_FROM_TENANT": "bakery"}, wait_s=3)
        right = doctor.ask({**environment, "OTEL_DJANGO_READ_FROM_TENANT": "shop"})

    (fault,) = nobody.of("fault")
    assert "doesn't let this site in (status 401)" in fault["message"]
    assert "OTEL_DJANGO_READ_FROM_HEADERS_LOKI, or its tenant in" in fault["cure"]
    assert "OTEL_DJANGO_READ_FROM_TENANT" in fault["cure"]
    (fault,) = other.of("fault")
    assert "Loki doesn't have it" in fault["message"]
    assert "OTEL_DJANGO_READ_FROM_TENANT another tenant than the Collector's" in fault["cure"]
    assert right.code == 0
    assert right.places() == {"Loki"}


# --- the machine, and the site's own code


@pytest.mark.parametrize(
    ("offset", "way"),
    [("-2h", "behind"), ("+2h", "ahead of")],
    ids=["behind", "ahead"],
)
@pytest.mark.parametrize(
    ("more", "whose"),
    [({}, "the receiver's"), ({**GRPC, ENDPOINT: "http://127.0.0.1:{grpc}"}, "Jaeger's")],
    ids=["http", "grpc"],
)
def test_a_clock_that_is_off_is_found(
    doctor: Doctor, words: Mapping[str, Any], offset: str, way: str, more: Any, whose: str
) -> None:
    # Prometheus takes nothing older than what it has of a series: this one is nobody else's.
    environment = {**filled(more, words), "OTEL_SERVICE_NAME": f"clock{offset}{whose[:3]}"}

    report = doctor.ask(environment, wait_s=1, before=("faketime", "-f", offset))

    clock, *further = report.of("fault")
    assert clock["subject"] == "clock"
    assert f" {way} {whose}" in clock["message"]
    assert "NTP" in clock["cure"]
    assert all("Set the clock first" in fault["cure"] for fault in further)
    assert report.code == 1


BY_HAND = """
from shop.settings import *
WSGI_APPLICATION = "by_hand_wsgi.application"
"""
BY_HAND_WSGI = """
from django.core.wsgi import get_wsgi_application
from opentelemetry.instrumentation.django import DjangoInstrumentor
DjangoInstrumentor().instrument()
application = get_wsgi_application()
"""


def test_an_instrumentor_that_is_switched_on_too_is_found(doctor: Doctor, programs: Stack) -> None:
    folder = Path(doctor.environment["PYTHONPATH"].rpartition(os.pathsep)[2])
    (folder / "by_hand.py").write_text(BY_HAND)
    (folder / "by_hand_wsgi.py").write_text(BY_HAND_WSGI)
    environment = {"DJANGO_SETTINGS_MODULE": "by_hand"}

    report = doctor.ask(environment)
    kept = doctor.ask({**environment, "OTEL_DJANGO_INSTRUMENTATION": "contrib"})
    (folder / "by_hand_wsgi.py").write_text(BY_HAND_WSGI.replace("DjangoInstrumentor().", "# "))
    taken_away = doctor.ask(environment)

    (warning,) = report.of("warning")
    assert warning["message"].startswith("DjangoInstrumentor of OpenTelemetry's contrib packages")
    assert "Take DjangoInstrumentor().instrument() away" in warning["cure"]
    assert "OTEL_DJANGO_INSTRUMENTATION=contrib" in warning["cure"]
    assert kept.is_well, kept.findings
    assert taken_away.is_well, taken_away.findings


def test_a_provider_that_was_set_up_before_is_found(doctor: Doctor) -> None:
    program = str(Path(sysconfig.get_path("scripts"), "opentelemetry-instrument"))

    environment = {"DJANGO_SETTINGS_MODULE": "shop.settings"}
    # The program makes grpc the default.
    http = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}

    report = doctor.ask(environment, before=(program,))
    other_protocol = doctor.ask({**environment, **http}, before=(program,))
    taken_away = doctor.cured({})

    provider, instrumentors = report.of("warning")
    assert "TracerProvider is set up before otel_django" in provider["message"]
    assert "opentelemetry-instrument before the command" in provider["cure"]
    assert "DjangoInstrumentor, CeleryInstrumentor" in instrumentors["message"]
    (fault,) = report.of("fault")
    assert "Set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in fault["cure"]
    assert other_protocol.code == 0
    assert len(other_protocol.of("warning")) == 2
    assert taken_away.is_well
