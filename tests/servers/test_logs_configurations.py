"""With whatever ``LOGGING`` a site has: its handlers stay, no line comes twice, none is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CONSOLE = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"own": {"format": "OWN %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "own"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}
IN_A_FILE = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"file": {"class": "logging.FileHandler", "filename": "FILE"}},
    "loggers": {"shop": {"handlers": ["file"], "level": "INFO", "propagate": False}},
}
PROGRAM = """
import json, os, logging, logging.config
from django.conf import settings
from tests import settings as site
given = json.loads(os.environ["GIVEN"])
values = {name: getattr(site, name) for name in dir(site) if name.isupper()}
settings.configure(**{**values, **given})
import django
django.setup()
logging.getLogger("shop.orders").warning("paid %d", 7)
logging.getLogger("django.request").warning("Not Found: /x/")
logging.getLogger("shop.orders").debug("unseen")
"""


def run(tmp_path: Path, given: dict[str, Any], **environ: str) -> tuple[list[dict[str, Any]], str]:
    """The lines of JSON on the standard error, and the rest of it."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "TESTS_BASE_DIR": str(tmp_path),
            "OTEL_DJANGO_ENABLED": "true",
            "GIVEN": json.dumps(given).replace("FILE", str(tmp_path / "shop.log")),
            **environ,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    printed = result.stderr.splitlines()
    return (
        [json.loads(line) for line in printed if line.startswith("{")],
        "\n".join(line for line in printed if not line.startswith("{")),
    )


@pytest.mark.parametrize("given", [{}, {"DEBUG": True}, {"LOGGING_CONFIG": None}])
def test_an_unconfigured_site_has_each_line_once_as_json(
    tmp_path: Path, given: dict[str, Any]
) -> None:
    lines, rest = run(tmp_path, given)
    assert [line["event"] for line in lines] == ["paid 7", "Not Found: /x/"]
    assert rest == ""


def test_a_site_that_prints_itself_keeps_its_lines_and_has_none_of_ours(tmp_path: Path) -> None:
    file = tmp_path / "site.log"
    lines, rest = run(tmp_path, {"LOGGING": CONSOLE}, OTEL_DJANGO_LOG_FILE=str(file))
    assert lines == []
    assert rest.splitlines() == ["OWN paid 7", "OWN Not Found: /x/"]
    assert [json.loads(line)["event"] for line in file.read_text().splitlines()] == [
        "paid 7",
        "Not Found: /x/",
    ]


def test_json_adds_our_lines_to_those_of_the_sites_own_handlers(tmp_path: Path) -> None:
    lines, rest = run(tmp_path, {"LOGGING": CONSOLE}, OTEL_DJANGO_LOG_FORMAT="json")
    assert [line["event"] for line in lines] == ["paid 7", "Not Found: /x/"]
    assert rest.splitlines() == ["OWN paid 7", "OWN Not Found: /x/"]


def test_a_handler_of_a_file_on_a_logger_of_its_own_stays_and_we_hear_it_too(
    tmp_path: Path,
) -> None:
    lines, _ = run(tmp_path, {"LOGGING": IN_A_FILE})
    assert [line["event"] for line in lines] == ["paid 7", "Not Found: /x/"]
    assert (tmp_path / "shop.log").read_text() == "paid 7\n"


def test_off_leaves_what_python_prints_by_itself(tmp_path: Path) -> None:
    given = {"LOGGING_CONFIG": None}
    environ = {"OTEL_DJANGO_LOG_FORMAT": "off", "OTEL_DJANGO_STORE": str(tmp_path / "store")}
    lines, rest = run(tmp_path, given, **environ)
    assert lines == []
    assert rest.splitlines() == ["paid 7", "Not Found: /x/"]


def test_console_is_lines_for_people(tmp_path: Path) -> None:
    lines, rest = run(tmp_path, {}, OTEL_DJANGO_LOG_FORMAT="console")
    assert lines == []
    first, second = rest.splitlines()
    assert "WARNING  shop.orders  paid 7" in first
    assert "\x1b" not in rest
    assert "Not Found: /x/" in second
