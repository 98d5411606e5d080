"""Spans of management commands, called in this process."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import BaseCommand
from opentelemetry import trace

from otel_django import names
from otel_django.testing import Captured, capture


def test_a_command_of_the_project_has_a_span_of_its_own_trace() -> None:
    with capture() as captured:
        call_command("work")
    span = captured.one("command work")
    assert (span.kind, span.status, span.parent_span_id) == ("INTERNAL", "UNSET", None)
    assert span.attributes == {
        "django.command.name": "work",
        "django.app": "test_site",
        "process.exit.code": 0,
    }
    assert not trace.get_current_span().get_span_context().is_valid


@pytest.mark.parametrize(
    ("ending", "code", "error"),
    [
        ("refuse", 3, "django.core.management.base.CommandError"),
        ("fail", 1, "ValueError"),
        ("interrupt", 130, "KeyboardInterrupt"),
        ("exit2", 2, "SystemExit"),
        ("exit0", 0, None),
    ],
)
def test_the_exit_code_is_told_and_an_error_recorded_once_without_secrets(
    ending: str, code: int, error: str | None
) -> None:
    with capture() as captured, contextlib.suppress(BaseException):
        call_command("work", ending)
    span = captured.one("command work")
    assert span.attributes[names.PROCESS_EXIT_CODE] == code
    assert span.attributes.get(names.ERROR_TYPE) == error
    assert span.status == ("ERROR" if error else "UNSET")
    assert [event.attributes[names.EXCEPTION_TYPE] for event in span.events] == (
        [error] if error else []
    )
    assert "Zx9MARK" not in str([event.attributes for event in span.events])


def test_the_exception_reaches_the_caller_as_it_was() -> None:
    with capture(), pytest.raises(ValueError, match="Zx9MARK"):
        call_command("work", "fail")


@pytest.mark.usefixtures("database")
def test_queries_are_below_it_and_repeated_ones_are_found() -> None:
    with capture() as captured:
        call_command("work", queries=6)
    span = captured.one("command work")
    assert span.attributes[names.N_PLUS_ONE_COUNT] == 6
    (event,) = span.events
    assert event.attributes[names.CODE_FILE_PATH] == "tests/site/management/commands/work.py"
    assert {query.parent_span_id for query in captured.queries} == {span.span_id}


def test_a_command_called_by_another_one_is_its_child_if_it_counts_too() -> None:
    with capture() as captured:
        call_command("outer")
    assert tree(captured) == ["command outer", "  command work"]
    with capture(commands=("all",)) as captured:
        call_command("outer")
    assert tree(captured) == ["command outer", "  command work", "  command check"]


def test_a_command_called_in_a_request_is_its_child(client: Any) -> None:
    with capture() as captured:
        client.get("/command/")
    assert tree(captured) == ["GET /command/", "  command work"]


@pytest.fixture
def client() -> Any:
    from django.test import Client

    return Client()


def tree(captured: Captured) -> list[str]:
    return [line.rpartition("  ")[0] for root in captured.roots for line in root.lines()]


@pytest.mark.parametrize(
    ("commands", "called"),
    [
        (("own",), {"work"}),
        (("own", "-work"), set[str]()),
        (("own", "check"), {"work", "check"}),
        (("all",), {"work", "check"}),
        (("all", "-check"), {"work"}),
        (("none",), set[str]()),
        (("none", "check"), {"check"}),
    ],
)
def test_which_commands_have_spans(commands: tuple[str, ...], called: set[str]) -> None:
    with capture(commands=commands) as captured:
        call_command("work")
        call_command("check", verbosity=0)
        call_command("otel", "config", stdout=io.StringIO())
    assert {span.attributes[names.DJANGO_COMMAND_NAME] for span in captured.find()} == called


def test_a_command_that_is_only_an_object_is_judged_by_its_module() -> None:
    class Ad_hoc(BaseCommand):  # noqa: N801 - as people write them
        def handle(self, *args: Any, **options: Any) -> None:
            pass

    with capture() as captured:
        call_command(Ad_hoc())
    assert [span.name for span in captured.spans] == ["command test_commands"]


def test_no_span_where_instrumentation_is_suppressed_or_disabled() -> None:
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    with capture() as captured, suppress_instrumentation():
        call_command("work")
    assert captured.spans == []


def test_nothing_is_left_of_it_afterwards() -> None:
    before = BaseCommand.execute
    with capture():
        assert BaseCommand.execute is not before
    assert BaseCommand.execute is before


def test_commands_are_measured_by_name_and_error() -> None:
    with capture() as captured:
        call_command("work")
        call_command("work")
        with contextlib.suppress(BaseException):
            call_command("work", "fail")
    assert captured.metric("django.command.duration", django__command__name="work").count == 3
    assert captured.metric("django.command.duration", error__type="ValueError").count == 1
