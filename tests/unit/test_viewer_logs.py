"""The log page: lines, what opens below one, its neighbours, live lines, choices."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.http import HttpResponse
from django.test import Client

from otel_django.log_record import LogRecord
from tests import viewer_kit
from tests.endpoints_kit import by_token, ours
from tests.store_logs import record
from tests.viewer_kit import shown

SECOND = 10**9
HOSTILE = "<script>alert(1)</script>\u202e\x07"
TRACE = 0xABCD_0000_0000_0000_0000_0000_0000_0001
STACK = (
    "Traceback (most recent call last):\n"
    '  File "django/core/handlers/base.py", line 199, in _get_response\n'
    "    response = view(request)\n"
    '  File "orders/views.py", line 44, in checkout\n'
    "    pay(<cart>)\n"
    "orders.PaymentRefused: The bank refused 98.80\n"
)


class Logged(viewer_kit.Telemetry):
    """What was logged on the site."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.start_ns = self.now_ns - 600 * SECOND

    def put(self, *records: LogRecord) -> None:
        self.logs.accept(records)
        self.keep()

    def at(self, seconds: float) -> int:
        """A moment of the last ten minutes."""
        return self.start_ns + int(seconds * SECOND)

    def some(self) -> None:
        """A few seconds of a shop."""
        self.put(
            record("order.placed", named=True, time_ns=self.at(1), order=17, total=12.5),
            record("Stock is low", level="warning", time_ns=self.at(2), logger="shop.stock"),
            record(
                "payment refused",
                level="error",
                time_ns=self.at(3),
                trace_id=TRACE,
                span_id=0xF00D,
                exception__type="orders.PaymentRefused",
                exception__message="The bank refused 98.80",
                exception__stacktrace=STACK,
            ),
            record("mail sent", time_ns=self.at(4), service="mail", logger="mail.out"),
        )


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Logged]:
    with shown(Logged(tmp_path)) as made:
        yield made


def ask(status: int = 200, client: Client | None = None, **parameters: str) -> HttpResponse:
    response = (client or by_token()).get(f"/logs/?{urlencode(parameters)}")
    assert response.status_code == status
    return response  # type: ignore[return-value]


def page(status: int = 200, **parameters: Any) -> str:
    return ask(status, **parameters).content.decode()


