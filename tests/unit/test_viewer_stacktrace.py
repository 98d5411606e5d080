"""Stack traces in parts."""

from __future__ import annotations

import json
import traceback

import pytest

from otel_django.viewer import stacktrace
from otel_django.viewer.stacktrace import Part


def test_frames_stand_apart_from_the_words_between_them() -> None:
    assert stacktrace.parts(
        "Traceback (most recent call last):\n"
        '  File "django/core/handlers/base.py", line 199, in _get_response\n'
        "    response = view(request)\n"
        "               ~~~~^^^^^^^^^\n"
        '  File "orders/views.py", line 44, in checkout\n'
        "    if ready:\n"
        "        pay()\n"
        "orders.PaymentRefused: no\n"
        "more of it\n"
    ) == (
        Part("Traceback (most recent call last):"),
        Part(
            "response = view(request)\n           ~~~~^^^^^^^^^",
            "django/core/handlers/base.py",
            199,
            "_get_response",
            library=True,
        ),
        Part("if ready:\n    pay()", "orders/views.py", 44, "checkout"),
        Part("orders.PaymentRefused: no\nmore of it"),
    )


def test_what_python_itself_prints_is_understood() -> None:
    try:
        try:
            json.loads("{")
        except ValueError as error:
            raise LookupError("none") from error
    except LookupError:
        found = stacktrace.parts(traceback.format_exc())
    frames = [part for part in found if part.path]
    assert {part.function for part in frames} >= {"loads", "raw_decode"}
    own = {part.function for part in frames if not part.library}
    assert own == {"test_what_python_itself_prints_is_understood"}
    assert "The above exception was the direct cause" in "".join(
        part.text for part in found if not part.path
    )


@pytest.mark.parametrize(
    "text", ["at Object.<anonymous> (/app/index.js:1:7)\n  at run (x.js:2:1)", "<b>\n\n&", ""]
)
def test_what_is_no_trace_of_python_stays_as_it_is(text: str) -> None:
    assert "\n".join(part.text for part in stacktrace.parts(text)) == text


def test_of_a_very_long_one_the_end_is_shown() -> None:
    found = stacktrace.parts("x" * 1_000_000 + "\nValueError: no")
    assert len(found[0].text) <= stacktrace.MAX_CHARACTERS
    assert found[-1].text.endswith("ValueError: no")
