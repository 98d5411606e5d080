"""Telemetry's own health: what it costs, what waits, what is lost."""

from dashboards.generator.board import Board
from dashboards.generator.panels import graph, number, page
from dashboards.generator.queries import Query, mean, named, rate, select

COLLECTOR = 'job=~".*collector.*"'


def collector(metric: str) -> str:
    """A counter of the Collector's, a second; its name has had several ends.

    An exporter may have one for each signal: a label keeps them apart when the rate drops names.
    """
    named = (
        f'{{__name__=~"otelcol_exporter_{metric}_'
        f'(spans|metric_points|log_records)(__.+)?(_total)?", {COLLECTOR}}}'
    )
    kept_apart = f'label_replace({named}, "counter", "${{1}}", "__name__", "(.+)")'
    return f"sum by (exporter) (rate({kept_apart}[$__rate_interval:]))"


BOARD = Board(
    "telemetry",
    "Django: telemetry",
    "What telemetry costs the site, what waits to be sent, what was lost, and the Collector.",
    (
        (
            "Now",
            (
                number(
                    "Share of the processor",
                    "What telemetry takes; OTEL_DJANGO_MAX_OVERHEAD is its limit.",
                    f"max ({select('otel_django_overhead_ratio')})",
                    unit="percentunit",
                    levels=(0.05, 0.1),
                    width=6,
                ),
                number(
                    "Dropped",
                    "Records lost in the last hour, of all signals.",
                    f"sum (increase({select('otel_django_dropped_total')}[1h])) or vector(0)",
                    unit="none",
                    levels=(1, 1000),
                    width=6,
                    runbook="TelemetryDropped",
                    decimals=0,
                ),
                number(
                    "Waiting",
                    "Spans in memory that haven't left yet.",
                    f"sum ({select('otel_sdk_processor_span_queue_size')})",
                    unit="none",
                    width=6,
                ),
                number(
                    "Overflows",
                    "Measurements of the last hour that had too many different labels.",
                    f"sum (increase({select('otel_django_metric_overflows_total')}[1h])) "
                    "or vector(0)",
                    unit="none",
                    levels=(1, 1000),
                    width=6,
                    decimals=0,
                ),
            ),
        ),
        (
            "The site",
            (
                graph(
                    "Spans exported",
                    "A second, with those that failed.",
                    Query(
                        named(
                            rate("otel_sdk_exporter_span_exported_total", by="error_type"),
                            "error_type",
                            "exported",
                        ),
                        "{{error_type}}",
                    ),
                    unit="ops",
                ),
                graph(
                    "Queue",
                    "Spans and log records that wait in memory.",
                    Query(f"sum ({select('otel_sdk_processor_span_queue_size')})", "spans"),
                    Query(f"sum ({select('otel_sdk_processor_log_queue_size')})", "log records"),
                    unit="none",
                    runbook="CollectorUnreachable",
                    links=[page("State", "status/")],
                ),
                graph(
                    "Time of an export",
                    "The mean.",
                    Query(
                        mean(
                            "otel_sdk_exporter_operation_duration_seconds", by="otel_component_type"
                        ),
                        "{{otel_component_type}}",
                    ),
                    unit="s",
                ),
                graph(
                    "Share of the processor",
                    "What telemetry takes, by instance.",
                    Query(
                        f"max by (instance) ({select('otel_django_overhead_ratio')})",
                        "{{instance}}",
                    ),
                    unit="percentunit",
                    levels=(0.05, 0.1),
                ),
                graph(
                    "Log records",
                    "Made a second.",
                    Query(rate("otel_sdk_log_created_total", by="job"), "{{job}}"),
                    unit="ops",
                ),
                graph(
                    "Series",
                    "Of each service in Prometheus, scraped or sent.",
                    Query('count by (job) ({job=~"$job"})', "{{job}}"),
                    unit="none",
                ),
            ),
        ),
        (
            "The Collector",
            (
                graph(
                    "Queues",
                    "How full the queue of each exporter is.",
                    Query(
                        f"max by (exporter) (otelcol_exporter_queue_size{{{COLLECTOR}}} / "
                        f"otelcol_exporter_queue_capacity{{{COLLECTOR}}})",
                        "{{exporter}}",
                    ),
                    unit="percentunit",
                    most=1,
                    levels=(0.5, 0.8),
                ),
                graph(
                    "Sent",
                    "Items a second, by exporter.",
                    Query(collector("sent"), "{{exporter}}"),
                    unit="ops",
                ),
                graph(
                    "Memory",
                    "Of the Collector's process.",
                    Query(
                        f'max by (instance) ({{__name__=~"otelcol_process_memory_rss(_bytes)?", '
                        f"{COLLECTOR}}})",
                        "{{instance}}",
                    ),
                    unit="bytes",
                ),
            ),
        ),
    ),
)
