"""Write docs/reference/ and the rules for Prometheus from the code."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "deploy" / "prometheus" / "rules" / "otel_django.yml"
sys.path.insert(0, str(ROOT))

from docs import alerts_page, openapi  # noqa: E402
from otel_django import checks, metric_definitions, names  # noqa: E402
from otel_django.alerts import catalogue, promql  # noqa: E402
from otel_django.conf import alert_variables, otlp_variables  # noqa: E402
from otel_django.conf.variable import PREFIX, Variable, settings_key  # noqa: E402
from otel_django.conf.variables import VARIABLES  # noqa: E402
from otel_django.metrics import classic, prometheus_names  # noqa: E402

if TYPE_CHECKING:
    from otel_django.metric_points import MetricDefinition

_GENERATED = "<!-- Written by docs/generate_reference.py: change the code and run `make docs`. -->"

_SETTINGS_INTRO = f"""# Settings

{_GENERATED}

Every setting can be given in two places:

- in the environment, under the name given here;
- in Django's settings, in the dict `OTEL_DJANGO`: standard names in full, this package's own
  without `{PREFIX}`. Values may be text as in the environment, or what is natural in Python.

```python
OTEL_DJANGO = {{
    "OTEL_SERVICE_NAME": "shop",
    "KEEP": ["errors", "slow"],
    "SLOW_REQUEST_MS": 500,
}}
```

A receiver's settings have a general form and one for each signal, which goes before it.

The environment wins. An empty value counts as not set. A value that can't be used counts as not
set too, or the good part of a list is used, and `manage.py check` says what is wrong with it;
nothing here can stop the site. Where several names are given, the first that is set counts; all of
the environment's go before those of the settings.

`manage.py otel config` prints every value that is in effect and where it comes from, with secrets
masked; `--json` does so for programs.

`OTEL_CONFIG_FILE`, the declarative configuration, isn't read, and the check `otel_django.W007` says
so. The SDK (1.45) leaves it to a package of its own, `opentelemetry-configuration`, an alpha that
may change with every release, and only under `opentelemetry-instrument`. Where both are in use, the
tracer provider that they make from the file is recorded on as
[any provider of yours](../how-to/use-your-own-provider.md); metrics and logs go where the variables
below say.
"""

_THRESHOLDS_INTRO = """
Each is a number. In `OTEL_DJANGO` they go without their prefix: `"ALERT_HIGH_CPU_WARNING": 70`.

| name | meaning | default |
|---|---|---|
"""

_CHECKS_INTRO = """
## Checks

What `manage.py check` can say. The ids are stable, so that `SILENCED_SYSTEM_CHECKS` can name them.
With `OTEL_DJANGO_STRICT` on, 001 and 002 are errors, with an E in place of the W.

| id | what it says |
|---|---|
"""

_TELEMETRY_INTRO = f"""# Spans, attributes, metrics and log events

{_GENERATED}

Names are those of OpenTelemetry's stable semantic conventions wherever there is one; names that
start with `django.` are this package's own.

## Spans

| what | name | kind | when |
|---|---|---|---|
"""

_METRICS_INTRO = """
## Metrics

Histograms have the buckets that the semantic conventions advise, where they do; all durations are
in seconds.

Of the conventions' `otel.sdk.*` some aren't told, because nothing is counted that they could be
read from. `otel.sdk.span.started` and `otel.sdk.span.live` would add to the cost of each span;
those that ended are `otel.sdk.processor.span.processed` and `.queue.size` together, and the
requests that are under way `http.server.active_requests`.
`otel.sdk.exporter.metric_data_point.*` counts points,
while what is sent, waits on disk or is cut in two is counted in metrics; how that goes says
`otel.sdk.exporter.operation.duration` with its `error.type`, and what is lost
`otel_django.dropped`.

| name | kind | unit | meaning | attributes |
|---|---|---|---|---|
"""

_METRICS_NOTES = """
### Health

One process of each host tells `health.check.status` and `health.score`, of what was found within
the last minute by whichever process; where nobody asks, there is nothing to tell.
`health.check.duration` is told by the process that ran the check.

