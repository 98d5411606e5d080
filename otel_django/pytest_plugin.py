"""Fixtures for pytest, offered by an entry point; nothing is imported until one is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from otel_django.testing import Captured


@pytest.fixture
def captured_telemetry() -> Iterator[Captured]:
    """What the test records, as ``otel_django.testing.capture()`` gives it."""
    from otel_django.testing import capture

    with capture() as captured:
        yield captured
