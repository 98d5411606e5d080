"""``manage.py otel <subcommand>``: finds the subcommand's module and passes its exit code on."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from otel_django import cli


class Command(BaseCommand):
    """The subcommands are the modules of ``otel_django.cli``."""

    help = "Look at this site's telemetry and its settings."
    requires_system_checks: list[str] = []  # noqa: RUF012 - as Django declares it

    def add_arguments(self, parser: CommandParser) -> None:
        """One parser for each subcommand."""
        subparsers = parser.add_subparsers(
            dest="subcommand", metavar="subcommand", title="subcommands", required=True
        )
        for name, module in cli.installed():
            subparser = subparsers.add_parser(name, help=module.HELP, description=module.HELP)
            _add_common_options(subparser)
            module.add_arguments(subparser)
            subparser.set_defaults(run=module.run)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run it; a code other than 0 ends the process with that code."""
        try:
            code = options["run"](options, self.stdout, self.stderr)
            self.stdout.flush()
        except KeyboardInterrupt:
            code = 130
        except BrokenPipeError:  # the reader, such as head, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 141
        if code:
            sys.exit(code)


def _add_common_options(parser: argparse.ArgumentParser) -> None:
    """Django's own options, which people write after the subcommand as well as before it."""
    for flag in ("--no-color", "--force-color", "--traceback", "--skip-checks"):
        _add_hidden(parser, flag, action="store_true")
    _add_hidden(parser, "--settings")
    _add_hidden(parser, "--pythonpath")
    _add_hidden(parser, "-v", "--verbosity", type=int, choices=[0, 1, 2, 3])


def _add_hidden(parser: argparse.ArgumentParser, *flags: str, **options: Any) -> None:
    # SUPPRESS as default leaves what stood before the subcommand as it is.
    parser.add_argument(*flags, default=argparse.SUPPRESS, help=argparse.SUPPRESS, **options)
