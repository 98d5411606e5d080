"""Where Prometheus evaluates: Alertmanager is told what it doesn't know, and asked what is over."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from otel_django import guard
from otel_django.alerts import alertmanager_sync
from otel_django.alerts.alertmanager import Alertmanager, AlertmanagerError
from otel_django.site_database import AWAY, connected

if TYPE_CHECKING:
    from otel_django.conf import Settings

EVERY_S: Final = 15.0
PATIENCE_S: Final = 15.0
_logger = logging.getLogger(guard.LOGGER_NAME)


class TellingAlertmanager:
    """Says once when it can't, or when something is refused, and then when it can again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._problem = ""

    def step(self, now_ms: int) -> None:
        """Once."""
        try:
            with connected(self._settings.database):
                problem = self._told(now_ms)
        except AWAY:
            return  # who leads has said so
        if problem and problem != self._problem:
            _logger.warning("Alertmanager doesn't know all that was decided: %s.", problem)
        elif self._problem and not problem:
            _logger.info("Alertmanager knows all that was decided.")
        self._problem = problem

    def _told(self, now_ms: int) -> str:
        server = Alertmanager(self._settings, time.monotonic() + PATIENCE_S)
        try:
            alertmanager_sync.close(self._settings, server, now_ms)
            refused = alertmanager_sync.tell(self._settings, server, now_ms)
        except AlertmanagerError as error:
            return str(error)
        return refused[0] if refused else ""
