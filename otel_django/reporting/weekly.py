"""The report of each week, mailed by the monitoring service: once, by one of its processes."""

from __future__ import annotations

import contextlib
import logging
import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from otel_django import guard
from otel_django.alerts.delivery.configured import mail_recipients
from otel_django.alerts.service.duties import Duty
from otel_django.observers.board import BoardAway
from otel_django.observers.database_board import DatabaseBoard
from otel_django.reporting.mail import send
from otel_django.reporting.making import make

if TYPE_CHECKING:
    from otel_django.alerts.delivery.contract import Outcome
    from otel_django.clock import Clock
    from otel_django.conf import Settings
    from otel_django.observers.board import Board

_logger = logging.getLogger(guard.LOGGER_NAME)
LEASE: Final = "report"
LEASE_S: Final = 600.0
EVERY_S: Final = 60.0
PATIENCE_S: Final = 300.0
LATEST: Final = timedelta(days=1)
"""A report that could not be sent within that time isn't sent any more."""


def duties(settings: Settings, clock: Clock) -> tuple[Duty, ...]:
    """For the monitoring service; none where no report is wanted."""
    if settings.report_weekly is None:
        return ()
    if not mail_recipients(settings):
        _logger.warning("Nobody gets the weekly report: set ALERT_EMAIL_TO or ADMINS.")
        return ()
    weekly = Weekly(settings, DatabaseBoard(settings.database), clock)
    return (Duty("report", EVERY_S, weekly.send_if_due, PATIENCE_S),)


class Weekly:
    """``settings.report_weekly`` is weekday (0 is Monday), hour and minute in the site's zone."""

    def __init__(self, settings: Settings, board: Board, clock: Clock) -> None:
        self._settings = settings
        self._board = board
        self._clock = clock
        self._owner = uuid.uuid4().hex
        self._sent = ""
        self._said = ""

    def send_if_due(self) -> bool:
        """Send what is due and wasn't sent yet, by anybody; whether it was."""
        due = self._due()
        if due is None or due.isoformat() == self._sent:
            return False
        with contextlib.suppress(BoardAway):  # asked again in a minute
            if not self._board.claim(LEASE, self._owner, LEASE_S):
                return False
            try:
                return self._send(due)
            finally:
                self._board.release(LEASE, self._owner)
        return False

    def _due(self) -> datetime | None:
        """When the last one was to be sent, if that isn't long ago."""
        weekday, hour, minute = self._settings.report_weekly or (0, 0, 0)
        now = datetime.fromtimestamp(self._clock.now_ns() / 1e9).astimezone().replace(tzinfo=None)
        day = now - timedelta(days=(now.weekday() - weekday) % 7)
        due = day.replace(hour=hour, minute=minute, second=0, microsecond=0)
        if due > now:
            due -= timedelta(days=7)
        return due if now - due < LATEST else None

    def _send(self, due: datetime) -> bool:
        last = self._board.get(LEASE)
        if last is not None and last.text >= due.isoformat():
            self._sent = due.isoformat()
            return False
        since_ns, until_ns = (
            int(each.timestamp()) * 10**9 for each in (due - timedelta(days=7), due)
        )
        report = make(self._settings, since_ns, until_ns, self._clock.now_ns())
        outcome = send(report, mail_recipients(self._settings))
        self._say(outcome)
        if outcome.result == "retry":
            return False
        self._sent = due.isoformat()
        self._board.put(LEASE, self._owner, self._sent)
        return outcome.result == "delivered"

    def _say(self, outcome: Outcome) -> None:
        """Each trouble once."""
        if outcome.result != "delivered" and outcome.detail != self._said:
            _logger.warning("The weekly report wasn't sent. %s", outcome.detail)
        self._said = outcome.detail
