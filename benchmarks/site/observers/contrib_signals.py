"""The upstream packages with all three signals."""

from __future__ import annotations

import logging
from importlib import import_module

from opentelemetry import metrics
from opentelemetry._logs import set_logger_provider
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from benchmarks.site.observers.contrib_traces import ContribTraces


class ContribSignals(ContribTraces):
    def start(self) -> None:
        self._meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())])
        metrics.set_meter_provider(self._meters)
        self._loggers = LoggerProvider()
        self._loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
        set_logger_provider(self._loggers)
        handlers = import_module("opentelemetry.instrumentation.logging.handler")
        logging.getLogger().addHandler(handlers.LoggingHandler(logger_provider=self._loggers))
        super().start()

    def flush(self) -> None:
        super().flush()
        self._loggers.force_flush()

    def finish(self) -> None:
        self.flush()
        self._meters.force_flush()


observer = ContribSignals()
