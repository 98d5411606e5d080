"""Who is measured: what each needs, how it is switched on, what it must have sent."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("trivial", "queries", "repeated", "cached")
TASK_PAGES = ("publish", "run")
LOG_PAGES = ("record",)
PROBE_PAGES = ("livez",)
SPANS = {"trivial": 1, "queries": 11, "repeated": 11, "cached": 1}
# A message to run has been published before.
TASK_SPANS = {"publish": 1, "run": 2}
NOTHING = dict.fromkeys(PAGES, 0)
_ONE_EACH = dict.fromkeys(PAGES, 1)
_QUERIES = {"trivial": 0, "queries": 10, "repeated": 10, "cached": 0}

# Where the sink counts what a contestant sends; the key is the first part of the path.
_OTLP = {
    # Of its own: the processes of one service send the sums of all by one of them.
    "OTEL_SERVICE_NAME": "bench.{key}",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:{port}/{key}",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
}
_SENTRY = {"SENTRY_DSN": "http://bench@127.0.0.1:{port}/{key}/1"}
_CONTRIB = (
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-instrumentation-django",
    "opentelemetry-instrumentation-sqlite3",
    "opentelemetry-instrumentation-logging",
)
_OFF = {"OTEL_TRACES_SAMPLER": "always_off"}
_NO_LINES = {"OTEL_LOGS_EXPORTER": "none", "OTEL_DJANGO_LOG_FORMAT": "off"}
_TRACES = {"OTEL_METRICS_EXPORTER": "none", **_NO_LINES}
_METRICS = {"OTEL_METRICS_EXPORTER": "otlp", **_NO_LINES}
_SIGNALS = {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_LOGS_EXPORTER": "otlp"}
_LOGS = {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "otlp"}
# It would leave out requests under the load of a burst.
_UNGOVERNED = {"OTEL_DJANGO_MAX_OVERHEAD": "0"}
# No peer writes a record of each request.
_NO_REQUEST_LOG = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "request_log"}


@dataclass(frozen=True)
class Contestant:
    """``expects`` says what arrives for a request of each page: kind → page → count.

    More than that is allowed, less is not; where 0 is expected, nothing may arrive. ``seen`` is
    the same for what is counted inside the process. ``at_least_one`` names the kinds that are
    only sent at an interval. ``pages`` are what it is measured at, ``bare`` names what it is
    compared with.
    """

    name: str
    title: str
    observer: str
    requirements: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    expects: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    seen: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    at_least_one: tuple[str, ...] = ()
    pages: tuple[str, ...] = PAGES
    bare: str = "bare"

    def environ(self, port: int, key: str) -> dict[str, str]:
        """Its variables, pointed at the sink."""
        values = {
            name: value.format(port=port, key=key) for name, value in self.environment.items()
        }
        return {**values, "BENCH_OBSERVER": self.observer}


BARE = Contestant("bare", "Django alone", "bare")

CONTRIB_TRACES = Contestant(
    "contrib-traces",
    "contrib, traces",
    "contrib_traces",
    _CONTRIB,
    _OTLP,
    expects={"traces": SPANS},
)

CONTRIB_OFF = Contestant(
    "contrib-off",
    "contrib, traces, sampled out",
    "contrib_traces",
    _CONTRIB,
    {**_OTLP, **_OFF},
    expects={"traces": NOTHING},
)

CONTRIB_SIGNALS = Contestant(
    "contrib-signals",
    "contrib, traces + metrics + logs",
    "contrib_signals",
    _CONTRIB,
    _OTLP,
    expects={"traces": SPANS},
    at_least_one=("metrics",),
)

PROMETHEUS = Contestant(
    "prometheus",
    "django-prometheus, metrics",
    "prometheus",
    ("django-prometheus",),
    seen={
        "requests": _ONE_EACH,
        "queries": _QUERIES,
    },
)

SENTRY = Contestant(
    "sentry",
    "Sentry, traces",
    "sentry",
    ("sentry-sdk",),
    {**_SENTRY, "BENCH_SAMPLE_RATE": "1.0"},
    expects={
        "transactions": _ONE_EACH,
        "queries": _QUERIES,
    },
)

SENTRY_OFF = Contestant(
    "sentry-off",
    "Sentry, traces, sampled out",
    "sentry",
    ("sentry-sdk",),
    {**_SENTRY, "BENCH_SAMPLE_RATE": "0.0"},
    expects={"transactions": NOTHING},
)

OWN = Contestant(
    "otel-django",
    "otel_django, traces",
    "own",
    (f"-e {ROOT}",),
    {**_OTLP, **_UNGOVERNED, **_TRACES},
    expects={"traces": SPANS},
)

OWN_SIGNALS = Contestant(
    "otel-django-signals",
    "otel_django, traces + metrics + logs",
    "own",
    (f"-e {ROOT}",),
    {**_OTLP, **_UNGOVERNED, **_SIGNALS, **_NO_REQUEST_LOG},
    expects={"traces": SPANS},
    at_least_one=("metrics",),
)

OWN_REQUEST_LOG = Contestant(
    "otel-django-request-log",
    "otel_django, all three and request.finished",
    "own",
    (f"-e {ROOT}",),
    {**_OTLP, **_UNGOVERNED, **_SIGNALS},
    expects={"traces": SPANS, "logs": _ONE_EACH},
    at_least_one=("metrics",),
)

OWN_METRICS = Contestant(
    "otel-django-metrics",
    "otel_django, metrics",
    "own",
    (f"-e {ROOT}",),
    {**_OTLP, **_UNGOVERNED, **_METRICS, **_OFF, "OTEL_TRACES_EXPORTER": "none"},
    expects={"traces": NOTHING},
    at_least_one=("metrics",),
)

OWN_OFF = Contestant(
    "otel-django-off",
    "otel_django, traces sampled out, metrics",
    "own",
    (f"-e {ROOT}",),
    {**_OTLP, **_UNGOVERNED, **_METRICS, **_OFF},
    expects={"traces": NOTHING},
)

BARE_TASKS = Contestant(
    "bare-tasks", "Celery alone", "bare", ("celery",), pages=TASK_PAGES, bare="bare-tasks"
)

CONTRIB_TASKS = Contestant(
    "contrib-tasks",
    "contrib, traces",
    "contrib_tasks",
    (*_CONTRIB, "celery", "opentelemetry-instrumentation-celery"),
    _OTLP,
    expects={"traces": TASK_SPANS},
    pages=TASK_PAGES,
    bare="bare-tasks",
)

OWN_TASKS = Contestant(
    "otel-django-tasks",
    "otel_django, traces",
    "own",
    (f"-e {ROOT}", "celery"),
    {**_OTLP, **_UNGOVERNED, **_TRACES},
    expects={"traces": TASK_SPANS},
    pages=TASK_PAGES,
    bare="bare-tasks",
)

OWN_TASKS_OFF = Contestant(
    "otel-django-tasks-off",
    "otel_django, traces, sampled out",
    "own",
    (f"-e {ROOT}", "celery"),
    {**_OTLP, **_UNGOVERNED, **_TRACES, **_OFF},
    expects={"traces": dict.fromkeys(TASK_PAGES, 0)},
    pages=TASK_PAGES,
    bare="bare-tasks",
)

BARE_LOGS = Contestant("bare-logs", "logging alone", "bare_logs", pages=LOG_PAGES, bare="bare-logs")

CONTRIB_LOGS = Contestant(
    "contrib-logs",
    "python-json-logger, contrib's handler",
    "contrib_logs",
    (*_CONTRIB, "python-json-logger"),
    {**_OTLP, "BENCH_FORMATTER": "python-json-logger"},
    expects={"logs": {"record": 1}},
    pages=LOG_PAGES,
    bare="bare-logs",
)

CONTRIB_LOGS_DUMPS = replace(
    CONTRIB_LOGS,
    name="contrib-logs-dumps",
    title="json.dumps, contrib's handler",
    environment={**_OTLP, "BENCH_FORMATTER": "json.dumps"},
)

OWN_LOGS = Contestant(
    "otel-django-logs",
    "otel_django",
    "own_logs",
    (f"-e {ROOT}",),
    {**_OTLP, **_UNGOVERNED, **_LOGS},
    expects={"logs": {"record": 1}},
    pages=LOG_PAGES,
    bare="bare-logs",
)

BARE_PROBES = Contestant(
    "bare-probes", "Django alone", "bare", pages=PROBE_PAGES, bare="bare-probes"
)

OWN_PROBES = Contestant(
    "otel-django-probes",
    "otel_django, all three",
    "own",
    (f"-e {ROOT}",),
    {**_OTLP, **_UNGOVERNED, **_SIGNALS},
    expects={"traces": {"livez": 0}, "logs": {"livez": 0}},
    at_least_one=("metrics",),
    pages=PROBE_PAGES,
    bare="bare-probes",
)

ALL = (
    BARE,
    CONTRIB_TRACES,
    OWN,
    CONTRIB_OFF,
    OWN_OFF,
    CONTRIB_SIGNALS,
    OWN_SIGNALS,
    OWN_REQUEST_LOG,
    PROMETHEUS,
    OWN_METRICS,
    SENTRY,
    SENTRY_OFF,
    BARE_TASKS,
    CONTRIB_TASKS,
    OWN_TASKS,
    OWN_TASKS_OFF,
    BARE_LOGS,
    CONTRIB_LOGS,
    CONTRIB_LOGS_DUMPS,
    OWN_LOGS,
    BARE_PROBES,
    OWN_PROBES,
)
# Behind a real server, and at start-up, a contestant that is sampled out tells nothing new.
SERVED = (BARE, CONTRIB_TRACES, OWN, PROMETHEUS, SENTRY)
STARTED = (BARE, CONTRIB_TRACES, OWN, CONTRIB_SIGNALS, OWN_SIGNALS, PROMETHEUS, SENTRY)


def shortfall(
    contestant: Contestant,
    requests: Mapping[str, int],
    arrived: Mapping[str, int],
    seen: Mapping[str, int],
) -> str | None:
    """Why its figures don't count: what it should have sent for ``requests`` and didn't."""
    for kinds, counts in ((contestant.expects, arrived), (contestant.seen, seen)):
        for kind, by_page in kinds.items():
            due = sum(number * by_page[page] for page, number in requests.items())
            got = counts.get(kind, 0)
            if got < due or (due == 0 and got > 0):
                return f"{got:,} {kind} of {due:,}"
    for kind in contestant.at_least_one:
        if not arrived.get(kind):
            return f"no {kind}"
    return None
