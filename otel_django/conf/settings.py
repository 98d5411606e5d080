"""The settings as the rest of the package sees them."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, Literal

from otel_django.conf.alert_thresholds import alert_thresholds
from otel_django.conf.limits import DEFAULTS, Limit
from otel_django.conf.otlp import OtlpSettings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Network, IPv6Network

    from otel_django.conf.sources import Origin, Problem

DATA_DIR: Final = ".otel_django"
UNKNOWN_SERVICE: Final = "unknown_service"
SIGNALS: Final = ("traces", "metrics", "logs")


@dataclass(frozen=True)
class SpanLimitSettings:
    """How much a span may hold; ``value_length`` None is no limit."""

    attributes: int = 128
    events: int = 128
    links: int = 128
    event_attributes: int = 128
    link_attributes: int = 128
    value_length: int | None = None


def _receiver(signal: str) -> OtlpSettings:
    return OtlpSettings(endpoint=f"http://localhost:4318/v1/{signal}")


def _alert_thresholds() -> SimpleNamespace:
    return SimpleNamespace(**alert_thresholds())


# Each start, also that of a command that isn't traced, would take 3 ms to generate the rest.
@dataclass(frozen=True, init=False, repr=False, eq=False)
class Settings:
    """Every effective value. Times are in seconds; paths are absolute and need not exist.

    ``enabled`` None is "auto". ``traces_exporters`` and the like are empty for none.
    ``resource_attributes`` has no ``service.name``: that is ``service_name``. ``commands`` has one
    of own, all and none, then names. ``store`` None is off. ``read_from`` has URLs without a slash
    at their end by jaeger, loki and prometheus. ``metrics_listen`` is host:port, empty for off.
    ``log_file_rotation`` is weekly, daily, off or a size (``50MB``). ``max_overhead`` is a share.
    ``alert_thresholds`` has ``HighCpu_warning`` and so on. ``source_dirs`` are where the site's own
    code may lie: BASE_DIR and the folder from which the settings module is imported.
    ``origins`` has one entry per field that a variable fills ("otlp_traces.headers" for a
    group's).
    """

    enabled: bool | None = None
    sdk_disabled: bool = False
    strict: bool = False
    service_name: str = UNKNOWN_SERVICE
    resource_attributes: Mapping[str, str] = field(default_factory=dict)
    traces_exporters: tuple[str, ...] = ()
    otlp_traces: OtlpSettings = field(default_factory=OtlpSettings)
    traces_sampler: str = "parentbased_always_on"
    traces_sampler_arg: float = 1.0
    propagators: tuple[str, ...] = ("tracecontext", "baggage")
    bsp_schedule_delay_s: float = 0.5
    bsp_max_queue_size: int | None = None
    bsp_max_export_batch_size: int = 512
    bsp_export_timeout_s: float = 30.0
    span_limits: SpanLimitSettings = field(default_factory=SpanLimitSettings)
    metrics_exporters: tuple[str, ...] = ()
    otlp_metrics: OtlpSettings = field(default_factory=lambda: _receiver("metrics"))
    metric_export_interval_s: float = 60.0
    metric_export_timeout_s: float = 30.0
    metrics_temporality: Literal["cumulative", "delta", "lowmemory"] = "cumulative"
    histogram_aggregation: Literal["explicit", "exponential"] = "explicit"
    exemplar_filter: Literal["always_on", "always_off", "trace_based"] = "trace_based"
    cardinality_limit: int = 2000
    metric_names: Literal["otel", "classic", "both"] = "both"
    metrics_access: Literal["loopback", "any", "none"] | tuple[IPv4Network | IPv6Network, ...] = (
        "loopback"
    )
    metrics_listen: str = ""
    prometheus_host: str = "localhost"
    prometheus_port: int = 9464
    collection_interval_s: float = 60.0
    metrics_retention_hours: float = 24.0
    run_dir: Path = Path(DATA_DIR, "run")
    logs_exporters: tuple[str, ...] = ()
    otlp_logs: OtlpSettings = field(default_factory=lambda: _receiver("logs"))
    blrp_schedule_delay_s: float = 0.5
    blrp_max_queue_size: int | None = None
    blrp_max_export_batch_size: int = 512
    blrp_export_timeout_s: float = 30.0
    log_record_attributes: int = 128
    log_record_value_length: int | None = None
    log_format: Literal["auto", "json", "console", "off"] = "auto"
    log_threshold: Literal["debug", "info", "warning", "error", "critical"] = "info"
    log_file: Path | None = None
    log_file_rotation: str = "weekly"
    log_file_keep: int = 8
    viewer: bool = True
    model_events: tuple[str, ...] = ()
    api_routes: tuple[str, ...] = ("/api/",)
    tokens: tuple[str, ...] = ()
    max_overhead: float = 0.05
    internal_metrics: bool = True
    health_ttl_s: float = 5.0
    health_timeout_s: float = 2.0
    health_disabled: tuple[str, ...] = ()
    health_critical: tuple[str, ...] = ()
    health_ready: tuple[str, ...] = ()
    health_limits: Mapping[str, Limit] = field(default_factory=lambda: DEFAULTS)
    health_disks: tuple[str, ...] = ()
    health_urls: tuple[str, ...] = ()
    health_certificates: tuple[str, ...] = ()
    stuck_s: float = 600.0
    alert_rules: tuple[Mapping[str, Any], ...] = ()
    alerts_archive_months: int = 12
    alerts_evaluator: Literal["embedded", "prometheus"] = "embedded"
    alertmanager_url: str = ""
    alertmanager_headers: Mapping[str, str] = field(default_factory=dict)
    alertmanager_certificate: str | None = None
    alertmanager_timeout_s: float = 3.0
    alertmanager_acknowledged_s: float = 86_400.0
    alerts_heartbeat_url: str = ""
    alerts_queue_capacity: float = 1000.0
    alerts_site_url: str = ""
    alert_log: bool = True
    alert_email: bool | None = None
    alert_email_to: tuple[str, ...] = ()
    alert_slack: bool | None = None
    slack_webhook_url: str = ""
    alert_pagerduty: bool | None = None
    pagerduty_routing_key: str = ""
    pagerduty_events_url: str = "https://events.pagerduty.com/v2/enqueue"
    alert_webhook: bool | None = None
    alert_webhook_url: str = ""
    alert_webhook_secret: str = ""
    alert_apprise_urls: tuple[str, ...] = ()
    alert_channels: tuple[str, ...] = ()
    alert_routes: tuple[Mapping[str, Any], ...] = ()
    alerts_group_by: tuple[str, ...] = ("alertname", "severity")
    alerts_group_interval_s: float = 15.0
    alerts_repeat_s: float = 14_400.0
    alerts_escalate_s: tuple[int, ...] = ()
    alerts_private_addresses: Literal["none", "any"] | tuple[IPv4Network | IPv6Network, ...] = (
        "none"
    )
    alerts_timeout_s: float = 10.0
    report_weekly: tuple[int, int, int] | None = None
    slo_availability_percent: float = 99.9
    alert_thresholds: SimpleNamespace = field(default_factory=_alert_thresholds)
    database: str = "default"
    semconv_opt_in: frozenset[str] = frozenset()
    disabled_instrumentations: frozenset[str] = frozenset()
    django_instrument: bool = True
    excluded_urls: tuple[str, ...] = ()
    traced_request_attrs: tuple[str, ...] = ()
    capture_request_headers: tuple[str, ...] = ()
    capture_response_headers: tuple[str, ...] = ()
    sanitize_fields: tuple[str, ...] = ()
    log_level: Literal["debug", "info", "warning", "error", "critical"] = "info"
    detail: Literal["standard", "full"] = "standard"
    instrumentation: Literal["own", "contrib"] = "own"
    keep: frozenset[str] = frozenset()
    slow_request_s: float = 1.0
    slow_query_s: float = 0.1
    n_plus_one: int = 5
    celery_link_after_s: float = 60.0
    commands: tuple[str, ...] = ("own",)
    trust_inbound: Literal["auto", "always", "never"] | tuple[IPv4Network | IPv6Network, ...] = (
        "auto"
    )
    redact: tuple[str, ...] = ()
    user_id: Literal["off", "hash", "plain"] = "off"
    exception_events: bool = True
    store: Path | None = None
    store_retention_hours: float = 24.0
    store_max_mb: int = 512
    spool_dir: Path = Path(DATA_DIR, "spool")
    read_from: Mapping[str, str] = field(default_factory=dict)
    read_from_headers_jaeger: Mapping[str, str] = field(default_factory=dict)
    read_from_headers_loki: Mapping[str, str] = field(default_factory=dict)
    read_from_headers_prometheus: Mapping[str, str] = field(default_factory=dict)
    read_from_tenant: str = ""
    read_from_certificate: str | None = None
    read_from_timeout_s: float = 10.0
    spool_max_mb: int = 512
    queue_max_mb: int = 16
    shutdown_timeout_s: float = 2.0
    debug: bool = False
    base_dir: Path | None = None
    source_dirs: tuple[Path, ...] = ()
    problems: tuple[Problem, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=dict)

    def __init__(self, **values: Any) -> None:
        """The fields that aren't default."""
        unknown = values.keys() - {one.name for one in fields(self)}
        if unknown:
            raise TypeError(f"Settings have no {', '.join(sorted(unknown))}")
        made = {
            one.name: one.default_factory()
            for one in fields(self)
            if one.default_factory is not MISSING and one.name not in values
        }
        vars(self).update(made, **values)

    @property
    def project_root(self) -> Path | None:
        """The folder of the site's own code."""
        return self.base_dir
