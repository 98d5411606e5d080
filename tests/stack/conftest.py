"""One stack for all tests: who kills one of its programs starts it again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.shop_kit import Shop, shop
from tests.stack.stack_kit import Stack, exporting_to, stack


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Collector, Jaeger, Loki and Prometheus, all ready."""
    with stack(tmp_path_factory.mktemp("stack")) as started:
        yield started


@pytest.fixture(scope="session")
def stack_shop(programs: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The shop under gunicorn with a Celery worker, which exports to the stack."""
    folder = tmp_path_factory.mktemp("shop")
    with shop(folder, "--workers", "2", more_env=exporting_to(programs.collector)) as started:
        yield started
