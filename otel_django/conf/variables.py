"""Every variable, in the order in which people read about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_django.conf.own_variables import OURS
from otel_django.conf.standard_variables import GENERAL, INSTRUMENTATION, TRACES, otlp_variables

if TYPE_CHECKING:
    from otel_django.conf.variable import Variable

VARIABLES: Final[tuple[Variable, ...]] = (
    *GENERAL,
    *otlp_variables("traces"),
    *TRACES,
    *INSTRUMENTATION,
    *OURS,
)

# Read only to know whether something else was set up.
OTHER_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT")
OTHER_EXPORTERS: Final = ("OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER")
CONFIG_FILE: Final = "OTEL_CONFIG_FILE"