`health.score` of a group is the mean of its checks: 100 for a healthy one, 50 for a degraded one,
0 for an unhealthy one. Critical checks count three times; those that never came back yet don't
count. With a healthy database (critical), a degraded cache (critical) and an unhealthy disk, it is
(3 · 100 + 3 · 50 + 0) / 7 = 64.3.

### Databases and caches

One process of the whole deployment asks each database for its size, and each cache in Redis for
its figures, every METRICS_COLLECTION_INTERVAL (60 s), on connections of its own with short
time-outs. One that can't be reached has no figures. Of a cache with several servers the first one
is asked. `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=service_figures` switches this off.

### APIs

Routes that begin as `OTEL_DJANGO_API_ROUTES` says count as an API's. A client is the user, if the
site has loaded it; else the value of `Authorization` or `X-API-Key`; else the address, behind
proxies of `OTEL_DJANGO_TRUST_INBOUND` the one that they name. `django.api.active_clients` is
estimated (within 3 % as a rule, below a thousand nearly exact) over all workers of the host,
recycled ones included; one process of the host tells it. The last hour goes in steps of five
minutes, the last day in steps of an hour. Kept are 150 kB in `OTEL_DJANGO_RUN_DIR`, from which no
client can be told: of a hash, keyed with `SECRET_KEY`, only how many zeros it begins with. The
clients of several hosts can't be added up. With `OTEL_DJANGO_INSTRUMENTATION=contrib` nothing of
this is counted.
"""

_PROMETHEUS_INTRO = f"""# Metrics in Prometheus

{_GENERATED}

What stands on `/metrics`, `/api/v1/metrics` and `/monitoring/metrics/?format=prometheus`: the sums
of all processes of this service on the host, web servers, workers and recycled ones alike. Where
several roles (web, worker, beat, …) have series with equal labels, counters, histograms and up-down
counters are added, and of gauges the value measured last is shown. A histogram has `_bucket` (with
`le`), `_sum` and `_count`.

`OTEL_DJANGO_METRIC_NAMES` chooses between the two tables below; by default both are shown.
`target_info` says what the service is. Metrics of other scopes (instruments of libraries, your own
of `opentelemetry.metrics`) have the label `otel_scope_name` besides their own.

## OpenTelemetry's names

Names and labels are made by the rules of Prometheus's own OTLP receiver, so that a metric has one
name whether it was scraped or sent.

| name | kind | labels | of |
|---|---|---|---|
"""

_CLASSIC_INTRO = """
Exponential histograms
(`OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION=base2_exponential_bucket_histogram`) are
shown with buckets at powers of two: 1 ms to 32 s for durations, 16 bytes to 16 GiB for sizes, and
2⁻¹⁰ to 2²⁰ in steps of four for the rest.

## Classic names

Made from the same numbers, for dashboards and alerts that were written for them. Series that differ
only in what has no label here are added. A request without a route, such as most 404s, has no
`endpoint`. Where a name is in both tables, it has the labels of both.

