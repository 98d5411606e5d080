"""While one thread imports Celery, others log and observe."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from otel_django.instrumentation import log_context
from otel_django.observers import celery_app


@pytest.fixture(autouse=True)
def _begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its modules are there, and hold nothing yet."""
    for name in ("celery._state", "billiard.process"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))


def test_a_record_has_a_place() -> None:
    assert log_context.place(None).in_line == {}


def test_there_is_no_app_yet() -> None:
    assert celery_app.current() is None
