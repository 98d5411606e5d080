"""docs/how-to/send-to-a-vendor.md, beside the files of collector-config/vendors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
VENDORS = ROOT / "collector-config" / "vendors"
ROWS = [
    line
    for line in (ROOT / "docs" / "how-to" / "send-to-a-vendor.md").read_text("utf-8").splitlines()
    if line.startswith("| ")
]
DIRECT = {
    "Datadog": "datadog",
    "Dynatrace": "dynatrace",
    "Elastic": "elastic",
    "Honeycomb": "honeycomb",
    "New Relic": "newrelic",
    "Sentry": "sentry",
}


def row_of(first: str) -> str:
    [found] = [row for row in ROWS if row.startswith(f"| {first} |")]
    return found


def test_each_file_stands_in_the_table() -> None:
    named = set(re.findall(r"`([\w-]+\.yaml)`", " ".join(row.split("|")[1] for row in ROWS)))
    assert named == {path.name for path in VENDORS.iterdir()}


@pytest.mark.parametrize("path", sorted(VENDORS.iterdir()), ids=lambda path: path.name)
def test_the_table_has_the_variables_that_a_file_needs(path: Path) -> None:
    rows = [row for row in ROWS if f"`{path.name}`" in row]
    named = set(re.findall(r"`([A-Z]\w+)`", rows[0]))
    text = path.read_text("utf-8")
    assert named <= set(re.findall(r"\$\{env:(\w+)", text))
    if "as they say" not in rows[0]:
        assert set(re.findall(r"\$\{env:(\w+)\}", text)) <= named | {"DD_SITE"}


@pytest.mark.parametrize("vendor", DIRECT)
def test_a_site_that_sends_itself_is_told_of_the_headers_that_the_collector_sends(
    vendor: str,
) -> None:
    config = yaml.safe_load((VENDORS / f"{DIRECT[vendor]}.yaml").read_text("utf-8"))
    exporter: dict[str, Any] = config["exporters"][f"otlp_http/{DIRECT[vendor]}"]
    assert [name for name in exporter["headers"] if f"{name}=" not in row_of(vendor)] == []
