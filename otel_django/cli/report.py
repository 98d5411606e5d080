"""``manage.py otel report``: how a range of time was, for the terminal, a file or a mail."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

from otel_django.cli.output import encodable, encoding_of, written

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from django.core.management.base import OutputWrapper

    from otel_django.conf import Settings
    from otel_django.reporting.document import Report

HELP = "Report on a range of time: availability, requests, errors, tasks, database, alerts, health."


def add_arguments(parser: ArgumentParser) -> None:
    """Its options."""
    parser.add_argument(
        "--since",
        type=_moment,
        metavar="TIME",
        help="from then on: 7d (by default), 24h, 2026-01-31T12:00",
    )
    parser.add_argument("--until", type=_moment, metavar="TIME", help="up to then, likewise")
    parser.add_argument("--service", default="", metavar="NAME", help="of one service only")
    parser.add_argument("--html", metavar="FILE", help="write it to this file as HTML")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.add_argument(
        "--email",
        action="store_true",
        help="mail it to ALERT_EMAIL_TO, or to --to",
    )
    parser.add_argument(
        "--to", action="append", metavar="ADDRESS", help="mail it to this address; can be repeated"
    )


def run(options: dict[str, Any], stdout: OutputWrapper, stderr: OutputWrapper) -> int:
    """Make it; 0, 1 where it can't be written or sent, 2 for misuse.

    What can't be read is said in the report.
    """
    from otel_django import conf
    from otel_django.reporting.making import WEEK_NS, make

    settings = conf.from_django()
    now_ns = time.time_ns()
    until_ns = min(options["until"] or now_ns, now_ns)
    since_ns = options["since"] or until_ns - WEEK_NS
    if since_ns >= until_ns:
        stderr.write("The range has no length: --since must be before --until, and in the past.")
        return 2
    report = make(settings, since_ns, until_ns, now_ns, options["service"])
    codes = [_printed(report, options, stdout)]
    if options["html"]:
        codes.append(_filed(report, options["html"], stderr))
    if options["email"] or options["to"]:
        codes.append(_mailed(report, options["to"], settings, stdout, stderr))
    return max(codes)


def _printed(report: Report, options: dict[str, Any], stdout: OutputWrapper) -> int:
    """As text, unless something else was asked for."""
    from otel_django.reporting.text import WIDTH, as_json, text

    if options["json"]:
        stdout.write(as_json(report))
    elif not (options["html"] or options["email"] or options["to"]):
        width = shutil.get_terminal_size((WIDTH, 24)).columns
        words = text(report, max(60, min(width, 160)))
        stdout.write(encodable(words, encoding_of(stdout)))
    return 0


def _filed(report: Report, name: str, stderr: OutputWrapper) -> int:
    from otel_django.reporting.html import html

    try:
        with written(name) as file:
            file.write(html(report))
    except OSError as error:
        stderr.write(f"{name} can't be written: {error.strerror}.")
        return 1
    return 0


def _mailed(
    report: Report,
    to: list[str] | None,
    settings: Settings,
    stdout: OutputWrapper,
    stderr: OutputWrapper,
) -> int:
    from otel_django.alerts.delivery.configured import mail_recipients
    from otel_django.reporting.mail import send

    recipients = to or mail_recipients(settings)
    if not recipients:
        stderr.write("Nobody to mail it to: set ALERT_EMAIL_TO or ADMINS, or add --to.")
        return 1
    outcome = send(report, recipients)
    if outcome.result != "delivered":
        stderr.write(f"The report was not sent: {outcome.detail}")
        return 1
    stdout.write(f"Sent to {', '.join(recipients)}.")
    return 0


def _moment(text: str) -> int:
    from otel_django.cli.times import moment_ns

    return moment_ns(text, time.time_ns())
