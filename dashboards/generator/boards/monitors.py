"""Who watches the watchers: Prometheus, Alertmanager, Loki, Grafana."""

from dashboards.generator.board import Board
from dashboards.generator.panels import graph, number
from dashboards.generator.queries import Query

RUNBOOK = "TargetDown"

BOARD = Board(
    "monitors",
    "Django: monitors",
    "Scrapes, rules, storage and targets of Prometheus; Alertmanager, Loki and Grafana.",
    (
        (
            "Now",
            (
                number(
                    "Targets down",
                    "Targets that can't be scraped.",
                    "count (up == 0) or vector(0)",
                    unit="none",
                    levels=(1, 2),
                    runbook=RUNBOOK,
                    width=6,
                ),
                number(
                    "Series in memory",
                    "Of Prometheus.",
                    "max (prometheus_tsdb_head_series)",
                    unit="short",
                    levels=(5e5, 1e6),
                    width=6,
                ),
                number(
                    "Blocks on disk",
                    "What Prometheus keeps.",
                    "max (prometheus_tsdb_storage_blocks_bytes)",
                    unit="bytes",
                    width=6,
                ),
                number(
                    "Failed notifications",
                    "Of the last hour, that Alertmanager couldn't deliver.",
                    "sum (increase(alertmanager_notifications_failed_total[1h])) or vector(0)",
                    unit="none",
                    levels=(1, 10),
                    width=6,
                    decimals=0,
                ),
            ),
        ),
        (
            "Prometheus",
            (
                graph(
                    "Scrape duration",
                    "By job; the time-out is 10 s.",
                    Query("max by (job) (scrape_duration_seconds)", "{{job}}"),
                    unit="s",
                    levels=(5, 8),
                ),
                graph(
                    "Rule evaluation",
                    "How long each group takes.",
                    Query(
                        "max by (rule_group) (prometheus_rule_group_last_duration_seconds)",
                        "{{rule_group}}",
                    ),
                    unit="s",
                ),
                graph(
                    "Samples",
                    "Taken in a second.",
                    Query(
                        "sum (rate(prometheus_tsdb_head_samples_appended_total[$__rate_interval]))",
                        "samples",
                    ),
                    unit="ops",
                ),
                graph(
                    "Series by job",
                    "After a scrape, by job.",
                    Query("sum by (job) (scrape_samples_post_metric_relabeling)", "{{job}}"),
                    unit="none",
                ),
                graph(
                    "Targets",
                    "1 up, 0 down.",
                    Query("min by (job) (up)", "{{job}}"),
                    unit="none",
                    most=1,
                    runbook=RUNBOOK,
                ),
                graph(
                    "Storage",
                    "Blocks and the memory of the process.",
                    Query("max (prometheus_tsdb_storage_blocks_bytes)", "blocks"),
                    Query('max (process_resident_memory_bytes{job="prometheus"})', "memory"),
                    unit="bytes",
                ),
            ),
        ),
        (
            "Alertmanager, Loki, Grafana",
            (
                graph(
                    "Notifications",
                    "A minute, by way.",
                    Query(
                        "60 * sum by (integration) "
                        "(rate(alertmanager_notifications_total[$__rate_interval]))",
                        "{{integration}}",
                    ),
                    unit="none",
                ),
                graph(
                    "Alerts at Alertmanager",
                    "By state.",
                    Query("max by (state) (alertmanager_alerts)", "{{state}}"),
                    unit="none",
                ),
                graph(
                    "Loki's requests",
                    "A second, by route.",
                    Query(
                        "sum by (route) "
                        "(rate(loki_request_duration_seconds_count[$__rate_interval]))",
                        "{{route}}",
                    ),
                    unit="reqps",
                ),
                graph(
                    "Grafana's answers",
                    "The 95th percentile: how long boards and panels take to load.",
                    Query(
                        "histogram_quantile(0.95, sum by (le) "
                        "(rate(grafana_http_request_duration_seconds_bucket[$__rate_interval])))",
                        "p95",
                    ),
                    unit="s",
                ),
                graph(
                    "Grafana's logins",
                    "A minute.",
                    Query(
                        "60 * sum (rate(grafana_api_login_post_total[$__rate_interval]))",
                        "logins",
                    ),
                    unit="none",
                ),
                graph(
                    "Grafana's health",
                    "1 where it can be scraped.",
                    Query('max by (instance) (up{job="grafana"})', "{{instance}}"),
                    unit="none",
                    most=1,
                ),
            ),
        ),
    ),
)
