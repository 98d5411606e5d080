"""The dashboards are what their generator writes, and every panel can be understood and asked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_django.alerts import catalogue
from otel_django.viewer.paths import PATHS
from tests.integration.servers import program
from tests.server_process import ROOT

FOLDER = ROOT / "dashboards"
FILES = sorted(FOLDER.glob("*.json"))
VARIABLES = {
    "$__rate_interval": "1m",
    "$__range": "1h",
    "$__auto": "1m",
    "$job": ".+",
    "$service": ".+",
    "$objective": "99.9",
}


def panels(file: Path) -> Iterator[dict[str, Any]]:
    board = json.loads(file.read_text())
    for panel in board["panels"]:
        if panel["type"] != "row":
            yield panel


def expressions(kind: str) -> Iterator[tuple[str, str]]:
    """Each query of a kind of data source, with where it stands."""
    for file in FILES:
        for panel in panels(file):
            for target in panel["targets"]:
                if target["datasource"]["type"] == kind:
                    expr = target["expr"]
                    for name, value in VARIABLES.items():
                        expr = expr.replace(name, value)
                    yield f"{file.stem}: {panel['title']}", expr


def test_they_are_what_their_generator_writes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dashboards.generator", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(FILES) == 11


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_panel_says_what_it_shows_and_asks_by_variable(file: Path) -> None:
    board = json.loads(file.read_text())
    assert board["uid"] == f"otel-django-{file.stem}"
    assert board["title"].startswith("Django: ")
    assert {"prometheus", "loki", "job", "site"} <= {
        variable["name"] for variable in board["templating"]["list"]
    }
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    found = list(panels(file))
    assert found
    for panel in found:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["targets"], panel["title"]
        assert panel["datasource"]["uid"] in ("${prometheus}", "${loki}")
        if panel["type"] in ("timeseries", "stat"):
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


def test_panels_do_not_overlap() -> None:
    for file in FILES:
        taken: dict[tuple[int, int], str] = {}
        for panel in json.loads(file.read_text())["panels"]:
            place = panel["gridPos"]
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    assert x < 24
                    assert taken.setdefault((x, y), panel["title"]) == panel["title"], file.stem


def test_links_lead_to_pages_and_rules_there_are() -> None:
    rules = {rule.name for rule in catalogue.rules()} | {"TargetDown"}
    pages = {path for path in PATHS.values() if "<" not in path} | {"status/"}
    led: set[str] = set()
    for file in FILES:
        for panel in panels(file):
            for link in panel.get("links") or ():
                path = link["url"].partition("${site}/monitoring/")[2]
                rule = re.fullmatch(r"alerts/rules/(\w+)/", path)
                if rule:
                    assert rule[1] in rules, link["url"]
                else:
                    assert path in pages, link["url"]
                led.add(path)
    assert len(led) > 20


def test_prometheus_understands_each_query(tmp_path: Path) -> None:
    asked = list(expressions("prometheus"))
    assert len(asked) > 120
    rules = [{"record": f"panel:{i}", "expr": expr} for i, (_, expr) in enumerate(asked)]
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(
        [program("promtool"), "check", "rules", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_loki_is_asked_for_a_service_without_its_namespace() -> None:
    for file in FILES:
        listed = json.loads(file.read_text())["templating"]["list"]
        [variable] = [each for each in listed if each["name"] == "service"]
        found = [re.fullmatch(variable["regex"].strip("/"), job) for job in ("shop", "acme/shop")]
        assert [match and match[1] for match in found] == ["shop", "shop"]
    for where, expr in expressions("loki"):
        assert expr.count('{service_name=~".+"}') == 1, where
