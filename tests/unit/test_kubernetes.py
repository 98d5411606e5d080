"""The manifests in ``deploy/kubernetes``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from django.urls import resolve

from otel_django.conf.variables import VARIABLES
from otel_django.web import health_views, metrics_views
from tests.server_process import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
VERSIONS = ("1.31", "1.34", "1.37")


def manifest(name: str) -> Any:
    return yaml.safe_load(Path(FOLDER, name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["deployment.yaml", "service.yaml"])
def test_kubernetes_takes_them(name: str, version: str) -> None:
    kubernetes_validate.validate(manifest(name), version, strict=True)


def container() -> Any:
    (found,) = manifest("deployment.yaml")["spec"]["template"]["spec"]["containers"]
    return found


def test_each_probe_asks_the_view_for_it() -> None:
    asked = {
        kind: resolve(container()[f"{kind}Probe"]["httpGet"]["path"]).func
        for kind in ("startup", "liveness", "readiness")
    }
    assert asked == {
        "startup": health_views.startup_check,
        "liveness": health_views.health_check_simple,
        "readiness": health_views.readiness_check,
    }


def test_a_probe_is_given_longer_than_an_answer_takes() -> None:
    for kind in ("startup", "liveness", "readiness"):
        assert container()[f"{kind}Probe"]["timeoutSeconds"] >= 1


def test_settings_are_named_as_they_are() -> None:
    known = {name for variable in VARIABLES for name in variable.names}
    assert {each["name"] for each in container()["env"]} <= known


def test_no_metric_comes_both_by_otlp_and_by_scrape() -> None:
    given = {each["name"]: each.get("value") for each in container()["env"]}
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in given
    assert given["OTEL_DJANGO_METRIC_NAMES"] == "classic"


def test_prometheus_finds_the_pods_and_may_read() -> None:
    pod = manifest("deployment.yaml")["spec"]["template"]["metadata"]["labels"]
    service, monitor = manifest("service.yaml"), manifest("servicemonitor.yaml")
    assert service["spec"]["selector"].items() <= pod.items()
    labels = service["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    (endpoint,) = monitor["spec"]["endpoints"]
    (port,) = service["spec"]["ports"]
    assert endpoint["port"] == port["name"]
    assert port["targetPort"] in {each["name"] for each in container()["ports"]}
    assert resolve(endpoint["path"]).func is metrics_views.metrics
    (token,) = (each for each in container()["env"] if each["name"] == "OTEL_DJANGO_TOKENS")
    assert endpoint["authorization"]["credentials"] == token["valueFrom"]["secretKeyRef"]
