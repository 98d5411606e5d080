"""``query.slow``, ``query.repeated`` and ``command.finished``."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client

from otel_django import names
from otel_django.testing import Captured, CapturedLog, capture
from tests.site.models import Author, Book


def told(captured: Captured, event: str) -> list[CapturedLog]:
    return [log for log in captured.logs if log.event == event]


@pytest.mark.usefixtures("database")
class TestQueries:
    def test_a_slow_query_tells_its_statement_and_the_line_that_runs_it(self) -> None:
        with capture(slow_query_s=0.0) as captured:
            Author.objects.filter(name="Le Guin").exists()
        (log,) = told(captured, names.QUERY_SLOW)
        (span,) = [span for span in captured.spans if span.name.startswith("SELECT")]
        assert log.level == "warning"
        assert (log.trace_id, log.span_id) == (span.trace_id, span.span_id)
        assert "%s" in log.attributes[names.DB_QUERY_TEXT]
        assert "Le Guin" not in str(log.attributes)
        assert log.attributes[names.CODE_FILE_PATH].endswith("test_query_events.py")
        assert 0 < log.attributes[names.DURATION] <= span.duration_s

    def test_an_unrecorded_slow_query_says_the_same(self) -> None:
        with capture(slow_query_s=0.0, traces_sampler="always_off") as captured:
            Client().get("/queries/2/")
        told_here = told(captured, names.QUERY_SLOW)
        assert len(told_here) == 2
        assert {log.attributes[names.CODE_FILE_PATH] for log in told_here} == {
            "tests/site/views.py"
        }

    def test_a_repeated_statement_is_told_once_with_its_count(self) -> None:
        author = Author.objects.create(name="Le Guin")
        for title in "abcdef":
            Book.objects.create(title=title, author=author)
        with capture(n_plus_one=5) as captured:
            Client().get("/queries/6/")
        (log,) = told(captured, names.QUERY_REPEATED)
        (request,) = [span for span in captured.spans if span.kind == "SERVER"]
        assert (log.level, log.span_id) == ("warning", request.span_id)
        assert log.attributes[names.N_PLUS_ONE_COUNT] == 6
        assert log.attributes[names.HTTP_ROUTE] == "/queries/<int:count>/"
        assert names.DJANGO_REQUEST_ID in log.attributes

    def test_a_quick_query_is_not_told(self) -> None:
        with capture() as captured, connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        assert told(captured, names.QUERY_SLOW) == []


def test_a_command_is_told_with_its_exit_code() -> None:
    with capture() as captured:
        call_command("work")
    (log,) = told(captured, names.COMMAND_FINISHED)
    assert log.level == "info"
    assert log.attributes[names.PROCESS_EXIT_CODE] == 0
    assert log.attributes[names.DJANGO_COMMAND_NAME] == "work"


def test_a_command_that_fails_is_an_error_and_tells_its_exception() -> None:
    with capture() as captured, pytest.raises(ValueError, match="password"):
        call_command("work", "fail")
    (log,) = told(captured, names.COMMAND_FINISHED)
    assert log.level == "error"
    assert log.attributes[names.EXCEPTION_TYPE] == "ValueError"
    assert "Zx9MARKq7Zx9" not in str(log.attributes)
