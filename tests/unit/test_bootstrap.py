"""The runtime is put together from the settings, in real processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def run(body: str, folder: Path, **env: str) -> Any:
    """Run ``body`` after ``django.setup()``; what it gives to ``answer(...)`` comes back."""
    result = executed(body, folder, **env)
    answers = [line[6:] for line in result.stdout.splitlines() if line.startswith("ANSWER")]
    assert result.returncode == 0, result.stderr
    assert answers, result.stdout + result.stderr
    return json.loads(answers[-1])


def executed(body: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import json, sys, django\n"
        "django.setup()\n"
        "from otel_django import bootstrap\n"
        "from opentelemetry import trace\n"
        "def answer(value): sys.stdout.write('ANSWER' + json.dumps(value) + '\\n')\n"
    ) + textwrap.dedent(body)
    inherited = {
        key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTEST_"))
    }
    return subprocess.run(
        [sys.executable, "-c", code],
        env={
            **inherited,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "PYTHONPATH": str(ROOT),
            "TESTS_BASE_DIR": str(folder),
            **env,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


GET = """
from django.test import Client
from otel_django.testing import capture
with capture() as captured:
    Client().get("/plain/?a=1", headers={"user-agent": "x"})
"""


def test_old_attribute_names_come_beside_the_new_ones_when_asked_for(tmp_path: Path) -> None:
    names = run(
        GET + "answer(dict(captured.roots[0].attributes))",
        tmp_path,
        OTEL_SEMCONV_STABILITY_OPT_IN="http/dup",
    )
    assert names["http.method"] == names["http.request.method"] == "GET"
    assert names["http.status_code"] == 200
    assert names["http.target"] == "/plain/"


def test_only_the_stable_names_come_by_default(tmp_path: Path) -> None:
    names = run(GET + "answer(dict(captured.roots[0].attributes))", tmp_path)
    assert "http.method" not in names


def test_a_capture_looks_on_in_a_process_that_is_observed_anyway(tmp_path: Path) -> None:
    body = """
    from django.test import Client
    from otel_django.testing import capture
    from otel_django.errors import ConfigurationError
    with capture() as captured:
        Client(raise_request_exception=False).get("/template/")
    assert bootstrap.runtime() is not None
    try:
        with capture(n_plus_one=2):
            pass
    except ConfigurationError as error:
        answer([span.name for span in captured.roots] + [str(error)])
    """
    names = run(body, tmp_path, OTEL_DJANGO_STRICT="0")
    assert names[0] == "GET /template/"
    assert "can't change settings" in names[-1]


@pytest.mark.parametrize(
    ("variable", "value"),
    [("OTEL_SDK_DISABLED", "true"), ("OTEL_DJANGO_ENABLED", "false")],
)
def test_switched_off_nothing_of_opentelemetry_is_even_set_up(
    tmp_path: Path, variable: str, value: str
) -> None:
    assert run(
        "answer([bootstrap.runtime() is None, type(trace.get_tracer_provider()).__name__])",
        tmp_path,
        **{variable: value},
    ) == [True, "ProxyTracerProvider"]


def test_a_server_names_the_settings_it_cannot_use_when_it_starts(tmp_path: Path) -> None:
    process = executed(
        "", tmp_path, OTEL_DJANGO_STRICT="0", OTEL_DJANGO_N_PLUS_ONE="often", OTEL_DJANGO_KEEP="all"
    )
    assert process.returncode == 0
    assert (
        "can't use and goes on without: OTEL_DJANGO_KEEP, OTEL_DJANGO_N_PLUS_ONE" in process.stderr
    )
    assert "manage.py check" in process.stderr


def test_the_console_exporter_prints_spans(tmp_path: Path) -> None:
    body = """
    import io
    out = io.StringIO()
    bootstrap.runtime().sinks["traces"][0]._exporter.out = out
    trace.get_tracer("x").start_span("printed").end()
    bootstrap.flush()
    answer(json.loads(out.getvalue())["name"])
    """
    assert run(body, tmp_path, OTEL_TRACES_EXPORTER="console") == "printed"


def test_an_exporter_that_cannot_be_had_is_said_and_the_rest_runs(tmp_path: Path) -> None:
    body = """
    trace.get_tracer("x").start_span("y").end()
    answer(bootstrap.flush())
    """
    assert run(body, tmp_path, OTEL_TRACES_EXPORTER="nonesuch", OTEL_DJANGO_STRICT="0") is True


def test_the_resource_names_the_service_and_the_process(tmp_path: Path) -> None:
    body = "answer(dict(bootstrap.runtime().provider.resource.attributes))"
    found = run(
        body,
        tmp_path,
        OTEL_SERVICE_NAME="shop",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=prod,host.name=given",
    )
    assert found["service.name"] == "shop"
    assert found["deployment.environment.name"] == "prod"
    assert found["host.name"] == "given"
    assert found["telemetry.distro.name"] == "otel_django"
    assert {"service.instance.id", "process.pid", "process.runtime.version"} <= set(found)


def test_upstreams_own_django_instrumentation_can_take_the_place_of_ours(tmp_path: Path) -> None:
    body = """
    from django.test import Client
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    exporter = InMemorySpanExporter()
    trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
    Client().get("/plain/")
    answer([
        [span.name, span.instrumentation_scope.name, span.attributes["http.request.method"]]
        for span in exporter.get_finished_spans()
    ])
    """
    assert run(body, tmp_path, OTEL_DJANGO_INSTRUMENTATION="contrib") == [
        ["GET plain/", "opentelemetry.instrumentation.django", "GET"]
    ]


def with_provider(folder: Path, *lines: str) -> dict[str, str]:
    """The environment of a site whose settings set a tracer provider."""
    (folder / "users_settings.py").write_text(
        "\n".join(["from opentelemetry import trace", *lines, "from tests.settings import *"])
    )
    return {
        "DJANGO_SETTINGS_MODULE": "users_settings",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]),
    }


SDK = (
    "from opentelemetry.sdk.trace import TracerProvider",
    "trace.set_tracer_provider(TracerProvider())",
)


def test_a_provider_of_the_sdks_that_is_set_up_first_stays_in_charge_with_us_as_guest(
    tmp_path: Path,
) -> None:
    body = """
    from django.test import Client
    from otel_django.testing import capture
    with capture() as captured:
        with trace.get_tracer("theirs").start_as_current_span("work"):
            Client().get("/plain/")
    answer([
        type(bootstrap.runtime()).__name__,
        type(trace.get_tracer_provider()).__module__,
        str(captured).split("  ")[0],
        captured.one("GET /plain/").parent_span_id == captured.one("work").span_id,
    ])
    """
    found = run(body, tmp_path, **with_provider(tmp_path, *SDK))
    assert found == ["GuestRuntime", "opentelemetry.sdk.trace", "work", True]


def test_a_capture_beside_a_provider_of_the_sites_sees_both_and_sends_it_nothing(
    tmp_path: Path,
) -> None:
    body = """
    from django.test import Client
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from otel_django.testing import capture
    exporter = InMemorySpanExporter()
    trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
    with capture() as captured:
        with trace.get_tracer("theirs").start_as_current_span("work"):
            Client().get("/plain/")
    answer([
        [span.name for span in captured.spans],
        [span.name for span in exporter.get_finished_spans()],
    ])
    """
    found = run(body, tmp_path, OTEL_DJANGO_ENABLED="false", **with_provider(tmp_path, *SDK))
    assert found == [["work", "GET /plain/"], ["work"]]


def test_a_provider_that_is_not_the_sdks_is_left_alone(tmp_path: Path) -> None:
    theirs = with_provider(tmp_path, "trace.set_tracer_provider(trace.NoOpTracerProvider())")
    assert run(
        "answer([bootstrap.runtime() is None, type(trace.get_tracer_provider()).__name__])",
        tmp_path,
        **theirs,
    ) == [True, "NoOpTracerProvider"]


def test_a_part_that_fails_at_the_end_does_not_keep_spans_from_leaving(tmp_path: Path) -> None:
    body = """
    import io

    class Failing:
        def process_ends(self):
            raise ValueError("at the end")

    out = io.StringIO()
    runtime = bootstrap.runtime()
    runtime.sinks["traces"][0]._exporter.out = out
    runtime.instrumentations = (Failing(), *runtime.instrumentations)
    trace.get_tracer("x").start_span("first").end()
    bootstrap.flush()
    trace.get_tracer("x").start_span("last").end()  # waits for company, for a minute
    runtime.shutdown()
    answer('"name": "last"' in out.getvalue())
    """
    environment = {"OTEL_TRACES_EXPORTER": "console", "OTEL_BSP_SCHEDULE_DELAY": "60000"}
    assert run(body, tmp_path, **environment, OTEL_DJANGO_STRICT="0") is True


def test_propagators_of_djangos_settings_count_for_outgoing_calls(tmp_path: Path) -> None:
    (tmp_path / "users_settings.py").write_text(
        "from tests.settings import *\nOTEL_DJANGO = {'OTEL_PROPAGATORS': 'tracecontext'}\n"
    )
    body = """
    from opentelemetry.propagate import get_global_textmap
    answer(sorted(get_global_textmap().fields))
    """
    assert run(
        body,
        tmp_path,
        DJANGO_SETTINGS_MODULE="users_settings",
        PYTHONPATH=os.pathsep.join([str(ROOT), str(tmp_path)]),
    ) == ["traceparent", "tracestate"]
