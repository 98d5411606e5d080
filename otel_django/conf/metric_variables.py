"""The variables of metrics: the specification's, and ours."""

from __future__ import annotations

from typing import Final

from otel_django.conf import list_parsers as lists
from otel_django.conf import parsers as p
from otel_django.conf.variable import PREFIX, Variable


def _metrics(name: str, field: str, parser: p.Parser, default: str, doc: str) -> Variable:
    return Variable((name,), field, parser, default, doc, "Metrics", "metrics")


METRICS: Final = (
    _metrics(
        "OTEL_METRICS_EXPORTER",
        "metrics_exporters",
        lists.several_of("otlp", "console", "prometheus", others=p.installed("metrics_exporter")),
        "(`otlp` if an OTLP endpoint is set, else `none`)",
        "Where metrics go besides the embedded store; `console` prints them, `prometheus` has each "
        "server and worker listen for a scrape on OTEL_EXPORTER_PROMETHEUS_HOST and _PORT.",
    ),
    _metrics(
        "OTEL_METRIC_EXPORT_INTERVAL",
        "metric_export_interval_s",
        p.number("milliseconds", above=True, per_unit=1000),
        "60000",
        "How often metrics leave.",
    ),
    _metrics(
        "OTEL_METRIC_EXPORT_TIMEOUT",
        "metric_export_timeout_s",
        p.number("milliseconds", above=True, per_unit=1000),
        "30000",
        "How long sending metrics once may take; what can't be sent waits in the spool.",
    ),
    _metrics(
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        "metrics_temporality",
        p.choice("cumulative", "delta", "lowmemory"),
        "cumulative",
        "Whether sums are sent since the start (`cumulative`) or since the last export (`delta`); "
        "`lowmemory` is delta for counters and histograms that are recorded, cumulative for "
        "counters that are observed. Up-down counters are always cumulative.",
    ),
    _metrics(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        "histogram_aggregation",
        p.choice_of(
            {
                "explicit_bucket_histogram": "explicit",
                "base2_exponential_bucket_histogram": "exponential",
            }
        ),
        "explicit_bucket_histogram",
        "Whether histograms have the buckets of the conventions, or exponential ones.",
    ),
    _metrics(
        "OTEL_METRICS_EXEMPLAR_FILTER",
        "exemplar_filter",
        p.choice("trace_based", "always_on", "always_off"),
        "trace_based",
        "Which measurements may become exemplars: those of recorded spans, all, or none.",
    ),
    _metrics(
        "OTEL_EXPORTER_PROMETHEUS_HOST",
        "prometheus_host",
        p.text(),
        "localhost",
        "Where the exporter `prometheus` listens.",
    ),
    _metrics(
        "OTEL_EXPORTER_PROMETHEUS_PORT",
        "prometheus_port",
        p.whole(),
        "9464",
        "The port on which the exporter `prometheus` listens.",
    ),
    _metrics(
        f"{PREFIX}METRIC_NAMES",
        "metric_names",
        p.choice("otel", "classic", "both"),
        "both",
        "The names that the endpoints for Prometheus show: OpenTelemetry's, translated, the "
        "classic ones (`django_http_requests_total`, …), or both.",
    ),
    _metrics(
        f"{PREFIX}METRICS_ACCESS",
        "metrics_access",
        lists.networks("loopback", "any", "none"),
        "loopback",
        "Who may read the metrics' endpoints without a token: peers on the same machine, anybody, "
        "nobody, or those of the networks given. Setting it has metrics recorded, for the "
        "endpoints that the site includes.",
    ),
    _metrics(
        f"{PREFIX}METRICS_LISTEN",
        "metrics_listen",
        p.listen(),
        "",
        "Where workers, beat and other long-running commands listen for a scrape, such as "
        "`127.0.0.1:9808`.",
    ),
    _metrics(
        "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED",
        "internal_metrics",
        p.boolean(),
        "true",
        "Whether this package's own queues and exporters are measured (`otel.sdk.*`). What is lost "
        "and what telemetry costs are told in any case.",
    ),
    _metrics(
        f"{PREFIX}CARDINALITY_LIMIT",
        "cardinality_limit",
        p.whole(1),
        "2000",
        "How many series a metric may have; the rest is added up in one with the attribute "
        "`otel.metric.overflow`.",
    ),
    Variable(
        ("METRICS_COLLECTION_INTERVAL", f"{PREFIX}METRICS_COLLECTION_INTERVAL"),
        "collection_interval_s",
        p.number("seconds", above=True),
        "60",
        "How often the state of the system, such as disks and queues, is looked at. Without it, "
        "Celery's queues and workers are looked at every 15 s.",
        "Metrics",
        "metrics",
    ),
    Variable(
        ("METRICS_RETENTION_HOURS", f"{PREFIX}METRICS_RETENTION_HOURS"),
        "metrics_retention_hours",
        p.number("hours", above=True),
        "24",
        "How long the embedded store keeps metrics, no longer than "
        "`OTEL_DJANGO_STORE_RETENTION_HOURS`, and the database every snapshot of health; then one "
        "an hour is kept.",
        "Metrics",
        "metrics",
    ),
)
