"""The page that lists traces, what it says while it is live, and the files it gives."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.test import AsyncClient, Client

from otel_django import names
from otel_django.viewer import exports
from tests import viewer_kit
from tests.endpoints_kit import STRANGER, TOKEN, by_token
from tests.store_spans import MS
from tests.viewer_kit import shown

SECOND = 10**9
HOSTILE = "<script>alert(1)</script>\u202e\x07\ud800"


class Telemetry(viewer_kit.Telemetry):
    """Requests that begin a second apart."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.at = self.now_ns - 600 * SECOND

    def request(self, route: str = "/products/", **more: Any) -> str:
        self.at += SECOND
        root = self.spans.request(route, start=more.pop("start", self.at), **more)
        return format(root._context[0], "032x")


@pytest.fixture
def telemetry(tmp_path: Path) -> Iterator[Telemetry]:
    with shown(Telemetry(tmp_path)) as made:
        yield made


@pytest.fixture
def shop(telemetry: Telemetry) -> Telemetry:
    """Four requests: the slowest one failed."""
    telemetry.request("/products/", duration_ms=20)
    telemetry.request("/checkout/", duration_ms=1_900, status=500)
    telemetry.request("/products/", duration_ms=250, status=404)
    telemetry.request("/about/", duration_ms=5, queries=0)
    telemetry.keep()
    return telemetry


def page(**parameters: str) -> str:
    response = by_token().get("/traces/", parameters)
    assert response.status_code == 200
    return response.content.decode()


