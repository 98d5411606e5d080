"""Traces as lines of text."""

from __future__ import annotations

import re
from datetime import timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_django import names
from otel_django.cli.inert_text import cells, fit, inert, pad
from otel_django.cli.look import Look
from otel_django.cli.span_words import duration, milliseconds
from otel_django.cli.trace_tree import MAX_LINES, trace_lines
from otel_django.contracts import SpanEvent, SpanRow

MS = 1_000_000
START = 1_763_716_863 * 10**9  # 09:21:03 UTC
PLAIN = Look(width=100, zone=timezone.utc)
SQL = {names.DB_SYSTEM_NAME: "postgresql", names.DB_QUERY_TEXT: "SELECT …"}


def span(
    span_id: str,
    parent: str | None,
    name: str,
    start_ms: float = 0,
    duration_ms: float = 1,
    **more: Any,
) -> SpanRow:
    return SpanRow(
        **{
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "span_id": span_id,
            "parent_id": parent,
            "local_root": parent is None,
            "name": name,
            "kind": "internal",
            "service": "shop",
            "start_ns": START + int(start_ms * MS),
            "duration_ns": int(duration_ms * MS),
            "status": "unset",
            **more,
        }
    )


def checkout() -> list[SpanRow]:
    n_plus_one = SpanEvent(
        names.N_PLUS_ONE_EVENT,
        START,
        {
            names.DB_QUERY_SUMMARY: "SELECT product",
            names.N_PLUS_ONE_COUNT: 48,
            names.CODE_FILE_PATH: "catalogue/views.py",
            names.CODE_LINE_NUMBER: 42,
        },
    )
    exception = SpanEvent(
        names.EXCEPTION_EVENT,
        START,
        {names.EXCEPTION_TYPE: "builtins.ValueError", names.EXCEPTION_MESSAGE: "no address"},
    )
    root = span(
        "root",
        None,
        "GET /checkout/",
        0,
        1240,
        kind="server",
        status="error",
        events=(n_plus_one, exception),
        attributes={names.HTTP_RESPONSE_STATUS_CODE: 500, names.HTTP_ROUTE: "/checkout/"},
    )
    products = [
        span(f"p{i}", "root", "SELECT product", 10 + i * 13, 12.3, kind="client", attributes=SQL)
        for i in range(48)
    ]
    return [
        *products,
        span("cart", "root", "SELECT cart", 2, 3.1, kind="client", attributes=SQL),
        span("view", "root", "template cart.html", 700, 300),
        span("cache", "view", "get default", 710, 0.04),
        root,
    ]


def test_a_trace_is_drawn_as_a_tree() -> None:
    assert trace_lines(checkout(), PLAIN) == [
        f"09:21:03  GET /checkout/  500  1.24 s  49 queries (594 ms){'':26}4bf92f3577b34da6",
        "├─ SELECT cart            3.1 ms  ▏",
        "├─ SELECT product ×48     590 ms  ██████████▏           N+1 catalogue/views.py:42",
        "├─ template cart.html     300 ms             █████▏",
        "│  └─ get default        0.04 ms             ▏",
        "└─ ✗ ValueError: no address",
    ]


def test_a_slow_statement_shows_the_line_that_runs_it() -> None:
    place = {names.CODE_FILE_PATH: "catalogue/search.py", names.CODE_LINE_NUMBER: 7}
    lines = trace_lines(
        [
            span("root", None, "GET /search/", 0, 400),
            span("slow", "root", "SELECT product", 10, 380, attributes={**SQL, **place}),
        ],
        PLAIN,
    )
    assert lines[1].endswith("slow catalogue/search.py:7")


def test_colours_change_nothing_but_colour() -> None:
    plain = trace_lines(checkout(), PLAIN)
    coloured = trace_lines(checkout(), Look(width=100, color=True, zone=timezone.utc))
    assert coloured != plain
    assert [re.sub(r"\x1b\[\d+m", "", line) for line in coloured] == plain
    assert all(line.endswith("\x1b[0m") or "\x1b" not in line[-12:] for line in coloured)


