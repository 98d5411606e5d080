"""``manage.py otel rules``: this site's alert rules for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from django.core.management.base import OutputWrapper

HELP = "Print this site's alert rules as a rule file for Prometheus."


def add_arguments(parser: ArgumentParser) -> None:
    """Its options."""
    parser.add_argument(
        "--runbooks",
        default="",
        metavar="URL",
        help="what goes before docs/runbooks/… in the alerts' links",
    )


def run(options: dict[str, Any], stdout: OutputWrapper, stderr: OutputWrapper) -> int:
    """Print them; 1 if a rule of the site had to be left out."""
    from otel_django import conf
    from otel_django.alerts import promql
    from otel_django.alerts.configured import configured

    found = configured(conf.from_django())
    stdout.write(promql.rule_file(found.rules, runbooks=options["runbooks"]), ending="")
    for problem in found.problems:
        stderr.write(problem)
    return 1 if found.problems else 0