def text(html: str) -> str:
    """As a reader sees it, on one line."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def answer(html: str) -> str:
    found = re.search(r"<h1.*?</h1>", html, re.DOTALL)
    assert found is not None
    return text(found[0]).replace(" ,", ",").replace(" ;", ";")


def listed(html: str) -> list[str]:
    """What the rows say, without when."""
    body = html.partition("<tbody>")[2].partition("</tbody>")[0]
    return [
        text(re.sub(r"<time.*?</time>", "", row)) for row in body.split("</tr>") if "<td" in row
    ]


def addresses(html: str, words: str) -> list[str]:
    """Of the links with these words in them."""
    links = re.findall(r'<a [^>]*?href="([^"]*)"[^>]*>(.*?)</a>', html, re.DOTALL)
    return [unescape(address) for address, inner in links if words in text(inner)]


def test_the_newest_traces_come_first_below_a_line_that_sums_them_up(shop: Telemetry) -> None:
    html = page()
    assert answer(html) == ("4 traces, last hour: half within 250 ms, the longest 1.90 s; 1 failed")
    assert listed(html) == [
        "GET /about/ 200 5.0 ms 1 –",
        "GET /products/ 404 250 ms 3 2 1.0 ms",
        "GET /checkout/ 500 1,900 ms 3 2 1.0 ms",
        "GET /products/ 200 20 ms 3 2 1.0 ms",
    ]


def test_the_slowest_can_come_first(shop: Telemetry) -> None:
    html = page(sort="duration")
    assert answer(html).startswith("The slowest 4 traces")
    assert [row.split()[1] for row in listed(html)] == [
        "/checkout/",
        "/products/",
        "/products/",
        "/about/",
    ]
    assert html.count('aria-sort="descending"') == 1
    assert 'id="live"' not in html


def test_what_is_slower_than_the_setting_is_marked(shop: Telemetry) -> None:
    slow = re.findall(r'class="number slow"[^>]*>([^<]*)<', page())
    assert slow == ["1,900 ms"]


@pytest.mark.parametrize(
    ("q", "routes"),
    [
        ("route:/products/ duration>200ms", ["/products/"]),
        ("status:5xx", ["/checkout/"]),
        ("status:404", ["/products/"]),
        ("errors:yes", ["/checkout/"]),
        ("route:/about/* method:get", ["/about/"]),
        ("ValueError", ["/checkout/"]),
        ("nothing of it", []),
    ],
)
def test_a_search_narrows_the_list(shop: Telemetry, q: str, routes: list[str]) -> None:
    assert [row.split()[1] for row in listed(page(q=q))] == routes


def test_filters_are_chips_that_can_be_taken_away(shop: Telemetry) -> None:
    html = page(q="route:/products/ status:404", sort="duration", range="6h")
    assert addresses(html, "status:404") == [
        "/traces/?q=route%3A%2Fproducts%2F&sort=duration&range=6h"
    ]
    assert addresses(html, "take all away") == ["/traces/?sort=duration&range=6h"]


def test_a_mistake_is_told_and_the_rest_is_looked_for(shop: Telemetry) -> None:
    html = page(q="duration>fast status:404")
    assert "duration>fast: a time such as 200ms, 1.5s or 2min is wanted" in text(html)
    assert len(listed(html)) == 1


def test_nothing_found_says_what_to_do(shop: Telemetry) -> None:
    html = page(q="nowhere")
    assert "No traces match. Take a word away, or look through" in text(html)
    assert addresses(html, "the last 7 days") == ["/traces/?q=nowhere&range=7d"]


def test_an_empty_store_says_what_to_do(telemetry: Telemetry) -> None:
    html = page()
    assert answer(html) == "No traces, last hour"
    assert "No traces yet. Open a page of your site" in text(html)


def test_pages_follow_one_another_and_lead_back(telemetry: Telemetry) -> None:
    for _ in range(130):
        telemetry.request("/many/", queries=0)
    telemetry.request("/newest/", queries=0)
    telemetry.keep()
    html = page(q="many")
    assert answer(html).startswith("100 traces, the newest, last hour")
    assert "narrow them by route:" in text(html)
    (older,) = addresses(html, "Older ones")
    second = by_token().get(older).content.decode()
    assert len(listed(second)) == 30
    assert answer(second).startswith("30 traces, older ones")
    assert addresses(second, "Back to the newest") == ["/traces/?q=many"]
    assert addresses(second, "Older ones") == []


def test_a_cursor_of_something_else_is_told(shop: Telemetry) -> None:
    for cursor in ("x", "9" * 400, f"{2**63}:a"):
        response = by_token().get("/traces/", {"cursor": cursor})
        assert response.status_code == 404
        assert "This address isn" in response.content.decode()


def test_an_address_with_times_out_of_all_bounds_has_a_page(shop: Telemetry) -> None:
    page(**{"from": "999999999999999", "to": "999999999999999"})
    assert len(listed(page(**{"from": "1", "to": "999999999999999"}))) == 4


# --- live


def newer(html: str) -> tuple[str, str]:
    """What is said about new ones, and the address that tells it the next time."""
    found = re.search(r'<div id="newer".*?hx-get="([^"]*)".*?</div>', html, re.DOTALL)
    assert found is not None
    return text(found[0]), unescape(found[1])


def test_only_a_live_list_asks_what_is_new(shop: Telemetry) -> None:
    html = page()
    assert addresses(html, "live") == ["/traces/?live=1"]
    assert 'id="newer"' not in html
    live = page(live="1")
    assert addresses(live, "live") == ["/traces/"]
    assert newer(live)[0] == "Live: what comes is gathered here."


def test_new_traces_are_counted_until_they_are_asked_for(shop: Telemetry) -> None:
    _, poll = newer(page(live="1", q="route:/products/"))
    assert by_token().get(poll).status_code == 204
    # One that began before all others, and two that don't match.
    shop.request("/products/", start=shop.at - 300 * SECOND)
    shop.request("/products/")
    shop.request("/about/")
    shop.request("/about/")
    shop.keep()
    html = by_token().get(poll).content.decode()
    said, poll = newer(html)
    assert said == "2 new"
    assert "<html" not in html
    assert by_token().get(poll).status_code == 204
    assert addresses(html, "2 new") == ["/traces/?live=1&q=route%3A%2Fproducts%2F"]
    assert len(listed(page(live="1", q="route:/products/"))) == 4


def test_in_a_long_list_only_what_would_be_at_its_top_is_new(telemetry: Telemetry) -> None:
    for _ in range(110):
        telemetry.request(queries=0)
    telemetry.keep()
    _, poll = newer(page(live="1"))
    assert by_token().get(poll).status_code == 204
    telemetry.request(queries=0)
    telemetry.keep()
    assert newer(by_token().get(poll).content.decode())[0] == "1 new"


@pytest.mark.parametrize("had", ["-1", "x", "9" * 30, "٣"])
def test_what_isnt_a_count_gets_the_page(shop: Telemetry, had: str) -> None:
    assert len(listed(page(live="1", had=had, since="0"))) == 4


def test_a_time_beyond_all_bounds_has_nothing_new(shop: Telemetry) -> None:
    asked = {"live": "1", "had": "9" * 19, "since": "9" * 19}
    assert by_token().get("/traces/", asked).status_code == 204


def test_a_range_with_an_end_isnt_live(shop: Telemetry) -> None:
    ends = {"from": str(shop.at // MS - 100_000), "to": str(shop.at // MS + 1)}
    assert 'id="live"' not in page(**ends)
    assert 'id="newer"' not in page(live="1", **ends)


def test_older_pages_arent_live(telemetry: Telemetry) -> None:
    for _ in range(101):
        telemetry.request(queries=0)
    telemetry.keep()
    (older,) = addresses(page(live="1"), "Older ones")
    assert 'id="newer"' not in by_token().get(older).content.decode()


# --- files


def file(**parameters: Any) -> tuple[str, str]:
    """Its name and content."""
    response = by_token().get("/traces/", parameters)
    assert response.status_code == 200
    name = re.search(r'filename="(.*)"', response["Content-Disposition"])
    assert name is not None
    return name[1], response.getvalue().decode()


def test_the_list_goes_to_a_spreadsheet(shop: Telemetry) -> None:
    name, content = file(format="csv", q="route:/checkout/")
    assert re.fullmatch(r"traces-\d{8}T\d{6}Z\.csv", name)
    (row,) = csv.DictReader(io.StringIO(content))
    assert (row["name"], row["http_status"], row["failed"]) == ("GET /checkout/", "500", "True")
    assert (row["duration_ms"], row["spans"], row["queries"]) == ("1900.0", "3", "2")


def test_the_list_goes_to_a_collector_with_all_its_spans(shop: Telemetry) -> None:
    name, content = file(format="otlp")
    assert name.endswith("Z.jsonl")
    spans = [
        span
        for line in content.splitlines()
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    assert len(spans) == 10
    assert [span["name"] for span in spans if "parentSpanId" not in span][:2] == [
        "GET /about/",
        "GET /products/",
    ]


def test_a_files_name_says_that_there_is_more(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "MOST", 6)
    for _ in range(5):
        telemetry.request()  # three spans each
    telemetry.keep()
    name, content = file(format="otlp")
    assert "-incomplete" in name
    assert len(content.splitlines()) == 2
    name, content = file(format="csv")
    assert "-incomplete" not in name
    assert len(content.splitlines()) == 6


def test_a_file_comes_under_asgi_too(shop: Telemetry) -> None:
    async def lines() -> list[str]:
        client = AsyncClient()
        headers = {"Authorization": TOKEN["HTTP_AUTHORIZATION"]}
        response: Any = await client.get("/traces/?format=csv", headers=headers)
        assert response.is_async
        return b"".join([part async for part in response]).decode().splitlines()

    assert len(asyncio.run(lines())) == 5


@pytest.mark.parametrize("form", ["", "csv", "otlp"])
def test_strangers_get_nothing(shop: Telemetry, form: str) -> None:
    response = Client(REMOTE_ADDR=STRANGER).get(
        "/traces/", {"format": form, "had": "0", "since": "0"}
    )
    assert response.status_code in {302, 403}
    assert b"products" not in response.content


# --- hostile


def test_whatever_a_trace_says_is_shown_as_text(telemetry: Telemetry) -> None:
    root = telemetry.spans.root(HOSTILE, start=telemetry.at)
    root._attributes[names.URL_PATH] = "x" * 1_000_000
    root.end(telemetry.at + MS)
    orphan = telemetry.spans.request("/orphan/", start=telemetry.at)
    telemetry.spans.take()
    telemetry.spans.query(orphan, telemetry.at)  # its root never comes
    telemetry.request('=cmd("x")')
    telemetry.writer.accept([root])
    telemetry.keep()
    html = page()
    assert "<script>alert" not in html
    assert "\u202e" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "(its root hasn't come)" in text(html)
    assert len(html) < 60_000


@pytest.mark.parametrize(
    "q",
    [
        HOSTILE.replace("\ud800", ""),
        '"><img src=x onerror=alert(1)>',
        "a" * 20_000,
        'NEAR("x" AND *) OR -"',
        "route:%00* name:_* service:'",
        "\u202e:\u202e",
        "status:\x00404",
    ],
)
def test_whatever_is_searched_for_the_page_stands(shop: Telemetry, q: str) -> None:
    for sort in ("", "duration"):
        html = page(q=q, sort=sort)
        assert "<script>alert" not in html
        assert "<img src=x" not in html
