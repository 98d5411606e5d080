"""Repeated statements: counted per request, told on its span, with the right line of code."""

from __future__ import annotations

import asyncio
import contextvars
import sysconfig
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, connections, transaction
from django.template.loader import render_to_string

from otel_django.instrumentation.caller import CallerFinder
from otel_django.instrumentation.n_plus_one import MAX_WALKS
from otel_django.testing import capture
from tests.site.models import Author, Book

BOOKS = 8


@pytest.fixture(autouse=True)
def books(database: None) -> None:
    authors = Author.objects.bulk_create([Author(name=f"a{number}") for number in range(BOOKS)])
    Book.objects.bulk_create([Book(title="t", author=author) for author in authors])


def line_of(marker: str) -> int:
    lines = Path(__file__).read_text().splitlines()
    return 1 + next(number for number, line in enumerate(lines) if line.endswith(f"# {marker}"))


def run(code: Callable[[], Any], **settings: Any) -> list[dict[str, Any]]:
    """The events that a request which runs ``code`` tells, as attributes."""
    from opentelemetry import trace

    tracer = trace.get_tracer("site")
    with capture(**settings) as captured, tracer.start_as_current_span("inner"):
        code()
    (root,) = captured._spans[-1:]
    assert root._name == "capture"
    return [dict(event.attributes or {}) for event in root.events]


def told_line(events: list[dict[str, Any]]) -> int:
    (event,) = events
    assert event["code.file.path"] == "tests/unit/test_n_plus_one.py"
    line: int = event["code.line.number"]
    return line


def in_a_loop() -> None:
    for book in Book.objects.all():
        str(book.author.name)  # loop


def in_a_comprehension() -> list[str]:
    return [
        book.author.name  # comprehension
        for book in Book.objects.all()
    ]


def in_a_generator() -> list[str]:
    names = (
        book.author.name  # generator
        for book in Book.objects.all()
    )
    return sorted(names)


def by_a_helper() -> None:
    def author_name(book: Book) -> str:
        return book.author.name  # helper

    list(map(author_name, Book.objects.all()))


def while_counting() -> None:
    for author in Author.objects.all():
        author.book_set.count()  # count


def with_raw_sql() -> None:
    for number in range(BOOKS):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT title FROM test_site_book WHERE id = {number}")  # raw
            cursor.fetchall()


def in_lists_of_many_lengths() -> None:
    for number in range(1, BOOKS):
        list(Book.objects.filter(id__in=range(number)))  # in-list


def one_insert_each() -> None:
    for number in range(BOOKS):
        Author.objects.create(name=str(number))  # insert


@pytest.mark.parametrize(
    ("code", "marker"),
    [
        (in_a_loop, "loop"),
        (in_a_comprehension, "comprehension"),
        (in_a_generator, "generator"),
        (by_a_helper, "helper"),
        (while_counting, "count"),
        (with_raw_sql, "raw"),
        (in_lists_of_many_lengths, "in-list"),
        (one_insert_each, "insert"),
    ],
)
def test_the_line_that_repeats_a_query_is_told(code: Callable[[], Any], marker: str) -> None:
    assert told_line(run(code)) == line_of(marker)


def test_the_event_tells_statement_count_and_time() -> None:
    (event,) = run(in_a_loop)
    assert event["db.query.summary"] == "SELECT test_site_author"
    assert event["db.query.text"].endswith('WHERE "test_site_author"."id" = ? LIMIT ?')
    assert event["django.db.n_plus_one.count"] == BOOKS
    assert 0 < event["django.db.n_plus_one.duration"] < 1
    assert event["code.function.name"] in ("in_a_loop", "tests.unit.test_n_plus_one.in_a_loop")


def test_the_requests_span_tells_the_sum() -> None:
    with capture() as captured:
        in_a_loop()
        while_counting()
    root = captured._spans[-1]
    assert root._attributes["django.db.n_plus_one.count"] == 2 * BOOKS
    assert root._attributes["django.db.n_plus_one.duration"] > 0
    assert len(root.events) == 2


def test_repeated_queries_name_the_line_too() -> None:
    with capture() as captured:
        in_a_loop()
    lines = [span.attributes.get("code.line.number") for span in captured.queries[1:]]
    assert lines == [None] * 4 + [line_of("loop")] * (BOOKS - 4)


def test_of_several_lines_the_busiest_is_told() -> None:
    def code() -> None:
        for author in Author.objects.all()[:5]:
            author.book_set.count()
        while_counting()

    assert told_line(run(code)) == line_of("count")


