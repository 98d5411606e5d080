"""The parts of a record: fields, lines, levels."""

from __future__ import annotations

import json
import logging
import os
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_django.log_record import INFO, WARN
from otel_django.logs.console import Console
from otel_django.logs.fields import MAX_ITEMS, MAX_TEXT, Fields
from otel_django.logs.levels import FILE_NAME, Changed, Overrides, levels, set_level
from otel_django.logs.line import json_line, stamp
from otel_django.logs.severity import level_of, severity_of
from otel_django.tracing.exceptions import ExceptionFormatter
from otel_django.tracing.redaction import Redactor

fields = Fields(Redactor(), ExceptionFormatter(Redactor()))


class Unspeakable:
    def __str__(self) -> str:
        raise AssertionError("asked for its text")

    __repr__ = __str__


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (date(2026, 11, 21), "2026-11-21"),
        (Decimal("1.50"), "1.50"),
        (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (b"abc", "[3 bytes]"),
        ((1, "a", None), [1, "a", None]),
        ({"a": {"b": [Unspeakable()]}}, {"a": {"b": ["<Unspeakable>"]}}),
        (Unspeakable(), "<Unspeakable>"),
        ({"a": {"b": {"c": {"d": {"e": 1}}}}}, {"a": {"b": {"c": {"d": "<dict>"}}}}),
        (ValueError("token=abc"), "token=[redacted]"),
    ],
)
def test_a_field_is_made_plain(value: object, expected: object) -> None:
    assert fields.value("value", value) == expected


def test_what_is_huge_is_cut() -> None:
    assert len(fields.value("text", "x" * 10**6)) == MAX_TEXT
    assert len(fields.value("items", list(range(10**6)))) == MAX_ITEMS
    assert len(fields.message("%s", ("x" * 10**6,))) == MAX_TEXT


def test_values_under_names_that_say_secret_are_masked_at_any_depth() -> None:
    given = {"password": 5, "a": [{"card_number": "4242"}], "apiKey": ["x"]}
    assert fields.all(given) == {
        "password": "[redacted]",
        "a": [{"card_number": "[redacted]"}],
        "apiKey": "[redacted]",
    }


def test_arguments_by_name_are_masked_too() -> None:
    assert fields.message("%(user)s: %(password)s", {"user": "bob", "password": "x"}) == (
        "bob: [redacted]"
    )


@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=6,
        ),
    )
)
def test_every_record_is_one_line_of_json(given_fields: dict[str, Any]) -> None:
    line = json_line({"event": "x", **fields.all(given_fields)})
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line)


def test_half_a_surrogate_pair_and_huge_numbers_are_written() -> None:
    assert json.loads(json_line({"a": "\ud800", "b": 1 << 70})) == {"a": "\ud800", "b": 1 << 70}


def test_a_stamp_is_utc_with_microseconds() -> None:
    assert stamp(1_795_000_000_123_456_789) == "2026-11-18T11:06:40.123456Z"
    assert stamp(1_795_000_000_000_000_000) == "2026-11-18T11:06:40.000000Z"
    assert stamp(1_795_000_001_000_001_000) == "2026-11-18T11:06:41.000001Z"


def test_a_line_for_people_can_not_move_the_cursor() -> None:
    line = {
        "timestamp": stamp(0),
        "level": "error",
        "event": "a\x1b[2J\nb",
        "logger": "x",
        "k": "\x07",
        "exception.stacktrace": "Traceback:\n  \x1b[1mline",
    }
    drawn = Console(color=False).line(line).decode()
    assert "\x1b" not in drawn
    assert drawn.count("\n") == 3


def test_a_finished_request_is_a_short_line_for_people() -> None:
    line = {
        "timestamp": stamp(0),
        "level": "error",
        "event": "request.finished",
        "logger": "otel_django.events",
        "trace_id": "5ecd719d863887061f00dbd7a927b914",
        "http.route": "/orders/<int:pk>/",
        "http.request.method": "GET",
        "http.response.status_code": 500,
        "url.path": "/orders/7/",
        "client.address": "192.0.2.7",
        "duration": 0.048069,
        "django.request.db.queries": 3,
        "django.request.db.duration": 0.0021,
        "http.response.body.size": 812,
        "error.type": "ValueError",
    }
    assert Console(color=False).line(line).decode().split("  ", 1)[1] == (
        "  otel_django.events  GET /orders/7/ 500  48 ms  3 queries (2.1 ms)"
        "  trace_id=5ecd719d863887061f00dbd7a927b914 error.type=ValueError\n"
    )


def test_levels_and_severities_fit() -> None:
    assert [severity_of(level) for level in (5, 10, 15, 20, 25, 30, 40, 50, 60)] == [
        *(1, 5, 5, 9, 9, 13, 17, 21, 21)
    ]
    assert level_of(WARN) == logging.WARNING
    assert level_of(INFO + 3) == logging.INFO


