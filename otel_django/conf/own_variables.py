"""The variables of this package: ``OTEL_DJANGO_*``."""

from __future__ import annotations

from typing import Final

from otel_django.conf import list_parsers as lists
from otel_django.conf import parsers as p
from otel_django.conf.variable import PREFIX, Variable


def _ours(name: str, field: str, parser: p.Parser, default: str, doc: str) -> Variable:
    return Variable((PREFIX + name,), field, parser, default, doc, "Behaviour of otel_django")


OURS: Final = (
    _ours(
        "ENABLED",
        "enabled",
        p.tristate(),
        "auto",
        "`false` switches this package off, but for answers to probes; `true` switches it on in "
        "every process; `auto` is on in servers, workers and the management commands that "
        "OTEL_DJANGO_COMMANDS chooses, and off in all other commands and in tests.",
    ),
    _ours(
        "STRICT",
        "strict",
        p.switch(),
        "false",
        "Raise this package's own faults instead of counting and logging them; for tests.",
    ),
    _ours(
        "DETAIL",
        "detail",
        p.choice("standard", "full"),
        "standard",
        "`full` adds spans for middleware, views and templates.",
    ),
    _ours(
        "INSTRUMENTATION",
        "instrumentation",
        p.choice("own", "contrib"),
        "own",
        "`contrib`: OpenTelemetry's own instrumentations make the spans of requests and of "
        "Celery's tasks.",
    ),
    _ours(
        "KEEP",
        "keep",
        lists.some_of("errors", "slow"),
        "",
        "Traces that are kept although the sampler left them out; this costs what recording costs.",
    ),
    _ours(
        "SLOW_REQUEST_MS",
        "slow_request_s",
        p.number("milliseconds", per_unit=1000),
        "1000",
        "From when on a request is slow.",
    ),
    _ours(
        "SLOW_QUERY_MS",
        "slow_query_s",
        p.number("milliseconds", per_unit=1000),
        "100",
        "From when on a query is slow, so that its span names the code line that ran it.",
    ),
    _ours(
        "N_PLUS_ONE",
        "n_plus_one",
        p.whole(2, off=True),
        "5",
        "How often a statement must be repeated in a request to be reported as an N+1.",
    ),
    _ours(
        "CELERY_LINK_AFTER",
        "celery_link_after_s",
        p.number("seconds"),
        "60",
        "A Celery task that starts later than this after it was sent begins a trace of its own, "
        "linked to the one that sent it.",
    ),
    _ours(
        "COMMANDS",
        "commands",
        lists.commands(),
        "own",
        "Which management commands are traced: `own` for those of your project (it goes without "
        "saying), `all`, or `none`; then names of further ones, and, after a `-`, of those that "
        "aren't. Servers and workers, such as `runserver` and `db_worker`, have no span of their "
        "own; what they do is traced.",
    ),
    _ours(
        "TRUST_INBOUND",
        "trust_inbound",
        lists.networks("auto", "always", "never"),
        "auto",
        "Whose trace context is continued; everybody else's is only linked. `auto`: "
        "loopback and private peers that send no forwarding header.",
    ),
    _ours(
        "REDACT",
        "redact",
        lists.names(),
        "",
        "Further names whose values never leave, besides those that never do anyway.",
    ),
    _ours(
        "USER_ID",
        "user_id",
        p.choice("off", "hash", "plain"),
        "off",
        "Whether spans say which user made the request.",
    ),
    Variable(
        (f"{PREFIX}EXCEPTION_EVENTS", "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN"),
        "exception_events",
        p.exception_events(),
        "true",
        "Whether exceptions are written as span events, which Jaeger shows, besides being log "
        "records, which they always are; with OpenTelemetry's variable, `logs` for records only "
        "and `logs/dup` for both.",
        "Behaviour of otel_django",
    ),
    _ours(
        "STORE",
        "store",
        p.path("on", "off"),
        "(on under DEBUG if no endpoint and no exporter is set, else off)",
        "The embedded store: the path of its SQLite file, or `on` for "
        "`.otel_django/store.sqlite3`. Relative paths start at BASE_DIR.",
    ),
    _ours(
        "STORE_RETENTION_HOURS",
        "store_retention_hours",
        p.number("hours", above=True),
        "24",
        "How long the embedded store keeps things.",
    ),
    _ours(
        "STORE_MAX_MB",
        "store_max_mb",
        p.whole(1),
        "512",
        "How many megabytes the embedded store may take; the oldest goes first.",
    ),
    _ours(
        "SPOOL_DIR",
        "spool_dir",
        p.path(),
        "(`.otel_django/spool`)",
        "Where telemetry waits on disk while the receiver is away. Relative paths start at "
        "BASE_DIR.",
    ),
    _ours(
        "SPOOL_MAX_MB",
        "spool_max_mb",
        p.whole(1),
        "512",
        "How many megabytes of all signals together may wait on disk; past that, new telemetry "
        "is dropped and counted.",
    ),
    _ours(
        "RUN_DIR",
        "run_dir",
        p.path(),
        "(`.otel_django/run`)",
        "Where this host's processes keep the sums of their metrics and what else they share while "
        "they run. A local disk; relative paths start at BASE_DIR.",
    ),
    _ours(
        "QUEUE_MAX_MB",
        "queue_max_mb",
        p.whole(1),
        "16",
        "How many megabytes of finished spans may wait in a process's memory, and as many of log "
        "records.",
    ),
    _ours(
        "MAX_OVERHEAD",
        "max_overhead",
        p.number("per cent", most=100, per_unit=100),
        "5",
        "The share of a processor that telemetry may take in each process, in per cent; above it, "
        "detail and then sampling are lowered as far as that helps. 0 for no such limit.",
    ),
    _ours(
        "VIEWER",
        "viewer",
        p.switch(),
        "true",
        "Whether the pages below `otel_django.urls` are shown to those who may see them.",
    ),
    _ours(
        "MODEL_EVENTS",
        "model_events",
        lists.matching(
            r"[A-Za-z_]\w*\.(?:[A-Za-z_]\w*|\*)",
            "a comma-separated list of models, such as `shop.Order,auth.*`",
        ),
        "",
        "Models whose objects' creation, change and deletion is logged; never their values.",
    ),
    _ours(
        "API_ROUTES",
        "api_routes",
        lists.matching(r"/.*", "a comma-separated list of paths, such as `/api/,/v2/`"),
        "/api/",
        "The beginnings of the routes that count as an API's.",
    ),
    _ours(
        "TOKENS",
        "tokens",
        lists.secrets("a comma-separated list of texts"),
        "",
        "Bearer tokens that open the endpoints for machines, such as `/metrics`.",
    ),
    _ours(
        "DATABASE",
        "database",
        p.text(),
        "default",
        "The alias of the database that this package's own tables are in.",
    ),
    _ours(
        "SHUTDOWN_TIMEOUT",
        "shutdown_timeout_s",
        p.number("seconds"),
        "2",
        "How long the end of a process may wait for telemetry to leave.",
    ),
)