| name | kind | labels | of |
|---|---|---|---|
"""


def settings_page() -> str:
    """docs/reference/settings.md."""
    sections = groupby(VARIABLES, key=lambda variable: variable.section)
    parts = [_section(title, variables) for title, variables in sections]
    rows = (f"| `{checks.TAG}.W{number}` | {about} |\n" for number, about in checks.ABOUT.values())
    return "".join([_SETTINGS_INTRO, *parts, _CHECKS_INTRO, *rows])


def _section(title: str, variables: Iterable[Variable]) -> str:
    if title == otlp_variables.SECTION:
        return f"\n## {title}\n" + "".join(map(_entry_of_signals, _by_general_name(variables)))
    if title == alert_variables.THRESHOLDS:
        return f"\n## {title}\n" + _THRESHOLDS_INTRO + "".join(map(_threshold, variables))
    return f"\n## {title}\n" + "".join(_entry(one, one.names) for one in variables)


def _threshold(variable: Variable) -> str:
    return f"| `{variable.name}` | {variable.doc} | {_default(variable)} |\n"


def _by_general_name(variables: Iterable[Variable]) -> Iterable[list[Variable]]:
    general: dict[str, list[Variable]] = {}
    for variable in variables:
        general.setdefault(variable.names[-1], []).append(variable)
    return general.values()


def _entry_of_signals(variables: list[Variable]) -> str:
    """One entry for the three of the signals: the general name, then their own."""
    own = [variable.name for variable in variables]
    return _entry(variables[0], (variables[0].names[-1], *own))


def _entry(variable: Variable, spoken: tuple[str, ...]) -> str:
    heading = " or ".join(f"`{name}`" for name in spoken)
    facts = [
        f"- Allowed: {variable.parser.allowed}",
        f"- Default: {_default(variable)}",
    ]
    if settings_key(variable.name) != variable.name:
        facts.append(f'- In `OTEL_DJANGO`: `"{settings_key(variable.name)}"`')
    return "\n" + "\n\n".join([f"### {heading}", variable.doc, "\n".join(facts)]) + "\n"


def _default(variable: Variable) -> str:
    words = variable.default_in_words
    return f"`{words}`" if words == variable.default else words


def telemetry_page() -> str:
    """docs/reference/telemetry.md."""
    spans = (f"| {span.what} | {span.name} | {span.kind} | {span.when} |\n" for span in names.SPANS)
    tables = (_table(title, rows) for title, rows in names.ATTRIBUTES.items())
    return "".join(
        [
            _TELEMETRY_INTRO,
            *spans,
            _table("Span events", names.SPAN_EVENTS),
            *tables,
            _METRICS_INTRO,
            *map(_metric, metric_definitions.ALL),
            _METRICS_NOTES,
            _table("Log events", names.LOG_EVENTS),
        ]
    )


def _metric(metric: MetricDefinition) -> str:
    kind = metric.kind.replace("_", "-")
    keys = ", ".join(f"`{key}`" for key in metric.attributes)
    return f"| `{metric.name}` | {kind} | `{metric.unit}` | {metric.description} | {keys} |\n"


def _table(title: str, rows: Mapping[str, str]) -> str:
    return f"\n## {title}\n\n| name | meaning |\n|---|---|\n" + "".join(_rows(rows))


def _rows(rows: Mapping[str, str]) -> Iterator[str]:
    for name, meaning in rows.items():
        whole = f"{name}{{name}}" if name.endswith(".") else name
        yield f"| `{whole}` | {meaning} |\n"


def prometheus_page() -> str:
    """docs/reference/prometheus.md."""
    return "".join(
        [
            _PROMETHEUS_INTRO,
            *map(_prometheus, metric_definitions.ALL),
            _CLASSIC_INTRO,
            *map(_classic, classic.ALL),
        ]
    )


def _prometheus(metric: MetricDefinition) -> str:
    name = prometheus_names.family_name(metric.name, metric.unit, metric.kind)
    name = f"{name}_total" if metric.kind == "counter" else name
    labels = ", ".join(f"`{prometheus_names.label_name(key)}`" for key in metric.attributes)
    kind = "gauge" if metric.kind == "up_down_counter" else metric.kind
    return f"| `{name}` | {kind} | {labels} | `{metric.name}` |\n"


def _classic(metric: classic.Classic) -> str:
    labels = ", ".join(f"`{label}`" for label, _ in metric.labels)
    only = f", where `{metric.only[0]}` is `{metric.only[1]}`" if metric.only else ""
    return f"| `{metric.sample}` | {metric.kind} | {labels} | `{metric.source.name}`{only} |\n"


PAGES = {
    "settings.md": settings_page,
    "telemetry.md": telemetry_page,
    "prometheus.md": prometheus_page,
    "openapi.json": openapi.text,
    "alerts.md": alerts_page.page,
}


def main() -> None:
    """Write the pages."""
    folder = ROOT / "docs" / "reference"
    folder.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")
    RULES.parent.mkdir(parents=True, exist_ok=True)
    RULES.write_text(promql.rule_file(catalogue.rules()), encoding="utf-8")


if __name__ == "__main__":
    main()
