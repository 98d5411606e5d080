"""``manage.py run_monitoring``: evaluates alerts, tells of them, and keeps the course of health."""

from __future__ import annotations

import argparse
import os
import queue
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from django.core.management.base import BaseCommand, CommandParser

from otel_django import conf, host_environment
from otel_django.alerts.service.systemd import Systemd
from otel_django.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from otel_django.alerts.service.monitoring import Monitoring
    from otel_django.conf import Settings

INTERVAL_S: Final = 15.0
ONCE_INTERVAL_S: Final = 60.0
"""How often ``--once`` is taken to be run, unless it is said."""
ONCE_WITHIN_S: Final = 50.0
STOP_S: Final = 2.0
END_S: Final = 4.5
"""After a signal the process ends within that time, whatever hangs."""
LOOK_S: Final = 1.0


class Command(BaseCommand):
    """One process of all hosts evaluates; further ones stand by."""

    help = (
        "Evaluate alert rules, tell of alerts, take snapshots of health and tidy up, until it is "
        "stopped. Run it beside the site; further ones, also on other hosts, stand by."
    )
    requires_system_checks: list[str] = []  # noqa: RUF012 - as Django declares it

    def add_arguments(self, parser: CommandParser) -> None:
        """Its options."""
        parser.add_argument(
            "--once",
            action="store_true",
            help="do everything once and end: for cron, a systemd timer or another scheduler",
        )
        parser.add_argument(
            "--interval",
            type=_seconds,
            metavar="SECONDS",
            help="how often critical rules are evaluated (15), or with --once how often this is "
            "run (60)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until SIGTERM or SIGINT; a second signal ends it at once."""
        settings = conf.from_django()
        for line in _said(settings):
            self.stderr.write(line)
        if options["once"]:
            self._once(settings, options["interval"] or ONCE_INTERVAL_S)
        else:
            self._serve(settings, options["interval"] or INTERVAL_S)

    def _once(self, settings: Settings, interval_s: float) -> None:
        monitoring = _made(settings, interval_s)
        done = monitoring.once(ONCE_WITHIN_S)
        leads = monitoring.leading.leads()
        monitoring.stop(STOP_S)
        if not leads:
            self.stdout.write("Another process evaluates the alerts.")
        if not done:
            self.stderr.write("Not everything could be done in time, or without a fault.")
            sys.exit(1)

    def _serve(self, settings: Settings, interval_s: float) -> None:
        stopped = _Stopped()
        systemd = Systemd(host_environment.notify_socket(), host_environment.watchdog_s())
        monitoring = _made(settings, interval_s)
        monitoring.measure()
        self.stdout.write("Monitoring has begun. Ctrl-C or SIGTERM ends it.")
        self.stdout.flush()
        systemd.tell("READY=1", "STATUS=Monitoring.")
        while not stopped.within(min(monitoring.duties.step(), LOOK_S)):
            if systemd.watchdog_s is not None and monitoring.is_alive():
                systemd.tell("WATCHDOG=1")
        systemd.tell("STOPPING=1")
        monitoring.stop(STOP_S)


class _Stopped:
    """Whether a signal asked for the end. From then on there is a limit to how long that takes."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        self._asked.put(number)

    def within(self, timeout_s: float) -> bool:
        """Wait for it."""
        try:
            self._asked.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return False
        threading.Thread(target=_end_at_last, name="otel_django-end", daemon=True).start()
        return True


def _end_at_last() -> None:
    time.sleep(END_S)
    os._exit(0)


def _made(settings: Settings, interval_s: float) -> Monitoring:
    from otel_django.alerts.service.monitoring import Monitoring
    from otel_django.reporting import weekly
    from otel_django.viewer.board.snapshot import figures

    return Monitoring(
        settings,
        clock=SYSTEM_CLOCK,
        interval_s=interval_s,
        figures=figures,
        also=weekly.duties(settings, SYSTEM_CLOCK),
    )


def _said(settings: Settings) -> list[str]:
    """What whoever starts it should know."""
    from otel_django.alerts.configured import configured

    lines = list(configured(settings).problems)
    if settings.alerts_evaluator == "prometheus":
        lines.append(
            "OTEL_DJANGO_ALERTS_EVALUATOR is prometheus: alerts are evaluated there; only "
            "snapshots of health are taken here."
        )
    return lines


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError("a number of seconds") from None
    if not 1 <= value <= 3600:
        raise argparse.ArgumentTypeError("from 1 to 3600 seconds")
    return value