def text(html: str) -> str:
    """What a reader sees of it, on one line."""
    bare = re.sub(r"<script.*?</script>|<[^>]+>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(bare).split())


def lines(html: str) -> list[str]:
    """Each line as a reader sees it, without its time."""
    found = re.split(r'<li class="line ', html.partition("</ol>\n<p")[0])[1:]
    return [text(re.sub(r"<time.*?</time>", "", f"<{each}")) for each in found]


def answer(html: str) -> str:
    found = re.search(r'<h1 class="answer">(.*?)</h1>', html, re.DOTALL)
    assert found
    return " ".join(re.sub(r"<[^>]+>", "", found[1]).split())


def key_of(html: str, number: int = 0) -> str:
    return str(re.findall(r'data-key="([^"]+)"', html)[number])


def links(html: str) -> list[str]:
    return [unescape(each) for each in re.findall(r'href="([^"]+)"', html)]


# --- the list


def test_lines_stand_newest_first_with_level_message_fields_and_where_from(logged: Logged) -> None:
    logged.some()
    html = page()
    assert answer(html) == "4 lines, last hour: 1 error, 1 warning"
    found = lines(html)
    assert [each.split(" All of")[0] for each in found] == [
        "I info mail sent mail mail.out",
        "E error payment refused PaymentRefused: The bank refused 98.80 shop shop.orders",
        "W warning Stock is low shop shop.stock",
        "I info order.placed order 17 total 12.5 shop shop.orders",
    ]
    assert found[1].endswith("trace of payment refused")


def test_a_line_links_to_its_span_in_its_trace(logged: Logged) -> None:
    logged.some()
    assert f"/traces/{TRACE:032x}/?span=000000000000f00d" in links(page())


def test_searches_and_the_chosen_service_narrow_the_list(logged: Logged) -> None:
    logged.some()
    assert answer(page(q="level:warning")) == "2 lines match, last hour: 1 error"
    assert len(lines(page(q="logger:shop.*"))) == 3
    assert len(lines(page(q='"bank refused"'))) == 1
    assert len(lines(page(q="order:17"))) == 1
    assert len(lines(page(q=f"trace:{TRACE:032x}"))) == 1
    assert len(lines(page(service="mail"))) == 1


def test_what_a_search_can_not_mean_is_said_beside_what_it_found(logged: Logged) -> None:
    logged.some()
    html = page(q="level:loud refused")
    assert "level:loud: a level such as warning or error is wanted" in text(html)
    assert len(lines(html)) == 1


def test_choices_say_how_many_there_are_and_can_be_taken_back(logged: Logged) -> None:
    logged.some()
    logged.put(record("payment taken", time_ns=logged.at(5), service="mail", logger="mail.out"))
    html = page(q="payment")
    assert "/logs/?q=payment+level%3Aerror" in links(html)
    assert "/logs/?q=payment+logger%3Ashop.orders" in links(html)
    assert "/logs/?q=payment&service=mail" in links(html)
    chosen = page(q="payment level:error")
    assert re.search(r'href="/logs/\?q=payment" aria-current="true"', chosen)
    assert "/logs/?q=payment+level%3Ainfo" in links(chosen)


def test_choices_and_bars_are_of_what_matches(logged: Logged) -> None:
    logged.some()
    html = page(q="refused")
    assert text(html).count("shop.stock") == 0
    assert "/logs/?q=refused+level%3Awarning" not in links(html)
    found = re.search(r'<script id="levels"[^>]*>(.*?)</script>', html)
    assert found
    assert [(each["name"], sum(each["points"])) for each in json.loads(found[1])["series"]] == [
        ("error", 1)
    ]


def test_pages_go_on_to_older_lines_and_keep_the_search(logged: Logged) -> None:
    logged.put(*(record(f"step {number}", time_ns=logged.at(number)) for number in range(150)))
    first = page(q="step")
    assert answer(first) == "150 lines match, last hour"
    assert lines(first)[0].startswith("I info step 149")
    older = next(each for each in links(first) if "cursor=" in each)
    assert "q=step" in older
    second = by_token().get(older).content.decode()
    assert len(lines(second)) == 50
    assert lines(second)[-1].startswith("I info step 0")
    assert "/logs/?q=step" in links(second)


def test_bars_of_each_level_are_drawn_and_said(logged: Logged) -> None:
    logged.some()
    found = re.search(r'<script id="levels"[^>]*>(.*?)</script>', page())
    assert found
    chart = json.loads(found[1])
    sums = {series["name"]: sum(series["points"]) for series in chart["series"]}
    assert sums == {"error": 1, "warning": 1, "info": 2}
    assert {len(series["points"]) for series in chart["series"]} == {len(chart["times"])}


def test_what_was_found_can_be_taken_along(logged: Logged) -> None:
    logged.some()
    assert "/logs/?q=level%3Aerror&format=ndjson" in links(page(q="level:error"))
    response = ask(q="level:warning", format="ndjson")
    found = [json.loads(each) for each in b"".join(response).decode().splitlines()]
    assert [each["event"] for each in found] == ["payment refused", "Stock is low"]
    assert found[0]["traceId"] == f"{TRACE:032x}"
    assert found[0]["attributes"]["exception.stacktrace"] == STACK
    rows = list(csv.reader(b"".join(ask(format="csv", service="mail")).decode().splitlines()))
    assert [each[3] for each in rows] == ["event", "mail sent"]


# --- states


def test_without_a_line_the_page_says_what_makes_one(logged: Logged) -> None:
    logged.put(record("old", time_ns=logged.at(-7200)))
    assert "No log lines, last hour. What goes through Python's logging" in text(page())
    assert "No line matches, last hour." in text(page(q="nothing"))


def test_before_anything_was_kept_the_page_stands(logged: Logged) -> None:
    assert "No log lines" in text(page())


@pytest.mark.parametrize(
    "parameters",
    [
        {"at": "1:999"},
        {"at": "9:1"},
        {"at": HOSTILE},
        {"line": "1:999"},
        {"line": "x"},
        {"cursor": "x"},
        {"after": "x"},
        {"at": "1:" + "9" * 40},
    ],
    ids=str,
)
def test_a_line_that_is_gone_is_missed_in_words(logged: Logged, parameters: dict[str, Any]) -> None:
    logged.some()
    assert re.search("no longer kept", text(page(404, **parameters)))


def test_a_key_that_is_written_otherwise_finds_its_line(logged: Logged) -> None:
    logged.some()
    assert "payment refused" in answer(page(at="1:0003"))


def test_a_store_that_can_not_be_read_is_told(logged: Logged) -> None:
    logged.some()
    broken = logged.path.with_name("broken.sqlite3")
    broken.write_bytes(b"no database " * 1000)
    with ours(TOKENS=["sesame"], STORE=str(broken)):
        assert "It can't be read just now" in text(page(503))


def test_lines_of_several_days_say_their_day(logged: Logged) -> None:
    logged.put(record("old", time_ns=logged.at(-3 * 86_400)))
    assert re.search(r'data-shown="moment">\d\d-\d\d \d\d:\d\d:\d\d<', page(range="7d"))
    assert 'data-shown="moment"' not in page()


# --- what opens


def test_a_line_opens_to_all_its_fields_each_a_search_for_the_same(logged: Logged) -> None:
    logged.some()
    html = page(line=key_of(page(), 3), q="placed")
    assert "<html" not in html
    assert "/logs/?q=placed+order%3A17" in links(html)
    assert "/logs/?q=placed+logger%3Ashop.orders" in links(html)
    found = re.search(r'<pre id="json-[^"]+">(.*?)</pre>', html, re.DOTALL)
    assert found
    assert json.loads(unescape(found[1]))["attributes"] == {"order": 17, "total": 12.5}


def test_the_search_of_a_field_finds_its_line(logged: Logged) -> None:
    logged.put(
        record(
            "mixed",
            userId="u 7",
            duration=3,
            paid=True,
            path="C:\\x",
            quoted='say "x"',
        )
    )
    html = page(line=key_of(page()))
    searches = [each for each in links(html) if each.startswith("/logs/?q=")]
    assert len(searches) >= 5
    for each in searches:
        assert len(lines(by_token().get(each).content.decode())) == 1, each


def test_an_exception_is_laid_out_and_links_to_its_like(logged: Logged) -> None:
    logged.some()
    html = page(line=key_of(page(), 1))
    assert "orders/views.py:44 in checkout pay(<cart>)" in text(html)
    assert '<li class="library"><span class="mono">django/core/handlers/base.py:199' in html
    assert any(re.fullmatch(r"/errors/[0-9a-f]{16}/", each) for each in links(html))
    assert f"/logs/?q=trace%3A{TRACE:032x}" in links(html)


def test_a_line_has_an_address_that_shows_it_among_its_service_s_lines(logged: Logged) -> None:
    logged.some()
    html = page(at=key_of(page(), 1))
    found = lines(html)
    assert [each.split()[1] for each in found] == ["info", "warning", "error"]  # mail's isn't there
    assert "orders/views.py:44" in found[2]
    assert html.count(' this"') == 1
    assert f"/logs/?at={key_of(page(), 1).replace(':', '%3A')}&around=100" in links(html)


# --- live


def poll(html: str) -> str:
    found = re.search(r'hx-get="([^"]+)" hx-trigger="every 1s"', html)
    assert found
    return unescape(found[1])


def test_live_lines_stand_oldest_first_and_new_ones_follow(logged: Logged) -> None:
    logged.some()
    html = page(live="1")
    assert lines(html)[-1].startswith("I info mail sent")
    nothing = by_token().get(poll(html))
    assert (nothing.status_code, nothing.content) == (204, b"")
    logged.put(record("first", time_ns=logged.at(20)), record("second", time_ns=logged.at(21)))
    news = by_token().get(poll(html)).content.decode()
    assert [each.split()[2] for each in lines(news)] == ["first", "second"]
    assert by_token().get(poll(news)).status_code == 204


def test_live_lines_are_those_that_the_search_would_find(logged: Logged) -> None:
    html = page(live="1", q='level:error "card refused"', service="shop")
    logged.put(
        record("card refused", level="error", order=1),
        record("card refused", order=2),
        record("cards", level="error"),
        record("card refused", level="error", service="mail"),
    )
    news = by_token().get(poll(html)).content.decode()
    assert len(lines(news)) == 1
    logged.put(record("nothing of it"))
    # Others came: there is none to show, but a place to go on from.
    assert poll(by_token().get(poll(news)).content.decode()) != poll(news)


def test_of_very_many_at_once_the_last_are_shown_and_the_others_counted(logged: Logged) -> None:
    html = page(live="1")
    logged.put(*(record(f"step {number}", time_ns=logged.at(number)) for number in range(250)))
    news = by_token().get(poll(html)).content.decode()
    assert "50 more lines came than can be shown at once" in text(news)
    assert lines(news)[-1].startswith("I info step 249")
    assert len(lines(news)) == 200


# --- who may see, and what is shown


@pytest.mark.parametrize(
    "parameters", [{}, {"line": "1:1"}, {"at": "1:1"}, {"live": "1"}, {"after": ""}], ids=str
)
def test_strangers_get_no_line(logged: Logged, parameters: dict[str, Any]) -> None:
    logged.some()
    response = ask(403, Client(REMOTE_ADDR="192.0.2.1"), **parameters)
    assert b"refused" not in response.content


def test_hostile_texts_are_shown_as_text(logged: Logged) -> None:
    fields: dict[str, Any] = {HOSTILE: HOSTILE, "list": [HOSTILE], "large": "x" * 1_000_000}
    logged.put(
        record(
            HOSTILE,
            level="error",
            logger=HOSTILE,
            exception__type=HOSTILE,
            exception__message=HOSTILE,
            exception__stacktrace=f'  File "{HOSTILE[:-1]}", line 1, in x\n    {HOSTILE}\n',
            **fields,
        )
    )
    whole = page()
    assert len(whole) < 100_000
    key = key_of(whole)
    detail = page(line=key)
    assert "(1,000,000 characters" in text(detail)
    for html in (whole, detail, page(at=key), page(q=HOSTILE), page(live="1", q="level:error")):
        assert "<script>alert" not in html
        assert "\u202e" not in text(html)
        assert "\x07" not in text(html)
    assert len(detail) < 200_000
