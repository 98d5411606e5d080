"""The pages where Jaeger, Loki and Prometheus are read, and where these can't be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import override_settings

from otel_django.viewer.paths import PATHS, path_of
from tests.endpoints_kit import by_token, ours
from tests.misbehaving import closed_port
from tests.viewer_kit import Telemetry, shown, text

ARGUMENTS = {
    "trace": ("1" * 32,),
    "error": ("a" * 16,),
    "alert": ("a" * 16,),
    "part": ("site",),
    "rule": ("HighErrorRate",),
}
PAGES = [name for name in PATHS if name != "static"]


@pytest.fixture
def away() -> str:
    port = closed_port()
    names = ("jaeger", "loki", "prometheus")
    return ",".join(f"{name}=http://127.0.0.1:{port}" for name in names)


@pytest.fixture
def site(away: str, database: None) -> Iterator[None]:
    with (
        ours(TOKENS=["sesame"], STORE="off", READ_FROM=away),
        override_settings(ROOT_URLCONF="otel_django.viewer.urls"),
    ):
        yield


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_that_its_backend_is_away(site: None, name: str) -> None:
    response = by_token().get(f"/{path_of(name, *ARGUMENTS.get(name, ()))}")
    assert response.status_code in (200, 404, 503), text(response.content.decode())
    if name not in ("dashboard", "part", "health", "alerts", "alert", "silences", "rules", "rule"):
        assert "can't be read" in text(response.content.decode())


def test_what_is_not_named_is_read_from_the_store(tmp_path: Path, database: None) -> None:
    telemetry = Telemetry(tmp_path)
    telemetry.spans.request("/products/")
    telemetry.keep()
    loki = f"loki=http://127.0.0.1:{closed_port()}"
    with shown(telemetry), ours(TOKENS=["sesame"], STORE=str(telemetry.path), READ_FROM=loki):
        assert "/products/" in text(by_token().get("/traces/").content.decode())
        assert "Loki at http://127.0.0.1" in text(by_token().get("/logs/").content.decode())
