"""A report as a mail: text, with HTML beside it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from django.conf import settings as site
from django.core.mail import EmailMultiAlternatives

from otel_django.alerts.delivery.channels.email import deliver
from otel_django.cli.inert_text import fit, inert
from otel_django.reporting import times
from otel_django.reporting.html import html
from otel_django.reporting.text import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_django.alerts.delivery.contract import Outcome
    from otel_django.reporting.document import Report

_DOMAIN: Final = "reports.otel-django.invalid"
_SUBJECT: Final = 150
TIMEOUT_S: Final = 30.0


def send(report: Report, recipients: Sequence[str]) -> Outcome:
    """What became of it; its text holds no secrets."""
    return deliver(message(report, recipients), TIMEOUT_S)


def message(report: Report, recipients: Sequence[str]) -> EmailMultiAlternatives:
    """The mail; that of one range always has the same ``Message-ID``."""
    made = EmailMultiAlternatives(
        subject=_subject(report),
        body=text(report),
        from_email=site.SERVER_EMAIL,
        to=list(recipients),
        headers={"Message-ID": f"<{_key(report)}@{_DOMAIN}>", "Auto-Submitted": "auto-generated"},
    )
    made.attach_alternative(html(report), "text/html")
    return made


def _subject(report: Report) -> str:
    bad = [section.title for section in report.sections if section.is_bad]
    words = f"look at {', '.join(bad).lower()}" if bad else "all is well"
    days = f"{times.day(report.since_ns)} to {times.day(report.until_ns)}"
    return fit(inert(f"{report.title}, {days}: {words}"), _SUBJECT)


def _key(report: Report) -> str:
    whole = f"{report.site}\0{report.service}\0{report.since_ns}\0{report.until_ns}"
    return hashlib.sha256(whole.encode()).hexdigest()[:32]