def test_below_the_threshold_nothing_is_told() -> None:
    def four_times() -> None:
        for book in Book.objects.all()[:4]:
            str(book.author.name)

    assert run(four_times) == []
    assert len(run(four_times, n_plus_one=4)) == 1


def test_zero_switches_it_off() -> None:
    with capture(n_plus_one=0) as captured:
        in_a_loop()
    assert captured._spans[-1].events == ()
    assert all("code.line.number" not in span.attributes for span in captured.queries)


def test_transactions_and_savepoints_do_not_count() -> None:
    def code() -> None:
        for _ in range(2 * BOOKS):
            with transaction.atomic(), transaction.atomic():
                pass

    assert run(code) == []


def test_one_query_with_a_join_does_not_count() -> None:
    def code() -> None:
        for book in Book.objects.select_related("author"):
            str(book.author.name)

    assert run(code) == []


def test_a_template_gives_the_views_line_and_its_own() -> None:
    def view() -> None:
        render_to_string("db/books.html", {"books": Book.objects.all()})  # template

    events = run(view)
    assert told_line(events) == line_of("template")
    assert events[0]["django.template.name"] == "db/books.html"
    assert events[0]["django.template.line"] == 4


def test_without_a_line_of_the_projects_a_template_still_gives_its_own() -> None:
    def elsewhere() -> None:
        books = {"books": Book.objects.all()}
        render = contextvars.copy_context().run
        with ThreadPoolExecutor(1) as thread:
            thread.submit(render, render_to_string, "db/books.html", books).result()
            thread.submit(connections.close_all).result()

    (event,) = run(elsewhere)
    assert (event["django.template.name"], event["django.template.line"]) == ("db/books.html", 4)
    assert not [key for key in event if key.startswith("code.")]


def test_what_starts_the_process_is_no_line_of_the_projects(tmp_path: Path) -> None:
    finder = CallerFinder(tmp_path)
    programs = Path(sysconfig.get_path("scripts"))
    for starter in (tmp_path / "manage.py", programs / "gunicorn", programs / "celery"):
        assert finder.shown(str(starter)) is None
    assert finder.shown(str(tmp_path / "shop" / "views.py")) == "shop/views.py"


def test_a_template_is_looked_for_a_few_times_only() -> None:
    Book.objects.bulk_create([Book(title="t", author=author) for author in Author.objects.all()])
    with capture() as captured:
        render_to_string("db/books.html", {"books": Book.objects.all()})
    named = ["django.template.line" in span.attributes for span in captured.queries[1:]]
    assert named == [False] * 4 + [True] * MAX_WALKS + [False] * (2 * BOOKS - 4 - MAX_WALKS)


def test_the_next_request_may_repeat_it_elsewhere() -> None:
    def code() -> None:
        with capture() as captured:
            while_counting()
        assert captured.queries[-1].attributes["code.line.number"] == line_of("count")
        with capture() as captured:
            for author in Author.objects.all():
                author.book_set.count()  # elsewhere
        assert captured.queries[-1].attributes["code.line.number"] == line_of("elsewhere")

    for _ in range(2):
        code()


def test_awaiting_in_a_loop_gives_the_awaiting_line() -> None:
    async def read() -> None:
        for author in [author async for author in Author.objects.all()]:
            await Book.objects.aget(author_id=author.id)  # await

    async def beside_others() -> None:
        sleepers = [asyncio.create_task(asyncio.sleep(0.2)) for _ in range(5)]
        await read()
        await asyncio.gather(*sleepers)

    assert told_line(run(async_to_sync(beside_others))) == line_of("await")


def test_threads_of_one_request_are_counted_together() -> None:
    def code() -> None:
        for _ in range(3):
            context = contextvars.copy_context()
            thread = threading.Thread(target=context.run, args=(half,))
            thread.start()
            thread.join()

    def half() -> None:
        try:
            for author_id in range(4):
                Author.objects.filter(id=author_id).exists()  # thread
        finally:
            connection.close()

    events = run(code)
    assert told_line(events) == line_of("thread")
    assert events[0]["django.db.n_plus_one.count"] == 12


def test_at_most_a_few_statements_are_told() -> None:
    def code() -> None:
        for column in ("a", "b", "c", "d", "e", "f", "g", "h"):
            for _ in range(6):
                with connection.cursor() as cursor:
                    cursor.execute(f"SELECT 1 AS {column}")

    events = run(code)
    assert len(events) == 5
    totals = [event["django.db.n_plus_one.duration"] for event in events]
    assert totals == sorted(totals, reverse=True)