def test_a_narrow_terminal_has_no_bars() -> None:
    lines = trace_lines(checkout(), Look(width=60, zone=timezone.utc))
    assert max(map(cells, lines)) <= 60
    assert "█" not in "".join(lines)


@pytest.mark.parametrize("width", [70, 80, 100, 160])
def test_bars_shrink_before_a_repeated_statement_loses_its_count_or_line(width: int) -> None:
    lines = trace_lines(checkout(), Look(width=width, zone=timezone.utc))
    assert max(map(cells, lines)) <= width
    assert re.search(r"SELECT product ×48 .* N\+1 catalogue/views.py:42$", lines[2])
    assert "█" in lines[2]


def test_the_narrowest_terminal_still_shows_count_and_line() -> None:
    lines = trace_lines(checkout(), Look(width=50, zone=timezone.utc))
    assert lines[2] == "├─ SELECT produ… ×48     590 ms  N+1 …iews.py:42"


def test_a_slow_query_is_marked_with_its_line() -> None:
    place = {names.CODE_FILE_PATH: "catalogue/search.py", names.CODE_LINE_NUMBER: 49}
    spans = [
        span("root", None, "GET /", 0, 500),
        span("fast", "root", "SELECT cart", 1, attributes=SQL),
        span("slow", "root", "SELECT product", 2, 480, attributes={**SQL, **place}),
    ]
    lines = trace_lines(spans, PLAIN)
    assert lines[2].endswith("slow catalogue/search.py:49")
    assert "slow" not in lines[1]


def test_a_repeat_below_a_template_is_marked_with_the_templates_line() -> None:
    told = {
        names.DB_QUERY_SUMMARY: "SELECT author",
        names.N_PLUS_ONE_COUNT: 12,
        names.CODE_FILE_PATH: "books/views.py",
        names.CODE_LINE_NUMBER: 14,
        names.DJANGO_TEMPLATE_NAME: "books/list.html",
        names.DJANGO_TEMPLATE_LINE: 3,
    }
    root = span("root", None, "GET /", events=(SpanEvent(names.N_PLUS_ONE_EVENT, START, told),))
    assert trace_lines([root], PLAIN)[-1] == "└─ N+1: SELECT author ×12  books/list.html:3"


def test_a_failed_span_shows_its_type_and_is_not_folded() -> None:
    spans = [
        span("root", None, "GET /", 0, 10),
        *(span(f"ok{i}", "root", "GET", i) for i in range(3)),
        span(
            "bad", "root", "GET", 4, status="error", attributes={names.ERROR_TYPE: "ConnectTimeout"}
        ),
    ]
    text = "\n".join(trace_lines(spans, PLAIN))
    assert "GET ×3" in text
    assert re.search(r"✗ GET .*ConnectTimeout", text)


def test_repeats_that_are_not_drawn_are_still_told() -> None:
    root = checkout()[-1]
    assert trace_lines([root], PLAIN)[-1] == "└─ N+1: SELECT product ×48  catalogue/views.py:42"


def test_a_statement_without_summary_is_shortened() -> None:
    statement = "SELECT  a,\n b FROM t WHERE " + "x AND " * 100
    spans = [
        span("root", None, "GET /", 0, 10),
        span("q", "root", "SELECT", attributes={names.DB_QUERY_TEXT: statement}),
    ]
    line = trace_lines(spans, PLAIN)[1]
    assert "SELECT a, b FROM t WHERE" in line
    assert cells(line) <= 100


def test_hostile_names_are_inert_text() -> None:
    evil = "\x1b[2J\x07\u202egnp.exe\r\n\x9b31m\ud800\u2028" + "x" * 100_000
    spans = [
        span("root", None, evil, attributes={names.URL_PATH: evil}),
        span("child", "root", evil, status="error", attributes={names.ERROR_TYPE: evil}),
        span("other", "root", "x", events=(SpanEvent("exception", 0, {"exception.type": evil}),)),
    ]
    for line in trace_lines(spans, PLAIN):
        assert line.isprintable()
        assert cells(line) <= 140
    assert inert("\x1b[31mred") == "�[31mred"


