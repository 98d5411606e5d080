"""The language of searches, and what they ask of the readers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from otel_django import log_record
from otel_django.contracts import LogQuery, TraceQuery
from otel_django.viewer import search
from otel_django.viewer.search_terms import duration_ns, split, written

ROOT = Path(__file__).parents[2]
MS = 1_000_000
ID = "0123456789abcdef0123456789abcdef"


def of_traces(text: str) -> dict[str, Any]:
    """The conditions of a search without mistakes."""
    found = search.of_traces(text)
    assert found.mistakes == ()
    assert found.trace_query(TraceQuery()) == TraceQuery(**found.conditions)
    return dict(found.conditions)


def of_logs(text: str) -> dict[str, Any]:
    found = search.of_logs(text)
    assert found.mistakes == ()
    assert found.log_query(LogQuery()) == LogQuery(**found.conditions)
    return dict(found.conditions)


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("", {}),
        ("refused", {"text": "refused"}),
        ('card "was refused" today', {"text": "card was refused today"}),
        ("route:/checkout/", {"route": "/checkout/"}),
        ("route=/api/*", {"route": "/api/*"}),
        ('route:"/a b/"', {"route": "/a b/"}),
        ("http.route:/a/", {"route": "/a/"}),
        ('name:"GET /a/"', {"name": "GET /a/"}),
        ("service:shop", {"service": "shop"}),
        ("status:404", {"http_status": 404}),
        ("status:5xx", {"status_class": 5}),
        ("STATUS:5XX", {"status_class": 5}),
        ("status:error", {"errors_only": True}),
        ("method:post", {"method": "POST"}),
        ("duration>200ms", {"min_duration_ns": 200 * MS + 1}),
        ("duration>=1.5s", {"min_duration_ns": 1500 * MS}),
        ("duration:>2min", {"min_duration_ns": 120_000 * MS + 1}),
        (
            "duration<1s duration>=10ms",
            {"max_duration_ns": 1000 * MS - 1, "min_duration_ns": 10 * MS},
        ),
        ("duration<=99999999h", {"max_duration_ns": 1 << 62}),
        ("errors:yes n+1:yes", {"errors_only": True, "n_plus_one": True}),
        (f"trace:{ID}", {"trace_id": ID}),
        ("trace:01234567", {"trace_id": "01234567"}),
        ("user:42 order:ab*", {"text": "42 ab*"}),
        ("http://example/x 12:30", {"text": "http://example/x 12:30"}),
        ('"status:500"', {"text": "status:500"}),
    ],
)
def test_a_search_among_traces_is_understood(text: str, conditions: dict[str, Any]) -> None:
    assert of_traces(text) == conditions


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("level:error", {"min_severity": log_record.ERROR}),
        ("level>=warning", {"min_severity": log_record.WARN}),
        ("logger:shop.*", {"logger": "shop.*"}),
        ("event:order.placed", {"event": "order.placed"}),
        (f"trace:{ID.upper()}", {"trace_id": ID}),
        ("user:42", {"attributes": {"user.id": "42"}}),
        ("route:/a/", {"attributes": {"http.route": "/a/"}}),
        ("orderId:7 http.route:/a/", {"attributes": {"orderId": "7", "http.route": "/a/"}}),
        ("path:/api/* refused", {"text": "/api/* refused"}),
    ],
)
def test_a_search_among_logs_is_understood(text: str, conditions: dict[str, Any]) -> None:
    assert of_logs(text) == conditions


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("duration>fast", "duration>fast: a time such as 200ms, 1.5s or 2min is wanted"),
        ("duration>200", "duration>200: a time such as 200ms, 1.5s or 2min is wanted"),
        (
            "duration:200ms",
            "duration:200ms: is it longer or shorter? Write duration>200ms or duration<1s",
        ),
        ("status:many", "status:many: a status such as 404 or 5xx is wanted"),
        ("status:٤٠٤", "status:٤٠٤: a status such as 404 or 5xx is wanted"),
        ("errors:no", "errors:no: errors:yes is what can be asked for"),
        (
            "trace:xyz",
            "trace:xyz: at least 8 of the 32 hexadecimal digits of a trace id are wanted",
        ),
        ("service:a*", "service:a*: its whole name is wanted, without *"),
        ("route:", "route: a value is missing behind it"),
        ("-route:/a/", "-route:/a/: leaving something out isn't possible; ask for what is wanted"),
        (
            "level:error",
            "level:error: that is of log records; search for it among the logs",
        ),
    ],
)
def test_a_mistake_is_told_and_left_out(text: str, mistake: str) -> None:
    found = search.of_traces(f"{text} status:404 word")
    assert found.mistakes == (mistake,)
    assert found.conditions == {"http_status": 404, "text": "word"}
    assert [chip.text for chip in found.chips] == ["status:404", "word"]


def test_what_can_be_asked_for_once_counts_the_last_time() -> None:
    found = search.of_traces("route:/a/ route:/b/")
    assert found.conditions == {"route": "/b/"}
    assert found.mistakes == ("route: can be asked for once, so the last one counts",)


def test_a_quotation_mark_without_a_partner_is_closed_at_the_end() -> None:
    found = search.of_traces('status:404 "no end')
    assert found.conditions == {"http_status": 404, "text": "no end"}
    assert len(found.mistakes) == 1


def test_chips_are_the_parts_of_a_search_each_with_the_rest() -> None:
    chips = search.of_traces('route:/a/ "two words" rout:/b/').chips
    assert [(chip.text, chip.rest) for chip in chips] == [
        ("route:/a/", '"two words" rout:/b/'),
        ('"two words"', "route:/a/ rout:/b/"),
        ("rout:/b/", 'route:/a/ "two words"'),
    ]
    assert chips[0].note == ""
    assert chips[2].note == "looked for as words in any field; did you mean route:?"


@pytest.mark.parametrize("text", ["a" * 100_000, 'k:"' * 50_000, "duration>1ms " * 5_000])
def test_a_search_without_measure_is_cut(text: str) -> None:
    found = search.of_traces(text)
    assert "only the first 500 characters were read" in found.mistakes
    assert len(found.chips) <= 20
    assert sum(len(chip.text) for chip in found.chips) <= 600


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("route", "/a b/"),
        ("route", "/a/"),
        ("", "status:500"),
        ("", "-x:y"),
        ("", "plain"),
        ("", "two words"),
        ("order.id", "7"),
    ],
)
def test_what_is_written_for_a_link_is_read_back(key: str, value: str) -> None:
    terms, mistakes = split(written(key, value))
    assert [(term.key, term.value) for term in terms] == [(key, value)]
    assert mistakes == []


def test_a_term_is_added_to_a_search_once() -> None:
    assert search.with_term("", "errors", "yes") == "errors:yes"
    more = search.with_term('"two words"', "duration", "1s", ">")
    assert more == '"two words" duration>1s'
    assert search.with_term(more, "duration", "1s", ">") == more


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1us", 1_000), ("3 ms", 3 * MS), ("0.5s", 500 * MS), ("2MIN", 120_000 * MS), ("1h", 3600e9)],
)
def test_units_of_time(text: str, expected: float) -> None:
    assert duration_ns(text) == expected


@pytest.mark.parametrize(
    ("keys", "title"), [(search.TRACE_KEYS, "traces"), (search.LOG_KEYS, "logs")]
)
def test_the_reference_has_every_condition(keys: dict[str, search.Meaning], title: str) -> None:
    text = (ROOT / "docs" / "reference" / "search.md").read_text(encoding="utf-8")
    part = text.partition(f"## Conditions of {title}\n")[2].partition("\n## ")[0]
    documented = set(re.findall(r"^\| `([^`]+)` \|", part, re.MULTILINE))
    aliases: dict[int, set[str]] = {}
    for key, meaning in keys.items():
        aliases.setdefault(id(meaning), set()).add(key)
    for names_of_one in aliases.values():
        understood = not any("that is of" in each for each in _mistakes(title, names_of_one))
        assert bool(names_of_one & documented) == understood
    assert documented <= set(keys)


def _mistakes(title: str, keys: set[str]) -> tuple[str, ...]:
    of = search.of_traces if title == "traces" else search.of_logs
    return of(f"{min(keys)}:x").mistakes
