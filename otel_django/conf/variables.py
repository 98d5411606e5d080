"""Every variable, in the order in which people read about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_django.conf.alert_variables import ALERTS
from otel_django.conf.alertmanager_variables import ALERTMANAGER
from otel_django.conf.delivery_variables import DELIVERY
from otel_django.conf.health_variables import HEALTH
from otel_django.conf.log_variables import LOGS
from otel_django.conf.metric_variables import METRICS
from otel_django.conf.otlp_variables import otlp_variables
from otel_django.conf.own_variables import OURS
from otel_django.conf.reading_variables import READING
from otel_django.conf.standard_variables import GENERAL, INSTRUMENTATION, TRACES

if TYPE_CHECKING:
    from otel_django.conf.variable import Variable

VARIABLES: Final[tuple[Variable, ...]] = (
    *GENERAL,
    *otlp_variables("traces"),
    *otlp_variables("metrics"),
    *otlp_variables("logs"),
    *TRACES,
    *METRICS,
    *LOGS,
    *INSTRUMENTATION,
    *OURS,
    *READING,
    *HEALTH,
    *ALERTS,
    *ALERTMANAGER,
    *DELIVERY,
)

CONFIG_FILE: Final = "OTEL_CONFIG_FILE"
"""Read only to know whether it was set."""
