"""Every panel of every dashboard has data, under the demonstration's visitors and faults."""

from __future__ import annotations

import json
import math
import re
import threading
import time
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import psycopg
import pytest
import yaml

from otel_django import metric_definitions
from otel_django.alerts.expressions import Selector
from otel_django.alerts.promql import metric_name
from otel_django.metric_points import MetricDefinition
from tests.integration.shop_kit import Visitor
from tests.integration.test_dashboards import FILES, panels
from tests.server_process import ROOT
from tests.stack.stack_kit import ask, wait_until
from tests.stack.watched_shop import DATABASE, WatchedShop, visitors, watched_shop

GRAFANAS: Final = {
    "monitors: Grafana's answers",
    "monitors: Grafana's logins",
    "monitors: Grafana's health",
}
"""Grafana's own metrics: it cannot run here."""
STEP_S: Final = 15
"""What the provisioned data source says, for a range of an hour."""
FILLED: Final = {"$__rate_interval": f"{4 * STEP_S}s", "$__range": "3600s", "$__auto": "15s"}
FOUND_S: Final = 240.0
PAUSE_S: Final = 6.0
"""Longer than the time between two exports: a rate needs two values."""
OR_ZERO: Final = " or vector(0)"


class Target(NamedTuple):
    """A query of a panel, its variables still in it."""

    where: str
    kind: str
    expr: str
    instant: bool
    labels: frozenset[str]
    """What its legend names, or its table's first column."""
    exemplars: bool


def targets() -> Iterator[Target]:
    """Of all panels."""
    for file in FILES:
        for panel in panels(file):
            for target in panel["targets"]:
                yield Target(
                    f"{file.stem}: {panel['title']}",
                    target["datasource"]["type"],
                    target["expr"],
                    target.get("instant", False),
                    frozenset(labels_of(target)),
                    target.get("exemplar", False),
                )


def labels_of(target: dict[str, Any]) -> list[str]:
    """See ``Target.labels``."""
    if target.get("format") == "table":
        return re.findall(r"by \((\w+)", target["expr"])
    return re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", ""))


TARGETS: Final = list(targets())
ASKED: Final = [each for each in TARGETS if each.where not in GRAFANAS]


class Watched:
    """The stack as Grafana asks it, since the visitors came."""

    def __init__(self, running: WatchedShop) -> None:
        self.running = running
        self.began_s = time.time()
        self._deadline = time.monotonic() + FOUND_S
        self._values: dict[str, str] = {}

    def series(self, target: Target) -> list[dict[str, str]]:
        """The labels of its series that have a value; or of its lines.

        As soon as there is one with its legend's labels, or when the time is over.
        """
        while True:
            found = self._series(target)
            if any(target.labels <= labels.keys() for labels in found):
                return found
            if time.monotonic() > self._deadline:
                return []
            time.sleep(0.5)

    def _series(self, target: Target) -> list[dict[str, str]]:
        expr = self.filled(target.expr)
        if target.kind == "loki":
            return [one.get("metric") or one["stream"] for one in self.lines(expr)]
        if target.instant:
            found = self.prometheus("query", query=expr)["result"]
            return [one["metric"] for one in found if is_number(one["value"])]
        found = self.prometheus("query_range", query=expr, **self.window())["result"]
        return [one["metric"] for one in found if any(map(is_number, one["values"]))]

    def filled(self, expr: str) -> str:
        """With the values of all variables, as Grafana's start page of a board has them."""
        self._values = self._values or self.variables()
        for name, value in {**FILLED, **self._values}.items():
            expr = expr.replace(name, value)
        assert "$" not in expr.replace("${1}", ""), expr
        return expr

    def variables(self) -> dict[str, str]:
        """Of the boards: what stands in their boxes, and "All" of what their queries find."""
        values: dict[str, str] = {}
        for file in FILES:
            for each in json.loads(file.read_text())["templating"]["list"]:
                name = f"${each['name']}"
                if each["type"] == "textbox":
                    values[name] = each["query"]
                elif each["type"] == "query":
                    values[name] = "|".join(self.options(each, values))
        return values

    def options(self, variable: dict[str, Any], values: dict[str, str]) -> list[str]:
        """What a variable's own query finds: ``label_values(series, label)``."""
        asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
        assert asked is not None
        series, label = asked.groups()
        for name, value in values.items():
            series = series.replace(name, value)
        part = re.compile(variable.get("regex", "").strip("/") or "(.+)")
        found = self.prometheus(f"label/{label}/values", **{"match[]": series})
        return [match[1] for match in map(part.fullmatch, found) if match]

    def prometheus(self, path: str, **parameters: object) -> Any:
        """What its API answers."""
        url = f"{self.running.prometheus.url}/api/v1/{path}"
        return ask(f"{url}?{urllib.parse.urlencode(parameters)}")["data"]

    def lines(self, expr: str) -> list[dict[str, Any]]:
        """Loki's streams or series."""
        given = urllib.parse.urlencode({"query": expr, "limit": 500, **self.window()})
        found = ask(f"{self.running.loki.url}/loki/api/v1/query_range?{given}")
        return [one for one in found["data"]["result"] if one["values"]]

    def window(self) -> dict[str, object]:
        """From the first visitor until now."""
        return {"start": self.began_s, "end": time.time(), "step": STEP_S}


