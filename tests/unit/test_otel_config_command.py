"""``manage.py otel`` and its subcommand ``config``, run as people run them."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from otel_django.conf.variables import VARIABLES

ROOT = Path(__file__).parents[2]
SETTINGS = """
from pathlib import Path
BASE_DIR = Path(__file__).parent.parent
SECRET_KEY = "hush"
DEBUG = True
INSTALLED_APPS = ["otel_django"]
OTEL_DJANGO = {"KEEP": ["errors", "slow"], "SLOW_REQUEST_MS": 250, "N_PLUS_ONE": "many"}
"""
MANAGE = """
import os, sys
from django.core.management import execute_from_command_line
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bookshop.settings")
execute_from_command_line(sys.argv)
"""
ENVIRON = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "https://me:hush@collector:4318?key=hush",
    "OTEL_EXPORTER_OTLP_HEADERS": "api-key=hush",
    "OTEL_RESOURCE_ATTRIBUTES": "region=eu,db.password=hush",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "bookshop").mkdir()
    (tmp_path / "bookshop" / "__init__.py").touch()
    (tmp_path / "bookshop" / "settings.py").write_text(SETTINGS)
    (tmp_path / "manage.py").write_text(MANAGE)
    return tmp_path


def environment(**more: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "DJANGO_", "NO_COLOR", "TESTS_"))
    }
    return {**kept, "PYTHONPATH": str(ROOT), "TERM": "xterm", **more}


def manage(project: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=project,
        env=environment(**environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def line_of(output: str, variable: str) -> list[str]:
    (line,) = (line for line in output.splitlines() if line.split()[:1] == [variable])
    return line.split()[1:]


def test_every_value_is_printed_with_where_it_comes_from(project: Path) -> None:
    done = manage(project, "otel", "config", **ENVIRON)
    assert (done.returncode, done.stderr) == (0, "")
    output = done.stdout
    assert line_of(output, "OTEL_SERVICE_NAME") == ["bookshop", "default"]
    assert line_of(output, "OTEL_DJANGO_SLOW_REQUEST_MS") == ["250", "settings.OTEL_DJANGO"]
    assert line_of(output, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == [
        "https://collector:4318/v1/traces?****",
        "environment",
        "(OTEL_EXPORTER_OTLP_ENDPOINT)",
    ]
    for variable in VARIABLES:
        assert line_of(output, variable.name)


def test_no_secret_is_printed(project: Path) -> None:
    for arguments in ([], ["--json"]):
        output = manage(project, "otel", "config", *arguments, **ENVIRON).stdout
        assert "hush" not in output
        assert "region=eu,db.password=****" in output
        assert "api-key=****" in output


def test_a_secret_that_is_not_set_is_shown_as_not_set(project: Path) -> None:
    output = manage(project, "otel", "config", ALERT_WEBHOOK_SECRET="hush").stdout
    assert line_of(output, "ALERT_WEBHOOK_SECRET") == ["****", "environment"]
    for variable in ("PAGERDUTY_ROUTING_KEY", "SLACK_WEBHOOK_URL"):
        assert line_of(output, variable) == ["-", "default"]


def test_problems_stand_below(project: Path) -> None:
    output = manage(project, "otel", "config").stdout
    _, problems = output.split("\nProblems\n")
    assert "settings.OTEL_DJANGO[\"N_PLUS_ONE\"] has the value 'many'" in problems
    assert "Until then: 5." in problems


def test_columns_are_aligned(project: Path) -> None:
    output = manage(project, "otel", "config").stdout
    table, _ = output.split("\nProblems\n")
    rows = [line for line in table.splitlines() if line.startswith("  ")]
    assert len(rows) == len(VARIABLES)
    assert len({len(row) - len(row.split(maxsplit=1)[1]) for row in rows}) == 1


def test_json_is_for_programs(project: Path) -> None:
    document = json.loads(manage(project, "otel", "config", "--json", **ENVIRON).stdout)
    by_field = {row["field"]: row for row in document["settings"]}
    assert by_field["keep"] == {
        "section": "Behaviour of otel_django",
        "variable": "OTEL_DJANGO_KEEP",
        "field": "keep",
        "value": "errors,slow",
        "origin": "settings",
        "set_by": "OTEL_DJANGO_KEEP",
    }
    assert by_field["n_plus_one"]["origin"] == "default"
    (problem,) = document["problems"]
    assert problem["name"] == "OTEL_DJANGO_N_PLUS_ONE"


def test_nothing_is_created_and_nothing_imported(project: Path) -> None:
    before = {path for path in project.rglob("*") if "__pycache__" not in path.parts}
    manage(project, "otel", "config")
    assert {path for path in project.rglob("*") if "__pycache__" not in path.parts} == before
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "manage.py", "otel", "config"],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert " opentelemetry" not in done.stderr


def on_terminal(project: Path, *arguments: str, **environ: str) -> str:
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "otel", "config", *arguments],
        cwd=project,
        env=environment(**environ),
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    output = b""
    while chunk := _read(main):
        output += chunk
    os.close(main)
    assert process.wait(60) == 0
    return output.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux's way of saying that the other side is closed
        return b""


def test_colours_are_for_terminals_that_want_them(project: Path) -> None:
    assert "\x1b[" in on_terminal(project)
    assert "\x1b[" not in on_terminal(project, NO_COLOR="1")
    assert "\x1b[" not in on_terminal(project, "--no-color")
    assert "\x1b[" not in on_terminal(project, "--json")
    assert "\x1b[" not in manage(project, "otel", "config").stdout
    assert "\x1b[" in manage(project, "otel", "config", "--force-color").stdout


def test_a_reader_that_stops_early_gets_no_traceback(project: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "manage.py", "otel", "config"],
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    process.stdout.close()
    _, errors = process.communicate(timeout=60)
    assert errors == b""


def test_without_a_subcommand_the_choice_is_shown(project: Path) -> None:
    done = manage(project, "otel")
    assert done.returncode != 0
    assert "subcommand" in done.stderr
    assert "config" in manage(project, "otel", "--help").stdout


def test_an_unknown_subcommand_is_refused(project: Path) -> None:
    done = manage(project, "otel", "confgi")
    assert done.returncode != 0
    assert "confgi" in done.stderr
    assert "Traceback" not in done.stderr


def test_djangos_own_options_stand_before_or_after_the_subcommand(project: Path) -> None:
    for arguments in (
        ["otel", "--settings", "bookshop.settings", "config", "--json"],
        ["otel", "config", "--json", "--settings", "bookshop.settings"],
        ["otel", "config", "--json", "-v", "2", "--traceback", "--pythonpath", "."],
    ):
        assert json.loads(manage(project, *arguments).stdout)["settings"]


def test_code_can_call_it() -> None:
    output = io.StringIO()
    call_command("otel", "config", "--json", stdout=output)
    assert json.loads(output.getvalue())["settings"]
    with pytest.raises(CommandError):
        call_command("otel")


@override_settings(OTEL_DJANGO={"STORE": "off", "USER_ID": "hash"})
def test_settings_are_read_anew_each_time() -> None:
    output = io.StringIO()
    call_command("otel", "config", stdout=output)
    assert line_of(output.getvalue(), "OTEL_DJANGO_USER_ID") == ["hash", "settings.OTEL_DJANGO"]
    assert output.getvalue().endswith("No problems.\n") or "Problems" in output.getvalue()


class Answer:
    """A subcommand that ends with a given code."""

    HELP = "Answer."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("code", type=int)

    def run(self, options: dict[str, Any], stdout: Any, stderr: Any) -> int:
        code: int = options["code"]
        return code


def test_the_exit_code_of_a_subcommand_is_that_of_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from otel_django import cli

    monkeypatch.setattr(cli, "SUBCOMMANDS", ("answer", "missing"))
    monkeypatch.setitem(sys.modules, "otel_django.cli.answer", Answer())
    call_command("otel", "answer", "0")
    with pytest.raises(SystemExit) as caught:
        call_command("otel", "answer", "3")
    assert caught.value.code == 3


def test_a_provider_of_the_sites_own_is_said(project: Path) -> None:
    own = (
        "from opentelemetry import trace\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "trace.set_tracer_provider(TracerProvider())\n"
    )
    (project / "bookshop" / "settings.py").write_text(own + SETTINGS)
    told = manage(project, "otel", "config").stdout
    assert "The tracer provider in charge is opentelemetry.sdk.trace.TracerProvider." in told
    document = json.loads(manage(project, "otel", "config", "--json").stdout)
    assert document["tracer_provider"] == "opentelemetry.sdk.trace.TracerProvider"


def test_without_one_nothing_is_said_of_it(project: Path) -> None:
    assert "tracer provider in charge" not in manage(project, "otel", "config").stdout
    document = json.loads(manage(project, "otel", "config", "--json").stdout)
    assert document["tracer_provider"] is None