def test_cycles_orphans_and_repeated_ids_are_drawn_once() -> None:
    spans = [
        span("root", None, "GET /", 0, 100),
        span("a", "b", "first", 1),
        span("b", "a", "second", 2),
        span("self", "self", "narcissus", 3),
        span("lost", "nobody", "orphan", 4),
        span("lost", "nobody", "orphan", 4),
    ]
    text = "\n".join(trace_lines(spans, PLAIN))
    for name in ("first", "second", "narcissus", "orphan"):
        assert text.count(name) == 1
    only_cycle = "\n".join(trace_lines(spans[1:3], PLAIN))
    assert only_cycle.count("first") == only_cycle.count("second") == 1


def test_a_deep_trace_ends_somewhere() -> None:
    spans = [span("0", None, "root", 0, 100)]
    spans += [span(str(i), str(i - 1), f"level {i}", i) for i in range(1, 5000)]
    lines = trace_lines(spans, PLAIN)
    assert len(lines) < 20
    assert "4,987 more spans below" in lines[-1]


def test_a_wide_trace_ends_somewhere() -> None:
    spans = [span("r", None, "root", 0, 9999)]
    spans += [span(str(i), "r", f"child {i}", i) for i in range(5000)]
    lines = trace_lines(spans, PLAIN)
    assert len(lines) == MAX_LINES + 2
    assert "4,940 more lines" in lines[-1]


def test_a_part_of_a_trace_without_its_root_says_so() -> None:
    assert "(no root yet)" in trace_lines([span("a", "far", "SELECT x")], PLAIN)[0]


def test_durations_have_units() -> None:
    assert [duration(ns) for ns in (40_000, 3_100_000, 589_900_000, 1_240_000_000, 10**12)] == [
        "0.04 ms",
        "3.1 ms",
        "590 ms",
        "1.24 s",
        "16.7 min",
    ]
    assert milliseconds(12_345 * MS) == "12,345 ms"
    assert [milliseconds(ns) for ns in (94_000, 99_000)] == ["0.09 ms", "0.1 ms"]


def test_wide_characters_take_two_columns() -> None:
    assert cells("日本e\u0301") == 5
    assert fit("日本語", 5) == "日本…"
    assert pad("日本", 6) == "日本  "


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.builds(
            span,
            st.sampled_from("abcdefgh"),
            st.one_of(st.none(), st.sampled_from("abcdefghz")),
            st.text(max_size=30),
            st.floats(-1e6, 1e6),
            st.floats(0, 1e6),
            status=st.sampled_from(["unset", "error"]),
        ),
        max_size=12,
    ),
    st.integers(40, 160),
    st.booleans(),
)
def test_any_spans_can_be_drawn(spans: list[SpanRow], width: int, color: bool) -> None:
    for line in trace_lines(spans, Look(width=width, color=color, zone=timezone.utc)):
        shown = re.sub(r"\x1b\[\d+m", "", line)
        assert shown.isprintable()
        assert cells(shown) <= max(width, 60)


def test_a_wide_terminal_shows_long_names_whole() -> None:
    name = "SELECT catalogue_product catalogue_brand catalogue_category catalogue_supplier"
    spans = [span("root", None, "GET /", 0, 5), span("query", "root", name, attributes=SQL)]
    assert trace_lines(spans, Look(width=140, zone=timezone.utc))[1].startswith(f"└─ {name}  ")
    assert "…" in trace_lines(spans, PLAIN)[1]


def test_calls_to_other_hosts_say_which_and_are_not_folded_together() -> None:
    calls = [
        span(
            host,
            "root",
            "GET",
            kind="client",
            attributes={names.HTTP_REQUEST_METHOD: "GET", names.SERVER_ADDRESS: host},
        )
        for host in ("bank.example", "stock.example")
    ]
    lines = trace_lines([span("root", None, "GET /", 0, 5, kind="server"), *calls], PLAIN)
    assert [line.split("  ")[0] for line in lines[1:]] == [
        "├─ GET bank.example",
        "└─ GET stock.example",
    ]
