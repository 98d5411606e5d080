"""System checks: what is wrong is told, nothing stops the site."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from django.core import checks as django_checks
from django.test import override_settings

from otel_django import checks
from otel_django.conf.sources import Kind


@pytest.fixture(autouse=True)
def plain_settings() -> Any:
    with override_settings(OTEL_DJANGO={"STORE": "off"}, DEBUG=False):
        yield


def ids(messages: list[django_checks.CheckMessage]) -> list[str | None]:
    return [message.id for message in messages]


def test_registering_twice_changes_nothing() -> None:
    checks.register_checks()
    before = len(django_checks.registry.registry.get_checks(include_deployment_checks=True))
    checks.register_checks()
    after = len(django_checks.registry.registry.get_checks(include_deployment_checks=True))
    assert before == after
    assert checks.TAG in django_checks.registry.registry.tags_available()


def test_every_kind_of_problem_has_a_number_of_its_own() -> None:
    assert set(checks.ABOUT) == set(get_args(Kind))
    assert len({number for number, _ in checks.ABOUT.values()}) == len(checks.ABOUT)


def test_good_settings_give_no_message() -> None:
    assert checks.check_settings(None) == []


def test_a_wrong_value_is_a_warning_with_name_value_and_cure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_DJANGO_SLOW_QUERY_MS", "soon")
    (message,) = checks.check_settings(None)
    assert message.id == "otel_django.W001"
    assert message.level == django_checks.WARNING
    assert "OTEL_DJANGO_SLOW_QUERY_MS has the value 'soon'" in message.msg
    assert "milliseconds" in str(message.hint)


@pytest.mark.parametrize(
    ("environ", "check_id"),
    [
        ({"OTEL_DJANGO_STROE": "x"}, "otel_django.W002"),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "5000"}, "otel_django.W003"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317"}, "otel_django.W004"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c/v1/traces"}, "otel_django.W011"),
        ({"OTEL_TRACES_SAMPLER_ARG": "0.5"}, "otel_django.W005"),
        ({"OTEL_DJANGO_COMMANDS": "-import_oders"}, "otel_django.W012"),
        ({"OTEL_DJANGO_MODEL_EVENTS": "shop.Oder"}, "otel_django.W013"),
        ({"OTEL_DJANGO_HEALTH_CRITICAL": "disk,-cahce"}, "otel_django.W014"),
        ({"OTEL_DJANGO_COMMANDS": "own,all"}, "otel_django.W001"),
        ({"ALERT_SLACK_ENABLED": "true"}, "otel_django.W015"),
        ({"OTEL_DJANGO_ALERT_ROUTES": '[{"channels": ["pager"]}]'}, "otel_django.W015"),
        ({"OTEL_DJANGO_ALERT_RULES": '[{"name": "Mine", "form": "sum"}]'}, "otel_django.W016"),
        ({"OTEL_CONFIG_FILE": "x.yaml"}, "otel_django.W007"),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "https://c",
                "OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere/ca.pem",
            },
            "otel_django.W008",
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "https://c/v1/logs",
                "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE": "/nowhere/ca.pem",
            },
            "otel_django.W008",
        ),
        ({"OTEL_METRICS_EXPORTER": "promtail"}, "otel_django.W001"),
        ({"OTEL_DJANGO_LOG_FILE_ROTATION": "monthly"}, "otel_django.W001"),
    ],
)
def test_each_problem_has_its_id(
    environ: dict[str, str], check_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert ids(checks.check_settings(None)) == [check_id]


@override_settings(OTEL_DJANGO={})
def test_a_site_that_keeps_and_sends_nothing_is_told_so() -> None:
    assert ids(checks.check_settings(None)) == ["otel_django.W006"]


@override_settings(OTEL_DJANGO={"STORE": "off", "STRICT": True, "N_PLUS_ONE": -1, "KEPP": 1})
def test_wrong_values_and_names_are_errors_in_strict_mode() -> None:
    assert ids(checks.check_settings(None)) == ["otel_django.E002", "otel_django.E001"]


def test_a_file_that_can_be_read_is_no_problem(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate = tmp_path / "ca.pem"
    certificate.write_text("x")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(certificate))
    assert checks.check_settings(None) == []


def test_only_a_deployment_check_asks_for_the_services_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c")
    assert checks.check_settings(None) == []
    assert ids(checks.check_deployment(None)) == ["otel_django.W010"]
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    assert checks.check_deployment(None) == []


def test_grpc_without_grpcio_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    assert checks.check_settings(None) == []
    monkeypatch.delitem(sys.modules, "grpc", raising=False)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    assert ids(checks.check_settings(None)) == ["otel_django.W009"]


@pytest.mark.parametrize(("command", "told"), [("test", False), ("check", True)])
def test_a_test_run_which_turns_debug_off_is_not_warned_about_it(
    tmp_path: Path, command: str, told: bool
) -> None:
    (tmp_path / "site_settings.py").write_text(
        "SECRET_KEY = 'x'\nINSTALLED_APPS = ['otel_django']\n"
    )
    (tmp_path / "test_nothing.py").write_text(
        "from django.test import SimpleTestCase\n"
        "class Nothing(SimpleTestCase):\n"
        "    def test_nothing(self):\n"
        "        pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "django", command],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "site_settings",
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert ("otel_django.W006" in done.stderr) is told


def test_hundreds_of_wrong_values_stop_no_command(tmp_path: Path) -> None:
    environ = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "site_settings",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])]),
        **dict.fromkeys(_all_names(), "\x01(="),
    }
    (tmp_path / "site_settings.py").write_text(
        "SECRET_KEY = 'x'\nINSTALLED_APPS = ['otel_django']\nOTEL_DJANGO = ['no dict']\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "django", "check"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("otel_django.W001") > 20


def _all_names() -> list[str]:
    from otel_django.conf.variables import VARIABLES

    return [name for variable in VARIABLES for name in variable.names]