def test_a_changed_level_is_put_into_force_and_taken_back(tmp_path: Path) -> None:
    logger = logging.getLogger("levels.here")
    overrides = Overrides(tmp_path / "run")
    set_level(tmp_path / "run", "levels.here", "DEBUG")
    assert levels(tmp_path / "run") == {"levels.here": Changed("debug")}
    overrides.look()
    assert logger.level == logging.DEBUG
    below = logging.LogRecord("levels.here.below", logging.DEBUG, "", 1, "", (), None)
    other = logging.LogRecord("levels", logging.DEBUG, "", 1, "", (), None)
    assert overrides.want(below)
    assert not overrides.want(other)
    set_level(tmp_path / "run", "levels.here", None)
    overrides.look()
    assert logger.level == logging.NOTSET
    assert not overrides.want(below)


def test_a_level_that_is_none_is_refused_and_a_broken_file_is_no_level(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'loud' is no level: use one of debug, info"):
        set_level(tmp_path, "", "loud")
    (tmp_path / FILE_NAME).write_text("[")
    assert levels(tmp_path) == {}
    (tmp_path / FILE_NAME).write_text('{"a": 3, "b": "info"}')
    assert levels(tmp_path) == {"b": Changed("info")}
    (tmp_path / FILE_NAME).write_text('{"a": {"until": 9e9}, "b": {"level": "info", "until": "x"}}')
    assert levels(tmp_path) == {}


def test_a_level_goes_back_by_itself_when_its_time_is_over(tmp_path: Path) -> None:
    logger = logging.getLogger("levels.timed")
    overrides = Overrides(tmp_path, lambda: now_s)
    set_level(tmp_path, "levels.timed", "debug", for_s=60)
    until_s = levels(tmp_path)["levels.timed"].until_s
    assert until_s is not None
    now_s = until_s - 0.1
    overrides.look()
    assert logger.level == logging.DEBUG
    now_s = until_s
    overrides.look()
    assert logger.level == logging.NOTSET
    assert levels(tmp_path, now_s) == {}


def test_a_step_tells_more_or_less_and_back_again_nothing_is_changed(tmp_path: Path) -> None:
    overrides = Overrides(tmp_path)
    logging.getLogger("steps").setLevel(logging.WARNING)
    below = logging.getLogger("steps.below")

    def steps(more: bool) -> dict[str, str]:
        return overrides.step(["steps"], more=more, threshold=logging.INFO)

    assert steps(True) == {"steps": "info"}
    assert below.isEnabledFor(logging.INFO)
    assert steps(True) == steps(True) == {"steps": "debug"}
    assert steps(False) == {"steps": "info"}
    assert levels(tmp_path) == {"steps": Changed("info")}
    assert steps(False) == {"steps": "warning"}
    assert levels(tmp_path) == {}
    assert steps(False) == {"steps": "error"}
    overrides.undo()
    assert logging.getLogger("steps").level == logging.WARNING


def test_a_signal_to_several_processes_is_one_step(tmp_path: Path) -> None:
    first, second = Overrides(tmp_path), Overrides(tmp_path)
    logging.getLogger("several").setLevel(logging.ERROR)
    try:
        for overrides in (first, second):
            overrides.step(["several"], more=True, threshold=logging.INFO)
            overrides.look()
        assert levels(tmp_path) == {"several": Changed("warning")}
        first.step(["several"], more=True, threshold=logging.INFO)
        assert levels(tmp_path) == {"several": Changed("info")}
        os.utime(tmp_path / FILE_NAME, (1, 1))  # the second hasn't looked since
        second.step(["several"], more=True, threshold=logging.INFO)
        assert levels(tmp_path) == {"several": Changed("debug")}
    finally:
        second.undo()
        first.undo()


def test_a_step_counts_from_what_is_told_and_from_what_is_changed_above(tmp_path: Path) -> None:
    overrides = Overrides(tmp_path)
    logging.getLogger("talks").setLevel(logging.DEBUG)  # of which nothing below info is taken
    try:
        assert overrides.step(["talks"], more=True, threshold=logging.INFO) == {"talks": "debug"}
        record = logging.LogRecord("talks", logging.DEBUG, "", 1, "", (), None)
        assert overrides.want(record)
        set_level(tmp_path, "talks", None)
        set_level(tmp_path, "", "debug")
        os.utime(tmp_path / FILE_NAME, (1, 1))  # else it might be the same signal's, elsewhere
        overrides.look()
        assert overrides.step(["talks"], more=False, threshold=logging.INFO) == {"talks": "info"}
        assert not overrides.want(record)
    finally:
        overrides.undo()
