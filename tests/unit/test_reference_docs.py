"""The generated reference is what the code says, and says something about everything."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from docs import generate_reference
from otel_django import names

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("page", generate_reference.PAGES)
def test_the_committed_page_is_the_generated_one(page: str) -> None:
    committed = (REFERENCE / page).read_text(encoding="utf-8")
    assert committed == generate_reference.PAGES[page](), "run `make docs`"


def test_every_telemetry_name_is_explained() -> None:
    """Explanations stand at the end of names.py."""
    explained = {*names.SPAN_EVENTS, *names.LOG_EVENTS}.union(*names.ATTRIBUTES.values())
    constants = {
        value
        for name, value in inspect.getmembers(names, lambda value: isinstance(value, str))
        if name.isupper() and not name.startswith("_") and not name.endswith("_SPAN")
    }
    assert constants - explained == {names.SCOPE}


def test_every_span_refers_to_attributes_that_are_explained() -> None:
    assert {span.attributes for span in names.SPANS} <= {"", *names.ATTRIBUTES}
