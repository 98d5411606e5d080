"""What a site imports by name is light, and true whoever traces."""

from __future__ import annotations

import logging
import subprocess
import sys
from importlib.resources import files

import pytest
from opentelemetry import context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import set_span_in_context

import otel_django
from otel_django import guard
from tests.tracing_kit import Collected


def run(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return result.stdout.strip()


def test_importing_the_package_loads_nothing_of_opentelemetry_or_django() -> None:
    heavy = "[m for m in sys.modules if m.partition('.')[0] in ('opentelemetry', 'django')]"
    assert run(f"import sys, otel_django; print({heavy})") == "[]"
    asked = "import sys, otel_django; print(otel_django.current_trace_id(), "
    assert run(f"{asked}{heavy})") == "None []"


def test_the_trace_id_is_that_of_whoevers_span_is_current() -> None:
    assert otel_django.current_trace_id() is None
    for tracer in (Collected().tracer, TracerProvider().get_tracer("x")):
        span = tracer.start_span("x")
        token = context.attach(set_span_in_context(span))
        try:
            assert otel_django.current_trace_id() == f"{span.get_span_context().trace_id:032x}"
        finally:
            context.detach(token)
            span.end()


def test_the_package_says_that_it_is_typed() -> None:
    assert files("otel_django").joinpath("py.typed").is_file()
    assert set(otel_django.__all__) == {
        "__version__",
        "counter",
        "current_trace_id",
        "event",
        "gauge",
        "get_logger",
        "histogram",
        "span",
        "traced",
        "up_down_counter",
    }


def test_a_fault_is_logged_once_with_its_type_and_line_but_not_its_text(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(guard, "_strict", False)
    with caplog.at_level(logging.WARNING, guard.LOGGER_NAME):
        for _ in range(2):
            with guard.guarded("this test"):
                raise ValueError("s3cret")
    (record,) = caplog.records
    assert "ValueError in test_public_api.py:" in record.getMessage()
    assert "s3cret" not in caplog.text
    assert guard.faults()["this test"] == 2
