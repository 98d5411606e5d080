"""The doctor from the command line, and its probe on the way to where it is seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_django.backends.embedded import EmbeddedReader
from otel_django.backends.embedded_logs import EmbeddedLogReader
from otel_django.backends.embedded_metrics import EmbeddedMetricReader
from otel_django.conf import Settings
from otel_django.conf.load import load
from otel_django.conf.settings import SIGNALS
from otel_django.doctor import sending
from otel_django.doctor.following import follow, log_trail, metric_trail, trace_trail
from otel_django.doctor.probe import Probe, encoded
from otel_django.doctor.trails import trails
from tests import server_process
from tests.misbehaving import closed_port
from tests.server_process import ROOT, Server, serving

MANAGE = """
import os, sys
from django.core.management import execute_from_command_line
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")
execute_from_command_line(sys.argv)
"""
SETTINGS = """
SECRET_KEY = "hush"
DEBUG = False
INSTALLED_APPS = ["otel_django"]
ALLOWED_HOSTS = ["*"]
"""
BY_HAND = """
from django.core.wsgi import get_wsgi_application
from opentelemetry import trace
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.sdk.trace import TracerProvider

trace.set_tracer_provider(TracerProvider())
DjangoInstrumentor().instrument()
application = get_wsgi_application()
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("receiver") / "store.sqlite3"


@pytest.fixture(scope="module")
def receiver(store: Path) -> Iterator[Server]:
    """A receiver that keeps what it takes in ``store``."""
    with serving(server_process.receiver(store), {}, ready="/") as server:
        yield server


def said(**environ: str) -> Settings:
    return load(environ, {}, base_dir=None, debug=False, settings_module="shop.settings")


def test_a_probe_is_followed_to_where_it_is_kept(receiver: Server, store: Path) -> None:
    settings = said(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{receiver.port}")
    probe = Probe("shop")

    def send() -> None:
        for signal in SIGNALS:
            sending.send(signal, encoded(probe, signal, settings), settings, 5.0)

    readers = (
        trace_trail(probe, EmbeddedReader(store), "the store", "X"),
        log_trail(probe, EmbeddedLogReader(store), "the store", "X"),
        metric_trail(probe, EmbeddedMetricReader(store), "the store", "X"),
    )
    assert not any(finding.state == "ok" for finding in follow(readers, 0.0))
    late = threading.Timer(0.7, send)
    late.start()
    found = list(follow(readers, 20.0))
    late.join()
    assert {finding.subject for finding in found} == set(SIGNALS)
    for finding in found:
        assert finding.state == "ok", finding
        assert finding.observed["seen_after_s"] >= 0.7
    newer = Probe("shop", made_ns=probe.made_ns + 10**10)
    other = metric_trail(newer, EmbeddedMetricReader(store), "the store", "X")
    assert [finding.state for finding in follow([other], 0.0)] == ["fault"]


def test_one_that_is_away_or_empty_is_named_with_its_cure(store: Path, receiver: Server) -> None:
    away = f"http://127.0.0.1:{closed_port()}"
    settings = said(
        OTEL_DJANGO_READ_FROM=f"jaeger={away},loki={away},prometheus={away}",
        OTEL_DJANGO_READ_FROM_HEADERS_LOKI="authorization=hush",
    )
    found = list(follow(list(trails(settings, Probe("shop"))), 0.0))
    assert [finding.observed["place"] for finding in found] == ["Jaeger", "Loki", "Prometheus"]
    for finding in found:
        assert finding.state == "fault"
        assert "can't be read: can't connect" in finding.message
        assert "OTEL_DJANGO_READ_FROM" in finding.cure
        assert "hush" not in finding.message + finding.cure
    missing = trace_trail(Probe("shop"), EmbeddedReader(store), "Jaeger", "X")
    (finding,) = follow([missing], 0.0)
    assert "took the probe, but Jaeger doesn't have it" in finding.message
    assert "otelcol_exporter_queue_size" in finding.cure


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "manage.py").write_text(MANAGE)
    (tmp_path / "site_settings.py").write_text(SETTINGS)
    return tmp_path