def is_number(value: list[Any]) -> bool:
    """0 / 0 is none."""
    return not math.isnan(float(value[1]))


def until_over(running: WatchedShop, over: threading.Event) -> None:
    """Faults that visitors don't make, again and again."""
    visitor = Visitor(running.shop.server.port)
    address = f"host=127.0.0.1 port={running.postgresql.port} user=postgres"
    with psycopg.connect(f"{address} dbname=postgres", autocommit=True) as server:
        while not over.wait(PAUSE_S):
            visitor.ask("/nowhere")
            visitor.ask("/accounts/login/", username="demo", password="guessed")  # no CSRF token
            visitor.sign_in("demo", "guessed")
            # A migration that comes before the code that knows of it.
            with psycopg.connect(f"{address} dbname={DATABASE}", autocommit=True) as shop:
                shop.execute("ALTER TABLE catalogue_brand RENAME COLUMN name TO title")
                visitor.ask("/brands/")
                shop.execute("ALTER TABLE catalogue_brand RENAME COLUMN title TO name")
            # A database that takes no connections.
            server.execute(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS false")
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [DATABASE],
            )
            for _ in range(4):
                visitor.ask("/brands/")
            server.execute(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS true")


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """The shop, its visitors and faults."""
    over = threading.Event()
    with (
        watched_shop(tmp_path_factory.mktemp("watched")) as running,
        visitors(running.shop.server.port),
    ):
        faults = threading.Thread(target=until_over, args=(running, over))
        faults.start()
        try:
            yield Watched(running)
        finally:
            over.set()
            faults.join()


Found = dict[Target, list[dict[str, str]]]


@pytest.fixture(scope="module")
def found(watched: Watched) -> Found:
    """The series of each target, asked for at once."""
    wait_until(lambda: watched.variables()["$job"], FOUND_S, "the shop in Prometheus")
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(ASKED, pool.map(watched.series, ASKED), strict=True))


def test_the_variables_find_the_shop(watched: Watched, found: Found) -> None:
    assert found
    assert watched.variables() == {
        "$job": "shop",
        "$service": "shop",
        "$site": "http://localhost:8000",
        "$objective": "99.9",
    }


@pytest.mark.parametrize("target", ASKED, ids=lambda target: target.where)
def test_a_panel_has_data_with_what_its_legend_names(
    watched: Watched, found: Found, target: Target
) -> None:
    assert found[target], watched.filled(target.expr)


def test_what_is_not_asked_is_of_grafana() -> None:
    assert {each.where for each in TARGETS if "grafana" in each.expr} == GRAFANAS


