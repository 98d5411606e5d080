"""``manage.py otel receive``, ``python -m otel_django receive``: telemetry of any service."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from django.core.management.base import OutputWrapper

HELP = "Receive OTLP over HTTP from any service, keep it in a store, and show it."


def add_arguments(parser: ArgumentParser) -> None:
    """Its options."""
    parser.add_argument(
        "--host", default="127.0.0.1", help="where to listen (127.0.0.1); others need a token"
    )
    parser.add_argument(
        "--port", type=_port, default=4318, help="where to listen (4318); 0 for any that is free"
    )
    parser.add_argument("--store", type=Path, metavar="PATH", help="the file it is kept in")
    parser.add_argument(
        "--token", help="who sends and who looks needs it; OTEL_DJANGO_TOKENS isn't seen by others"
    )
    parser.add_argument(
        "--retention-hours", type=_positive, metavar="HOURS", help="how long it is kept"
    )
    parser.add_argument(
        "--max-mb", type=_megabytes, metavar="MB", help="how large the file becomes"
    )


def run(options: dict[str, Any], stdout: OutputWrapper, stderr: OutputWrapper) -> int:
    """Receive until SIGTERM or Ctrl-C: 0; 1 when the address can't be had, or no token be read."""
    from otel_django import conf
    from otel_django.errors import ConfigurationError
    from otel_django.receiver import run as receiver

    def say(text: str) -> None:
        stdout.write(text)
        stdout.flush()

    found = conf.from_django()
    for problem in found.problems:
        if problem.kind == "value":
            stderr.write(f"{problem.message} {problem.hint}")
            if problem.name.endswith("TOKENS") and not (found.tokens or options["token"]):
                return 1  # not open to everybody on this machine where a token was meant
    settings = receiver.settings_for(
        found,
        store=options["store"],
        token=options["token"],
        retention_hours=options["retention_hours"],
        max_mb=options["max_mb"],
    )
    try:
        receiver.receive(settings, options["host"], options["port"], say)
    except ConfigurationError as error:
        stderr.write(str(error))
        return 1
    return 0


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise ArgumentTypeError(f"{text} is no port")
    return int(text)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0.0 < number < 1e6:
        raise ArgumentTypeError(f"{text} is no number of hours")
    return number


def _megabytes(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError(f"{text} is no number of megabytes")
    return int(text)