def doctor(project: Path, *arguments: str, **environ: str) -> tuple[int, list[dict[str, Any]], str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "DJANGO_", "TESTS_"))
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "otel", "doctor", *arguments],
        cwd=project,
        env={**kept, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    findings = json.loads(done.stdout)["findings"] if "--json" in arguments else []
    return done.returncode, findings, done.stdout


def test_all_is_well(project: Path, receiver: Server) -> None:
    code, _, output = doctor(
        project, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{receiver.port}"
    )
    assert code == 0, output
    assert "has taken the probe" in output
    assert "Name Jaeger, Prometheus, Loki in OTEL_DJANGO_READ_FROM" in output
    assert "Nothing is wrong." in output
    assert "\x1b" not in output


def test_what_is_wrong_is_said_once_with_its_cure(project: Path) -> None:
    endpoint = f"http://ada:hush@127.0.0.1:{closed_port()}/?token=hush"
    code, found, output = doctor(
        project,
        "--json",
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
        OTEL_TRACES_SAMPLER="parentbased_traceidratio",
        OTEL_TRACES_SAMPLER_ARG="0",
        OTEL_DJANGO_KEEP="erors",
    )
    assert code == 1
    faults = [finding for finding in found if finding["state"] == "fault"]
    assert [finding["subject"] for finding in faults] == ["settings", "traces, metrics, logs"]
    assert "records no traces" in faults[0]["message"]
    assert "OTEL_TRACES_SAMPLER_ARG above 0" in faults[0]["cure"]
    assert "Start the Collector" in faults[1]["cure"]
    assert "hush" not in output
    (warning,) = [finding for finding in found if finding["state"] == "warning"]
    assert "OTEL_DJANGO_KEEP" in warning["message"]


def test_what_is_read_from_is_asked_though_nothing_is_sent(project: Path) -> None:
    away = f"http://127.0.0.1:{closed_port()}"
    code, found, _ = doctor(
        project, "--json", OTEL_DJANGO_STORE="here.sqlite3", OTEL_DJANGO_READ_FROM=f"loki={away}"
    )
    assert code == 1
    (fault,) = [finding for finding in found if finding["state"] == "fault"]
    assert fault["subject"] == "logs"
    assert f"Loki at {away} can't be read" in fault["message"]


def test_that_telemetry_goes_nowhere_is_said_once(project: Path) -> None:
    code, found, _ = doctor(project, "--json")
    assert code == 1
    (fault,) = [finding for finding in found if finding["state"] == "fault"]
    assert fault["observed"] == {"check": "otel_django.W006"}
    assert all(finding["state"] in ("ok", "fault") for finding in found)


def test_what_is_set_up_twice_is_found_where_servers_set_it_up(project: Path) -> None:
    (project / "by_hand.py").write_text(BY_HAND)
    (project / "site_settings.py").write_text(
        SETTINGS + 'WSGI_APPLICATION = "by_hand.application"\n'
    )
    code, found, _ = doctor(project, "--json", "--no-probe", OTEL_DJANGO_STORE="off.sqlite3")
    said = " ".join(each["message"] for each in found if each["subject"] == "instrumentation")
    assert "opentelemetry.sdk.trace.TracerProvider is set up before otel_django" in said
    assert "DjangoInstrumentor of OpenTelemetry's contrib packages is switched on" in said
    assert code == 0


def test_nothing_is_sent_where_nothing_is_wanted(project: Path) -> None:
    code, found, _ = doctor(project, "--json", OTEL_SDK_DISABLED="true")
    assert code == 1
    (fault,) = [finding for finding in found if finding["state"] == "fault"]
    assert fault["message"] == "OTEL_SDK_DISABLED switches everything off."
