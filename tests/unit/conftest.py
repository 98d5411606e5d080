"""Fixtures of the unit tests: of delivery, the store and health checks."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

import pytest

from tests.health_kit import hanging, site_checks
from tests.store_spans import Losses, store_path
from tests.stub_collector import StubCollector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.health_kit import Add


@pytest.fixture(scope="module")
def module_collector() -> Iterator[StubCollector]:
    with StubCollector(grpc=True) as collector:
        yield collector


@pytest.fixture
def collector(module_collector: StubCollector) -> Iterator[StubCollector]:
    """A receiver that the tests of a module share; well behaved at the start of each."""
    yield module_collector
    module_collector.set_mode("ok")


@pytest.fixture
def no_meter_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry's API takes the first provider for good: what this test sets goes with it."""
    from opentelemetry.metrics import _internal as api_state
    from opentelemetry.util._once import Once

    monkeypatch.setattr(api_state, "_METER_PROVIDER", None)
    monkeypatch.setattr(api_state, "_METER_PROVIDER_SET_ONCE", Once())


@pytest.fixture(params=["http/protobuf", "grpc"])
def protocol(request: pytest.FixtureRequest) -> Literal["http/protobuf", "grpc"]:
    """Both ways to send."""
    return "grpc" if request.param == "grpc" else "http/protobuf"


@pytest.fixture(autouse=True)
def _nobody_has_asked() -> None:
    """All tests of pages ask with the same token, quicker than somebody reads."""
    page = sys.modules.get("otel_django.viewer.page")
    if page is not None:
        page._rate._free_s.clear()


@pytest.fixture
def spool_dir(tmp_path: Path) -> Path:
    """Where a sender keeps what it can't send; not made yet."""
    return tmp_path / "spool"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store is kept; not made yet."""
    return store_path(tmp_path)


@pytest.fixture
def losses() -> Losses:
    """What a store's writers have lost."""
    return Losses()


@pytest.fixture
def add() -> Iterator[Add]:
    """Adds checks of the site."""
    with site_checks() as added:
        yield added


@pytest.fixture
def hang() -> Iterator[Callable[[], None]]:
    """A check that isn't back before the test is over."""
    with hanging() as check:
        yield check
