"""The doctor on the real stack: each fault is made, found, and gone when its cure is taken."""

from __future__ import annotations

import os
import sysconfig
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme
import yaml

from tests.misbehaving import closed_port, proxy
from tests.stack.doctor_kit import Doctor, Report
from tests.stack.stack_kit import (
    COLLECTOR_CONFIG,
    Collector,
    Jaeger,
    Loki,
    Prometheus,
    Stack,
    running,
    wait_until,
)
from tests.stub_collector_process import free_port

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
CERTIFICATE = "OTEL_EXPORTER_OTLP_CERTIFICATE"
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
READ_FROM = "OTEL_DJANGO_READ_FROM"
GRPC = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
TOKEN = "authorization=Bearer%20right"
ALL = {"Jaeger", "Loki", "Prometheus"}
ARRIVES_S = 60.0


@pytest.fixture(scope="module")
def doctor(programs: Stack, tmp_path_factory: pytest.TempPathFactory) -> Doctor:
    """Of a shop that exports to the stack, and reads from it."""
    return Doctor(programs, tmp_path_factory.mktemp("doctor"))


def exporting(programs: Stack) -> dict[str, str]:
    """Where a Collector finds the three backends."""
    return {
        "JAEGER_OTLP_ENDPOINT": f"127.0.0.1:{programs.jaeger.otlp_port}",
        "LOKI_OTLP_ENDPOINT": f"{programs.loki.url}/otlp",
        "PROMETHEUS_OTLP_ENDPOINT": f"{programs.prometheus.url}/api/v1/otlp",
    }


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


class Case(NamedTuple):
    """Variables that are wrong, what is said of them, and the variables when the cure is taken."""

    wrong: Mapping[str, str]
    seen: str
    cure: str
    mended: Mapping[str, str]
    state: str = "fault"


SECURE = {ENDPOINT: "https://localhost:{tls_http}", CERTIFICATE: "{ca}", HEADERS: TOKEN}
SECURE_GRPC = {**SECURE, **GRPC, ENDPOINT: "https://localhost:{tls_grpc}"}

