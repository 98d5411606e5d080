"""The configuration of Prometheus and Alertmanager, judged by their own programs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from otel_django.alerts.catalogue import rules
from otel_django.alerts.expressions import labels
from otel_django.alerts.promql import label_name
from tests.integration.servers import program

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
PROMETHEUS: Final = DEPLOY / "prometheus"
SINCE_3: Final = ("otlp", "scrape_config_files")


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def checked(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["prometheus", "prometheus-pair", "prometheus-store"])
def test_promtool_finds_no_fault_but_for_what_its_version_does_not_know(
    name: str, tmp_path: Path
) -> None:
    config = read(PROMETHEUS / f"{name}.yml")
    if "scrape_config_files" in config:
        config |= read(PROMETHEUS / "scrape.yml")
        config["rule_files"] = [str(PROMETHEUS / one) for one in config["rule_files"]]
    for key in SINCE_3:
        config.pop(key, None)
    token = tmp_path / "token"
    token.write_text("sesame")
    text = json.dumps(config).replace("/run/secrets/site_token", str(token))
    (tmp_path / "prometheus.yml").write_text(text)
    checked(program("promtool"), "check", "config", str(tmp_path / "prometheus.yml"))


def test_promtool_finds_no_fault_in_the_rules() -> None:
    files = sorted(map(str, (PROMETHEUS / "rules").glob("*.yml")))
    assert len(files) == 3
    checked(program("promtool"), "check", "rules", *files)


def test_both_of_a_pair_and_one_alone_do_the_same() -> None:
    alone, pair = read(PROMETHEUS / "prometheus.yml"), read(PROMETHEUS / "prometheus-pair.yml")
    assert pair.pop("remote_write")[0]["send_exemplars"] is True
    assert pair["global"]["external_labels"].pop("replica") == "${PROMETHEUS_REPLICA}"
    assert pair == alone


def test_amtool_finds_no_fault_in_alertmanagers_file() -> None:
    said = checked(
        program("amtool"), "check-config", str(DEPLOY / "alertmanager" / "alertmanager.yml")
    )
    assert "3 receivers" in said


@pytest.mark.parametrize(("severity", "people"), [("critical", "on-call"), ("warning", "team")])
def test_the_site_is_told_besides_those_whom_the_severity_concerns(
    severity: str, people: str
) -> None:
    file = f"--config.file={DEPLOY / 'alertmanager' / 'alertmanager.yml'}"
    said = checked(program("amtool"), "config", "routes", "test", file, f"severity={severity}")
    assert said.strip() == f"otel_django,{people}"


def test_a_warning_is_inhibited_by_the_critical_alert_of_its_own_labels_only() -> None:
    [inhibition] = read(DEPLOY / "alertmanager" / "alertmanager.yml")["inhibit_rules"]
    both = [rule for rule in rules() if len(rule.severities) == 2]
    wanted = {label_name(key) for rule in both for key in labels(rule.expression)}
    assert wanted | {"alertname"} <= set(inhibition["equal"])


# --- alerts about the monitors: each series with values that are too bad, and with good ones

GRAFANA: Final = "grafana_http_request_duration_seconds"
SENT: Final = "prometheus_remote_storage_queue_highest_sent_timestamp_seconds"
HOURS: Final = "x600"
MONITORS: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "ScrapeSlow": {"scrape_duration_seconds": ("9", "7")},
    "ScrapeSamplesMany": {"scrape_samples_post_metric_relabeling": ("100001", "100000")},
    "RuleEvaluationSlow": {
        "prometheus_rule_group_last_duration_seconds": ("16", "1"),
        "prometheus_rule_group_interval_seconds": ("15", "15"),
    },
    "RuleEvaluationFails": {
        'prometheus_rule_evaluation_failures_total{rule_group="g"}': ("0+1", "5")
    },
    "PrometheusConfigurationBad": {"prometheus_config_last_reload_successful": ("0", "1")},
    "PrometheusStorageFails": {
        "prometheus_tsdb_compactions_failed_total": ("0+1", "1"),
        "prometheus_tsdb_wal_corruptions_total": ("0", "0"),
        "prometheus_tsdb_head_truncations_failed_total": ("0", "0"),
    },
    "PrometheusStorageLarge": {"prometheus_tsdb_storage_blocks_bytes": ("21e9", "19e9")},
    "PrometheusSeriesMany": {"prometheus_tsdb_head_series": ("1000001", "1000000")},
    "PrometheusAlertsDropped": {
        "prometheus_notifications_alertmanagers_discovered": ("1", "1"),
        "prometheus_notifications_dropped_total": ("0+1", "3"),
    },
    "RemoteWriteBehind": {
        "prometheus_remote_storage_highest_timestamp_in_seconds": ("1000", "1000"),
        SENT + '{remote_name="r", url="u"}': ("879", "881"),
    },
    "AlertmanagerDeliveryFails": {
        'alertmanager_notifications_failed_total{integration="webhook"}': ("0+1", "4")
    },
    "CollectorQueueFilling": {
        'otelcol_exporter_queue_size{exporter="otlp/jaeger"}': ("81", "80"),
        'otelcol_exporter_queue_capacity{exporter="otlp/jaeger"}': ("100", "100"),
    },
    "CollectorDropsTelemetry": {
        'otelcol_receiver_refused_spans_total{receiver="otlp"}': ("0+1", "6"),
        'otelcol_receiver_refused_log_records_total{receiver="otlp"}': ("0+1", "6"),
    },
    "CollectorExportFails": {
        'otelcol_exporter_send_failed_spans_total{exporter="vendor"}': ("0+1", "6"),
        'otelcol_exporter_send_failed_log_records_total{exporter="vendor"}': ("0+1", "6"),
    },
    "GrafanaSlow": {
        GRAFANA + '_bucket{le="5"}': ("0+1", "0+100"),
        GRAFANA + '_bucket{le="10"}': ("0+100", "0+100"),
        GRAFANA + '_bucket{le="+Inf"}': ("0+100", "0+100"),
    },
    "GrafanaFails": {
        GRAFANA + '_count{status_code="500"}': ("0+10", "0+1"),
        GRAFANA + '_count{status_code="200"}': ("0+90", "0+99"),
    },
}


def _series(given: Mapping[str, tuple[str, str]], which: int) -> list[dict[str, str]]:
    return [{"series": name, "values": values[which] + HOURS} for name, values in given.items()]


def _asked(**expected: int) -> list[dict[str, Any]]:
    samples = [
        {"labels": f"{{alertname={json.dumps(name)}}}", "value": count}
        for name, count in expected.items()
    ]
    firing = 'count by (alertname) (ALERTS{alertstate="firing"})'
    return [{"expr": firing, "eval_time": "2h", "exp_samples": samples}]


def test_alerts_about_the_monitors_fire_when_they_should_only(tmp_path: Path) -> None:
    [group] = read(PROMETHEUS / "rules" / "monitors.yml")["groups"]
    assert {rule["alert"] for rule in group["rules"]} == MONITORS.keys()
    tests = []
    for name, series in MONITORS.items():
        for which, asked in ((0, _asked(**{name: 1})), (1, _asked())):
            given = _series(series, which)
            tests.append({"interval": "15s", "input_series": given, "promql_expr_test": asked})
    file = {
        "rule_files": [str(PROMETHEUS / "rules" / "monitors.yml")],
        "evaluation_interval": "1m",
        "tests": tests,
    }
    (tmp_path / "tests.yml").write_text(json.dumps(file))
    checked(program("promtool"), "test", "rules", str(tmp_path / "tests.yml"))


def test_each_alert_about_the_monitors_is_explained() -> None:
    page = DEPLOY.parent / "docs" / "how-to" / "alert-with-prometheus.md"
    explained = page.read_text(encoding="utf-8")
    assert all(f"| {name} |" in explained for name in MONITORS)