@pytest.mark.parametrize(
    "target", [each for each in ASKED if OR_ZERO in each.expr], ids=lambda target: target.where
)
def test_what_is_0_without_data_asks_for_a_metric_that_there_is(
    watched: Watched, target: Target
) -> None:
    name = re.findall(r"(\w+)(?=\{|\[| == )", target.expr)[0]
    known = {
        metric_name(Selector(each.name, each.kind, each.unit))
        for each in vars(metric_definitions).values()
        if isinstance(each, MetricDefinition)
    }
    assert name in known or watched.prometheus("query", query=name)["result"]


@pytest.mark.parametrize(
    "target", [each for each in ASKED if each.exemplars], ids=lambda target: target.where
)
def test_dots_open_a_trace(watched: Watched, target: Target) -> None:
    def trace_ids() -> list[str]:
        asked = {"query": watched.filled(target.expr), "start": watched.began_s, "end": time.time()}
        return [
            exemplar["labels"]["trace_id"]
            for series in watched.prometheus("query_exemplars", **asked)
            for exemplar in series["exemplars"]
        ]

    wait_until(trace_ids, FOUND_S, "an exemplar")
    assert any(watched.running.jaeger.trace(trace_id) for trace_id in trace_ids()[-10:])


@pytest.mark.parametrize(
    "target", [each for each in ASKED if each.kind == "loki"], ids=lambda target: target.where
)
def test_a_line_leads_to_its_trace(watched: Watched, found: Found, target: Target) -> None:
    [field] = source("Loki")["derivedFields"]
    assert field["matcherType"] == "label"
    if "count_over_time" not in target.expr:
        trace_ids = [line.get(field["matcherRegex"], "") for line in found[target]]
        assert any(watched.running.jaeger.trace(each) for each in trace_ids[:10] if each)


def test_a_span_leads_to_its_lines_and_figures(watched: Watched) -> None:
    jaeger = watched.running.jaeger
    spans = jaeger.spans("shop", watched.began_s, time.time())
    request = next(each for each in spans if each["attributes"].get("http.route") == "/checkout/")
    links = source("Jaeger")
    lines = links["tracesToLogsV2"]["query"].replace("$$", "$")
    # Grafana leaves a link out for which the span has no such tag.
    lines = re.sub(
        r'\$\{__span\.tags\["([^"]+)"\]\}', lambda tag: str(request["attributes"][tag[1]]), lines
    )
    assert watched.lines(lines.replace("${__span.traceId}", request["traceID"]))
    tags = ", ".join(
        f'{tag["value"]}="{request["attributes"][tag["key"]]}"'
        for tag in links["tracesToMetrics"]["tags"]
    )
    for query in links["tracesToMetrics"]["queries"]:
        expr = query["query"].replace("$$__tags", tags)
        assert watched.prometheus("query", query=expr)["result"], expr


def source(name: str) -> Any:
    """What a provisioned data source leads to."""
    file = ROOT / "deploy/grafana/provisioning/datasources/otel-django.yaml"
    [found] = [
        each for each in yaml.safe_load(file.read_text())["datasources"] if each["name"] == name
    ]
    return found["jsonData"]


def test_no_rule_fails_to_be_evaluated(watched: Watched) -> None:
    groups = watched.prometheus("rules")["groups"]
    faults = [
        rule["lastError"] for group in groups for rule in group["rules"] if "lastError" in rule
    ]
    assert len(groups) >= 5
    assert [fault for fault in faults if fault] == []


def test_everything_but_grafana_is_scraped(watched: Watched) -> None:
    deployed = yaml.safe_load((ROOT / "deploy/prometheus/scrape.yml").read_text())["scrape_configs"]
    active = watched.prometheus("targets")["activeTargets"]
    assert {each["scrapePool"] for each in active} == {
        each["job_name"] for each in deployed if each["job_name"] != "grafana"
    }
    wait_until(lambda: not watched.running.prometheus.query("up == 0"), FOUND_S, "all targets up")
