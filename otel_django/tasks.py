"""``run_monitoring --once`` as a Celery task, for beat; found by ``autodiscover_tasks``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from celery import shared_task

from otel_django import conf
from otel_django.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from otel_django.alerts.service.monitoring import Monitoring

INTERVAL_S: Final = 60.0
WITHIN_S: Final = 50.0
REST_S: Final = 2.0
_made: dict[tuple[int, float], Monitoring] = {}
"""This process's, by interval."""


@shared_task(name="otel_django.monitor", ignore_result=True, expires=INTERVAL_S)
def monitor(interval_s: float = INTERVAL_S) -> None:
    """Evaluate alerts, tell of them, take a snapshot of health and tidy up.

    ``interval_s`` is how often it is sent.
    """
    monitoring = _monitoring(interval_s)
    try:
        monitoring.once(WITHIN_S)
    finally:
        monitoring.rest(REST_S)


def _monitoring(interval_s: float) -> Monitoring:
    from otel_django.alerts.service.monitoring import Monitoring
    from otel_django.reporting import weekly
    from otel_django.viewer.board.snapshot import figures

    key = os.getpid(), interval_s
    if key not in _made:
        _made.clear()
        settings = conf.from_django()
        _made[key] = Monitoring(
            settings,
            clock=SYSTEM_CLOCK,
            interval_s=interval_s,
            figures=figures,
            also=weekly.duties(settings, SYSTEM_CLOCK),
        )
    return _made[key]