CASES = {
    "nobody listens": Case(
        {ENDPOINT: "http://127.0.0.1:{nobody}"},
        "Nobody listens at 127.0.0.1:{nobody}.",
        f"Start the Collector, or name it in {ENDPOINT}",
        {ENDPOINT: "http://127.0.0.1:{http}"},
    ),
    "nobody listens for grpc": Case(
        {**GRPC, ENDPOINT: "http://127.0.0.1:{nobody}"},
        "Nobody listens at 127.0.0.1:{nobody}.",
        f"Start the Collector, or name it in {ENDPOINT}",
        {**GRPC, ENDPOINT: "http://127.0.0.1:{grpc}"},
    ),
    "http to the port of grpc": Case(
        {ENDPOINT: "http://127.0.0.1:{grpc}"},
        "127.0.0.1:{grpc} speaks grpc, but is asked by http/protobuf.",
        f"or port 4318 in {ENDPOINT}.",
        {ENDPOINT: "http://127.0.0.1:{http}"},
    ),
    "grpc to the port of http": Case(
        {**GRPC, ENDPOINT: "http://127.0.0.1:{http}"},
        "127.0.0.1:{http} speaks http/protobuf, but is asked by grpc.",
        f"or port 4317 in {ENDPOINT}.",
        {**GRPC, ENDPOINT: "http://127.0.0.1:{grpc}"},
    ),
    "the wrong protocol": Case(
        {ENDPOINT: "http://127.0.0.1:{grpc}"},
        "speaks grpc, but is asked by http/protobuf.",
        "Set OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
        {**GRPC, ENDPOINT: "http://127.0.0.1:{grpc}"},
    ),
    "the other wrong protocol": Case(
        {**GRPC, ENDPOINT: "http://127.0.0.1:{http}"},
        "speaks http/protobuf, but is asked by grpc.",
        "Set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", ENDPOINT: "http://127.0.0.1:{http}"},
    ),
    "a name nobody knows": Case(
        {ENDPOINT: "http://collector.invalid:4318"},
        "The host name collector.invalid isn't known here",
        f"Correct it in {ENDPOINT}",
        {ENDPOINT: "http://localhost:{http}"},
    ),
    "a name nobody knows for grpc": Case(
        {**GRPC, ENDPOINT: "http://collector.invalid:4317"},
        "The host name collector.invalid isn't known here",
        f"Correct it in {ENDPOINT}",
        {**GRPC, ENDPOINT: "http://localhost:{grpc}"},
    ),
    "tls to plain": Case(
        {ENDPOINT: "https://127.0.0.1:{http}"},
        "127.0.0.1:{http} speaks no TLS, but is asked with it.",
        f"Write http:// in {ENDPOINT}",
        {ENDPOINT: "http://127.0.0.1:{http}"},
    ),
    "tls to plain grpc": Case(
        {**GRPC, ENDPOINT: "https://127.0.0.1:{grpc}"},
        "127.0.0.1:{grpc} speaks no TLS, but is asked with it.",
        f"Write http:// in {ENDPOINT}",
        {**GRPC, ENDPOINT: "http://127.0.0.1:{grpc}"},
    ),
    "plain to tls": Case(
        {**SECURE, ENDPOINT: "http://localhost:{tls_http}"},
        "localhost:{tls_http} speaks TLS, but is asked without it.",
        f"Write https:// in {ENDPOINT}, and the authority's file in {CERTIFICATE}",
        SECURE,
    ),
    "plain to tls by grpc": Case(
        {**SECURE_GRPC, ENDPOINT: "http://localhost:{tls_grpc}"},
        "localhost:{tls_grpc} speaks TLS, but is asked without it.",
        f"Write https:// in {ENDPOINT}, and the authority's file in {CERTIFICATE}",
        SECURE_GRPC,
    ),
    "an unknown authority": Case(
        {**SECURE, CERTIFICATE: ""},
        "The certificate at localhost:{tls_http} isn't trusted",
        f"{CERTIFICATE} has to name the file of the authority",
        SECURE,
    ),
    "an unknown authority by grpc": Case(
        {**SECURE_GRPC, CERTIFICATE: ""},
        "The certificate at localhost:{tls_grpc} isn't trusted",
        f"{CERTIFICATE} has to name the file of the authority",
        SECURE_GRPC,
    ),
    "another host's certificate": Case(
        {**SECURE, ENDPOINT: "https://127.0.0.1:{tls_http}"},
        "The certificate at 127.0.0.1:{tls_http} isn't one for 127.0.0.1, but for localhost.",
        f"Use such a name in {ENDPOINT}",
        SECURE,
    ),
    "another host's certificate by grpc": Case(
        {**SECURE_GRPC, ENDPOINT: "https://127.0.0.1:{tls_grpc}"},
        "The certificate at 127.0.0.1:{tls_grpc} isn't one for 127.0.0.1, but for localhost.",
        f"Use such a name in {ENDPOINT}",
        SECURE_GRPC,
    ),
    "no certificate of ours": Case(
        {ENDPOINT: "https://localhost:{mutual}", CERTIFICATE: "{ca}"},
        "localhost:{mutual} wants a certificate of ours",
        "Name one in OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE, and its key in "
        "OTEL_EXPORTER_OTLP_CLIENT_KEY.",
        {
            ENDPOINT: "https://localhost:{mutual}",
            CERTIFICATE: "{ca}",
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "{certificate}",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": "{key}",
        },
    ),
    "no certificate of ours by grpc": Case(
        {**GRPC, ENDPOINT: "https://localhost:{mutual_grpc}", CERTIFICATE: "{ca}"},
        "localhost:{mutual_grpc} wants a certificate of ours",
        "Name one in OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        {
            **GRPC,
            ENDPOINT: "https://localhost:{mutual_grpc}",
            CERTIFICATE: "{ca}",
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "{certificate}",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": "{key}",
        },
    ),
    "a bad token": Case(
        {**SECURE, HEADERS: "authorization=Bearer%20wrong"},
        "localhost:{tls_http} refuses our credentials (HTTP 401",
        f"Compare the token in {HEADERS}",
        SECURE,
    ),
    "a bad token by grpc": Case(
        {**SECURE_GRPC, HEADERS: "authorization=Bearer%20wrong"},
        "localhost:{tls_grpc} refuses our credentials (gRPC UNAUTHENTICATED",
        f"Compare the token in {HEADERS}",
        SECURE_GRPC,
    ),
    "no token": Case(
        {**SECURE, HEADERS: ""},
        "localhost:{tls_http} asks for credentials, and none are sent",
        f"Set {HEADERS}=authorization=Bearer%20TOKEN",
        SECURE,
    ),
    "no token by grpc": Case(
        {**SECURE_GRPC, HEADERS: ""},
        "localhost:{tls_grpc} asks for credentials, and none are sent",
        f"Set {HEADERS}=authorization=Bearer%20TOKEN",
        SECURE_GRPC,
    ),
    "the path twice": Case(
        {ENDPOINT: "http://127.0.0.1:{http}/v1/traces"},
        "127.0.0.1:{http} has no receiver below /v1/traces",
        f"Take /v1/traces out of {ENDPOINT}",
        {ENDPOINT: "http://127.0.0.1:{http}"},
    ),
    "no path for one signal": Case(
        {TRACES_ENDPOINT: "http://127.0.0.1:{http}"},
        "127.0.0.1:{http} has no receiver at /",
        f"Write /v1/traces at the end of {TRACES_ENDPOINT}",
        {TRACES_ENDPOINT: "http://127.0.0.1:{http}/v1/traces"},
    ),
    "one signal elsewhere": Case(
        {TRACES_ENDPOINT: "http://127.0.0.1:{nobody}/v1/traces"},
        "Nobody listens at 127.0.0.1:{nobody}.",
        f"name it in {TRACES_ENDPOINT}",
        {},
    ),
    # 127.1 is the loopback address, too, but not one that is known not to need a proxy.
    "a proxy": Case(
        {ENDPOINT: "http://127.1:{http}", "http_proxy": "http://ada:hush@127.0.0.1:{nobody}"},
        "127.1:{http} is asked through the proxy 127.0.0.1:{nobody}",
        "Add 127.1 to no_proxy",
        {
            ENDPOINT: "http://127.1:{http}",
            "http_proxy": "http://ada:hush@127.0.0.1:{nobody}",
            "no_proxy": "127.1",
        },
    ),
    "a proxy for grpc": Case(
        {
            **GRPC,
            ENDPOINT: "http://127.0.0.1:{grpc}",
            "http_proxy": "http://127.0.0.1:{nobody}",
        },
        "127.0.0.1:{grpc} is asked through the proxy 127.0.0.1:{nobody}",
        "Add 127.0.0.1 to no_proxy",
        {
            **GRPC,
            ENDPOINT: "http://127.0.0.1:{grpc}",
            "http_proxy": "http://127.0.0.1:{nobody}",
            "no_proxy": "127.0.0.1",
        },
    ),
    "a proxy before a backend": Case(
        {READ_FROM: "jaeger=http://127.1:{jaeger}", "http_proxy": "http://127.0.0.1:{nobody}"},
        "Jaeger at http://127.1:{jaeger} can't be read",
        "asked through the proxy 127.0.0.1:{nobody}: add 127.1 to no_proxy",
        {
            READ_FROM: "jaeger=http://127.1:{jaeger}",
            "http_proxy": "http://127.0.0.1:{nobody}",
            "no_proxy": "127.1",
        },
    ),
    "a backend elsewhere": Case(
        {READ_FROM: "jaeger=http://127.0.0.1:{nobody}"},
        "Jaeger at http://127.0.0.1:{nobody} can't be read: can't connect",
        f"Start Jaeger, or name where it is in {READ_FROM}.",
        {READ_FROM: "jaeger=http://127.0.0.1:{jaeger}"},
    ),
    "something else for a backend": Case(
        {READ_FROM: "jaeger=http://127.0.0.1:{http}"},
        "Jaeger at http://127.0.0.1:{http} has no such page (status 404)",
        f"Name the address of Jaeger's own API in {READ_FROM}.",
        {READ_FROM: "jaeger=http://127.0.0.1:{jaeger}"},
    ),
    "a backend's name nobody knows": Case(
        {READ_FROM: "jaeger=http://jaeger.invalid"},
        "can't look up jaeger.invalid",
        f"Correct the host name in {READ_FROM}.",
        {READ_FROM: "jaeger=http://localhost:{jaeger}"},
    ),
    "always off": Case(
        {"OTEL_TRACES_SAMPLER": "always_off"},
        "OTEL_TRACES_SAMPLER=always_off records no traces.",
        "Set OTEL_TRACES_SAMPLER to parentbased_always_on",
        {"OTEL_TRACES_SAMPLER": "parentbased_always_on"},
    ),
    "a ratio of nothing": Case(
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"},
        "OTEL_TRACES_SAMPLER=traceidratio records no traces.",
        "parentbased_traceidratio with OTEL_TRACES_SAMPLER_ARG above 0.",
        {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"},
    ),
    "all switched off": Case(
        {"OTEL_SDK_DISABLED": "true"},
        "OTEL_SDK_DISABLED switches everything off.",
        "Take OTEL_SDK_DISABLED away.",
        {},
    ),
    "one signal switched off": Case(
        {"OTEL_TRACES_EXPORTER": "none"},
        "OTEL_TRACES_EXPORTER=none sends no traces to the receiver.",
        "Set OTEL_TRACES_EXPORTER=otlp",
        {"OTEL_TRACES_EXPORTER": "otlp"},
        "warning",
    ),
    "a folder that can't be written": Case(
        {"OTEL_DJANGO_SPOOL_DIR": "{ca}/spool"},
        "{ca}/spool can't be written (Not a directory)",
        "name another folder in OTEL_DJANGO_SPOOL_DIR.",
        {},
        "warning",
    ),
}


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
        page = f"http://127.0.0.1:{collector.metrics_port}/metrics"
        with urllib.request.urlopen(page, timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return any(
            line.startswith("otelcol_exporter_queue_size{")
            and "otlp_grpc/jaeger" in line
            and not line.endswith(" 0")
            for line in lines
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


class TenantLoki(Loki):
    """One that asks each client for its tenant."""

    def command(self) -> list[str]:
        """See the class."""
        return [*super().command(), "-auth.enabled=true"]


def test_a_tenant_that_is_missing_or_another_is_found(
    doctor: Doctor, programs: Stack, tmp_path: Path
) -> None:
    loki = TenantLoki(tmp_path)
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
