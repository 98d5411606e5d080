"""Settings of metrics and logs: what switches them on, what each signal takes from the general."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from otel_django.conf import Settings, load
from otel_django.conf.settings import SIGNALS
from otel_django.conf.variables import VARIABLES

BASE_DIR = Path("/srv/shop")


def loaded(environ: dict[str, str], *, debug: bool = False) -> Settings:
    return load(environ, {}, base_dir=BASE_DIR, debug=debug, settings_module="shop.settings")


def exporters(settings: Settings) -> dict[str, tuple[str, ...]]:
    return {signal: getattr(settings, f"{signal}_exporters") for signal in SIGNALS}


def test_the_general_endpoint_switches_all_signals_on() -> None:
    settings = loaded({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/in"})
    assert exporters(settings) == dict.fromkeys(SIGNALS, ("otlp",))
    assert settings.otlp_traces.endpoint == "http://c:4318/in/v1/traces"
    assert settings.otlp_metrics.endpoint == "http://c:4318/in/v1/metrics"
    assert settings.otlp_logs.endpoint == "http://c:4318/in/v1/logs"


def test_an_endpoint_of_one_signal_switches_that_one_on_and_is_taken_as_it_is() -> None:
    settings = loaded({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://c:4318/lines"})
    assert exporters(settings) == {"traces": (), "metrics": (), "logs": ("otlp",)}
    assert settings.otlp_logs.endpoint == "http://c:4318/lines"


def test_otlp_by_name_goes_to_the_specifications_endpoint() -> None:
    environ = {"OTEL_METRICS_EXPORTER": "otlp,prometheus", "OTEL_LOGS_EXPORTER": "otlp"}
    settings = loaded(environ | {"OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "grpc"})
    assert settings.metrics_exporters == ("otlp", "prometheus")
    assert settings.otlp_metrics.endpoint == "http://localhost:4318/v1/metrics"
    assert settings.otlp_logs.endpoint == "http://localhost:4317"
    assert settings.otlp_logs.insecure


def test_a_signal_can_be_left_out() -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_METRICS_EXPORTER": "none"}
    assert exporters(loaded(environ)) == {"traces": ("otlp",), "metrics": (), "logs": ("otlp",)}


def test_a_signals_own_values_go_before_the_general_ones() -> None:
    settings = loaded(
        {
            "OTEL_EXPORTER_OTLP_TIMEOUT": "3",
            "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "7",
            "OTEL_EXPORTER_OTLP_HEADERS": "a=1",
            "OTEL_EXPORTER_OTLP_LOGS_HEADERS": "b=2",
        }
    )
    assert settings.otlp_traces.timeout_s == settings.otlp_logs.timeout_s == 3
    assert settings.otlp_metrics.timeout_s == 7
    assert settings.otlp_metrics.headers == {"a": "1"}
    assert settings.otlp_logs.headers == {"b": "2"}


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "ftp://c"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317"},
        {"OTEL_EXPORTER_OTLP_TIMEOUT": "x"},
        {"OTEL_EXPORTER_OTLP_TIMEOUT": "5000"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
        {"OTEL_EXPORTER_OTLP_CLIENT_KEY": "/key.pem"},
    ],
)
def test_a_mistake_in_a_general_value_is_one_problem(environ: dict[str, str]) -> None:
    (problem,) = loaded(environ, debug=True).problems
    assert problem.name in environ


@pytest.mark.parametrize(
    ("environ", "field", "value"),
    [
        ({"OTEL_METRIC_EXPORT_INTERVAL": "1500"}, "metric_export_interval_s", 1.5),
        ({"OTEL_METRIC_EXPORT_TIMEOUT": "500"}, "metric_export_timeout_s", 0.5),
        (
            {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "Delta"},
            "metrics_temporality",
            "delta",
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": (
                    "base2_exponential_bucket_histogram"
                )
            },
            "histogram_aggregation",
            "exponential",
        ),
        ({"OTEL_METRICS_EXEMPLAR_FILTER": "always_off"}, "exemplar_filter", "always_off"),
        ({"OTEL_BLRP_SCHEDULE_DELAY": "100"}, "blrp_schedule_delay_s", 0.1),
        ({"OTEL_BLRP_MAX_QUEUE_SIZE": "10"}, "blrp_max_export_batch_size", 10),
        ({"OTEL_ATTRIBUTE_COUNT_LIMIT": "9"}, "log_record_attributes", 9),
        ({"OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT": "7"}, "log_record_value_length", 7),
        ({"OTEL_DJANGO_LOG_FORMAT": "json"}, "log_format", "json"),
        ({"OTEL_DJANGO_LOG_LEVEL": "WARN"}, "log_threshold", "warning"),
        ({"OTEL_DJANGO_LOG_FILE": "var/a.log"}, "log_file", BASE_DIR / "var/a.log"),
        ({"OTEL_DJANGO_LOG_FILE_ROTATION": "50 mb"}, "log_file_rotation", "50MB"),
        ({"OTEL_DJANGO_LOG_FILE_KEEP": "3"}, "log_file_keep", 3),
        ({"OTEL_DJANGO_METRICS_ACCESS": "10.0.0.0/8"}, "metrics_access", None),
        ({"OTEL_DJANGO_METRICS_LISTEN": "9808"}, "metrics_listen", "127.0.0.1:9808"),
        ({"OTEL_DJANGO_METRICS_LISTEN": "[::1]:9808"}, "metrics_listen", "[::1]:9808"),
        ({"OTEL_DJANGO_MAX_OVERHEAD": "2.5"}, "max_overhead", 0.025),
        ({"OTEL_DJANGO_MODEL_EVENTS": "shop.Order,auth.*"}, "model_events", None),
        ({"OTEL_DJANGO_TOKENS": "abc,def"}, "tokens", ("abc", "def")),
        ({"OTEL_DJANGO_RUN_DIR": "/run/shop"}, "run_dir", Path("/run/shop")),
        ({"METRICS_COLLECTION_INTERVAL": "30"}, "collection_interval_s", 30.0),
        ({"METRICS_RETENTION_HOURS": "48"}, "metrics_retention_hours", 48.0),
        ({"OTEL_DJANGO_METRICS_RETENTION_HOURS": "12"}, "metrics_retention_hours", 12.0),
    ],
)
def test_a_value_reaches_its_field(environ: dict[str, str], field: str, value: Any) -> None:
    settings = loaded(environ, debug=True)
    assert settings.problems == ()
    expected = {
        "metrics_access": (ip_network("10.0.0.0/8"),),
        "model_events": ("shop.Order", "auth.*"),
    }
    assert getattr(settings, field) == expected.get(field, value)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("OTEL_METRICS_EXPORTER", "promtail", "`prometheus`"),
        ("OTEL_LOGS_EXPORTER", "prometheus", "`console`"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0", "milliseconds"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "sums", "`lowmemory`"),
        ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "explicit", "explicit_bucket"),
        ("OTEL_DJANGO_LOG_FILE_ROTATION", "monthly", "`50MB`"),
        ("OTEL_DJANGO_METRICS_LISTEN", "localhost", "`127.0.0.1:9808`"),
        ("OTEL_DJANGO_METRICS_LISTEN", "localhost:99999", "`127.0.0.1:9808`"),
        ("OTEL_DJANGO_METRICS_ACCESS", "friends", "networks"),
        ("OTEL_DJANGO_MODEL_EVENTS", "Order", "`shop.Order,auth.*`"),
        ("OTEL_DJANGO_API_ROUTES", "api", "`/api/,/v2/`"),
        ("OTEL_DJANGO_MAX_OVERHEAD", "101", "per cent"),
    ],
)
def test_a_wrong_value_is_a_problem_that_says_what_is_allowed(
    name: str, value: str, allowed: str
) -> None:
    (problem,) = loaded({name: value}, debug=True).problems
    assert problem.name == name
    assert value in problem.message
    assert allowed in problem.hint


def test_tokens_are_never_shown() -> None:
    (variable,) = (one for one in VARIABLES if one.field == "tokens")
    assert variable.parser.display(("abcdef", "ghijkl")) == "****,****"
    settings = loaded({"OTEL_DJANGO_TOKENS": "abcdef,gh\x07ij"}, debug=True)
    assert settings.tokens == ("abcdef",)
    assert "abcdef" not in repr(settings.problems)
    assert "ij" not in repr([problem.value_shown for problem in settings.problems])


def test_log_batches_larger_than_their_queue_are_a_problem() -> None:
    environ = {"OTEL_BLRP_MAX_QUEUE_SIZE": "10", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "20"}
    settings = loaded(environ, debug=True)
    (problem,) = settings.problems
    assert settings.blrp_max_export_batch_size == 10
    assert problem.name == "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"
    assert "OTEL_BLRP_MAX_QUEUE_SIZE" in problem.hint
