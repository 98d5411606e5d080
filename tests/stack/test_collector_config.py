"""Every configuration of the Collector is one that the real program takes."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.stack.programs import path_of
from tests.stack.stack_kit import COLLECTOR_CONFIG

VENDORS = sorted(
    file.name
    for file in (COLLECTOR_CONFIG / "vendors").glob("*.yaml")
    if "Not validated" not in file.read_text()
)
COMBINATIONS = [
    ("collector.yaml",),
    ("collector.yaml", "network.yaml"),
    ("collector.yaml", "network.yaml", "tls.yaml"),
    ("collector.yaml", "docker.yaml"),
    ("collector.yaml", "agent.yaml"),
    ("collector.yaml", "agent.yaml", "agent-dns.yaml"),
    ("collector.yaml", "agent.yaml", "docker.yaml"),
    ("collector.yaml", "agent.yaml", "network.yaml"),
    ("collector.yaml", "gateway.yaml", "network.yaml"),
    ("collector.yaml", "gateway.yaml", "network.yaml", "tls.yaml"),
    *(("collector.yaml", f"vendors/{vendor}") for vendor in VENDORS),
]
# What has no default, because no guess would be right.
REQUIRED = {
    "COLLECTOR_GATEWAY_NAME": "gateways.example.internal",
    "COLLECTOR_TOKEN": "a-token",
    "COLLECTOR_TLS_CERT": "/etc/tls/tls.crt",
    "COLLECTOR_TLS_KEY": "/etc/tls/tls.key",
    "DD_API_KEY": "a-key",
    "DYNATRACE_API_TOKEN": "a-token",
    "DYNATRACE_OTLP_ENDPOINT": "https://abc12345.live.dynatrace.com/api/v2/otlp",
    "ELASTIC_API_KEY": "a-key",
    "ELASTIC_OTLP_ENDPOINT": "https://elastic.example.org",
    "GRAFANA_CLOUD_API_KEY": "a-key",
    "GRAFANA_CLOUD_INSTANCE_ID": "123456",
    "GRAFANA_CLOUD_OTLP_ENDPOINT": "https://otlp-gateway.example.org/otlp",
    "HONEYCOMB_API_KEY": "a-key",
    "NEW_RELIC_LICENSE_KEY": "a-key",
    "SENTRY_OTLP_ENDPOINT": "https://o1.ingest.sentry.io/api/2/integration/otlp",
    "SENTRY_PUBLIC_KEY": "a-key",
    "SPLUNK_HEC_ENDPOINT": "https://splunk.example.org:8088/services/collector",
    "SPLUNK_HEC_TOKEN": "a-token",
}


def validate(files: tuple[str, ...], environment: dict[str, str], folder: Path) -> str:
    """What ``otelcol validate`` complains of; nothing when all is well."""
    done = subprocess.run(
        [str(path_of("otelcol")), "validate"]
        + [f"--config={COLLECTOR_CONFIG / file}" for file in files],
        env={"PATH": os.environ["PATH"], "COLLECTOR_DIR": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("files", COMBINATIONS, ids=" ".join)
def test_the_collector_takes_it(files: tuple[str, ...], tmp_path: Path) -> None:
    assert validate(files, REQUIRED, tmp_path) == ""


def test_without_a_token_nothing_listens_on_the_network(tmp_path: Path) -> None:
    assert "token" in validate(("collector.yaml", "network.yaml"), {}, tmp_path)


def test_each_variable_without_a_default_is_one_that_a_vendor_or_the_network_wants() -> None:
    texts = [(COLLECTOR_CONFIG / file).read_text() for files in COMBINATIONS for file in files]
    wanted = {name for text in texts for name in re.findall(r"\$\{env:(\w+)\}", text)}

    assert wanted == set(REQUIRED)


def test_every_pipeline_begins_with_the_memory_limit_and_none_holds_back_a_batch() -> None:
    texts = {file: file.read_text() for file in COLLECTOR_CONFIG.rglob("*.yaml")}
    begun = [first for text in texts.values() for first in re.findall(r"processors: \[(\w+)", text)]

    assert set(begun) == {"memory_limiter"}
    assert not [file for file, text in texts.items() if re.search(r"^  batch:", text, re.MULTILINE)]
