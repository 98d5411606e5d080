"""The variables of OpenTelemetry's specification and of its Python distribution."""

from __future__ import annotations

from typing import Final

from otel_django.conf import list_parsers as lists
from otel_django.conf import parsers as p
from otel_django.conf.variable import Variable


def _traces(name: str, field: str, parser: p.Parser, default: str, doc: str) -> Variable:
    return Variable((name,), field, parser, default, doc, "Tracing", "traces")


def _django(name: str, field: str, parser: p.Parser, default: str, doc: str) -> Variable:
    return Variable((name,), field, parser, default, doc, "Instrumentation", "traces")


GENERAL: Final = (
    Variable(
        ("OTEL_SDK_DISABLED",),
        "sdk_disabled",
        p.boolean(),
        "false",
        "`true` switches everything off: nothing is hooked, started or imported.",
        "General",
    ),
    Variable(
        ("OTEL_SERVICE_NAME",),
        "service_name",
        p.text(),
        "(the package of the settings module)",
        "The service's name, `service.name`; before `service.name` in OTEL_RESOURCE_ATTRIBUTES.",
        "General",
    ),
    Variable(
        ("OTEL_RESOURCE_ATTRIBUTES",),
        "resource_attributes",
        lists.pairs(),
        "",
        "Attributes of the service, such as `deployment.environment.name=production`.",
        "General",
    ),
    Variable(
        ("OTEL_PROPAGATORS",),
        "propagators",
        lists.several_of("tracecontext", "baggage", others=p.installed("propagator")),
        "tracecontext,baggage",
        "The formats in which trace context is read from requests and written to calls; "
        "`b3`, `b3multi` and `jaeger` come with opentelemetry-propagator-b3 and -jaeger.",
        "General",
    ),
    Variable(
        ("OTEL_LOG_LEVEL",),
        "log_level",
        p.choice(
            "debug",
            "info",
            "warning",
            "error",
            "critical",
            also={
                "warn": "warning",
                "fatal": "critical",
                "none": "critical",
                "trace": "debug",
                "verbose": "debug",
                "notset": "debug",
            },
        ),
        "info",
        "The level of what this package itself logs.",
        "General",
    ),
)

TRACES: Final = (
    Variable(
        ("OTEL_TRACES_EXPORTER",),
        "traces_exporters",
        lists.several_of("otlp", "console", others=p.installed("traces_exporter")),
        "(`otlp` if an OTLP endpoint is set, else `none`)",
        "Where traces go besides the embedded store; `console` prints them.",
        "Tracing",
        "traces",
    ),
    _traces(
        "OTEL_TRACES_SAMPLER",
        "traces_sampler",
        p.choice(
            "always_on",
            "always_off",
            "traceidratio",
            "parentbased_always_on",
            "parentbased_always_off",
            "parentbased_traceidratio",
            others=p.installed("traces_sampler"),
        ),
        "parentbased_always_on",
        "Which traces are recorded; the `parentbased_` ones follow the caller's decision.",
    ),
    _traces(
        "OTEL_TRACES_SAMPLER_ARG",
        "traces_sampler_arg",
        p.number(most=1),
        "1",
        "The share of traces that the `traceidratio` samplers record: 0.01 is one in a hundred.",
    ),
    _traces(
        "OTEL_BSP_SCHEDULE_DELAY",
        "bsp_schedule_delay_s",
        p.number("milliseconds", above=True, per_unit=1000),
        "500",
        "How long finished spans are gathered before they leave.",
    ),
    _traces(
        "OTEL_BSP_MAX_QUEUE_SIZE",
        "bsp_max_queue_size",
        p.whole(1),
        "(none: OTEL_DJANGO_QUEUE_MAX_MB is the limit)",
        "How many finished spans may wait in memory; more go to the spool on disk.",
    ),
    _traces(
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        "bsp_max_export_batch_size",
        p.whole(1),
        "512",
        "How many spans at most leave in one request.",
    ),
    _traces(
        "OTEL_BSP_EXPORT_TIMEOUT",
        "bsp_export_timeout_s",
        p.number("milliseconds", above=True, per_unit=1000),
        "30000",
        "How long handing on one batch may take, retries included.",
    ),
    Variable(
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
        "span_limits.attributes",
        p.whole(),
        "128",
        "How many attributes a span may have; more are dropped and counted on the span.",
        "Limits",
        "traces",
    ),
    Variable(
        ("OTEL_SPAN_EVENT_COUNT_LIMIT",),
        "span_limits.events",
        p.whole(),
        "128",
        "How many events a span may have.",
        "Limits",
        "traces",
    ),
    Variable(
        ("OTEL_SPAN_LINK_COUNT_LIMIT",),
        "span_limits.links",
        p.whole(),
        "128",
        "How many links a span may have.",
        "Limits",
        "traces",
    ),
    Variable(
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
        "span_limits.event_attributes",
        p.whole(),
        "128",
        "How many attributes an event may have.",
        "Limits",
        "traces",
    ),
    Variable(
        ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
        "span_limits.link_attributes",
        p.whole(),
        "128",
        "How many attributes a link may have.",
        "Limits",
        "traces",
    ),
    Variable(
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
        "span_limits.value_length",
        p.whole(),
        "(no limit)",
        "How many characters of an attribute's text are kept.",
        "Limits",
        "traces",
    ),
)

INSTRUMENTATION: Final = (
    _django(
        "OTEL_PYTHON_DJANGO_INSTRUMENT",
        "django_instrument",
        p.boolean(),
        "true",
        "`false` leaves requests without spans.",
    ),
    Variable(
        ("OTEL_PYTHON_DJANGO_EXCLUDED_URLS", "OTEL_PYTHON_EXCLUDED_URLS"),
        "excluded_urls",
        lists.regexes(),
        "",
        "Requests whose URL one of these is found in get no span.",
        "Instrumentation",
        "traces",
    ),
    _django(
        "OTEL_PYTHON_DJANGO_TRACED_REQUEST_ATTRS",
        "traced_request_attrs",
        lists.names("a comma-separated list of attribute names"),
        "",
        "Attributes of Django's request object to put on the span, such as `content_type`.",
    ),
    _django(
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST",
        "capture_request_headers",
        lists.regexes(),
        "",
        "Request headers to put on the span; each expression must fit the whole name.",
    ),
    _django(
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE",
        "capture_response_headers",
        lists.regexes(),
        "",
        "Response headers to put on the span; each expression must fit the whole name.",
    ),
    _django(
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS",
        "sanitize_fields",
        lists.regexes(),
        "",
        "Captured headers whose value is hidden, besides those that always are.",
    ),
    Variable(
        ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",),
        "disabled_instrumentations",
        lists.lowered("a comma-separated list of instrumentations, or `*` for all of them"),
        "",
        "Libraries that are left alone, by the entry points of their instrumentors (`requests`), "
        "and parts of this package: `api_statistics`, `django`, `database`, `cache`, `celery`, "
        "`celery_chatter`, `celery_logs`, `celery_observers`, `commands`, `django_tasks`, "
        "`detail`, `health`, `logging`, `model_events`, `process_metrics`, `request_log`, "
        "`security_events`, `service_figures`, `system_metrics`; `contrib` for all other packages' "
        "instrumentors.",
        "Instrumentation",
    ),
    Variable(
        ("OTEL_SEMCONV_STABILITY_OPT_IN",),
        "semconv_opt_in",
        lists.lowered("a comma-separated list such as `http,database` or `http/dup`"),
        "",
        "Which attribute names are written; the stable ones always are, `*/dup` adds the old ones.",
        "Instrumentation",
    ),
)
