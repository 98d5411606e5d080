"""The pages of endpoints and of statements, and pages beside JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from django.test import Client

from tests.endpoints_kit import by_token, ours
from tests.tables_kit import BROWSER, HOSTILE, Telemetry, page, rows, site
from tests.viewer_kit import at_second, text


@pytest.fixture
def telemetry(tmp_path: Path) -> Iterator[Telemetry]:
    with site(tmp_path) as made:
        yield made


# --- endpoints


def test_endpoints_say_what_takes_the_time_and_what_fails(telemetry: Telemetry) -> None:
    telemetry.requests("/search/", 3, ms=800)
    telemetry.requests("/checkout/", 1, status=500)
    telemetry.keep()
    with at_second(telemetry, 0):
        html = page("endpoints/")

    assert text(html).startswith("4/h to 2 endpoints, last hour; 25 % failed")
    assert "99.2 % of the time in GET /search/" in text(html)
    assert rows(html)[1].startswith("GET /search/ 3.0/h 0 %")
    assert rows(html)[2].startswith("GET /checkout/ 1.0/h 100 %")
    assert "name%3A%22GET+%2Fcheckout%2F%22+errors%3Ayes" in html


def test_a_heading_sorts_and_sorts_the_other_way(telemetry: Telemetry) -> None:
    telemetry.requests("/a/", 1, ms=500)
    telemetry.requests("/b/", 5, ms=1)
    telemetry.keep()

    by_rate = page("endpoints/?sort=rate")
    assert [row[:7] for row in rows(by_rate)[1:]] == ["GET /b/", "GET /a/"]
    assert 'aria-sort="descending"><a href="/monitoring/endpoints/?sort=-rate"' in by_rate
    turned = page("endpoints/?sort=-rate")
    assert [row[:7] for row in rows(turned)[1:]] == ["GET /a/", "GET /b/"]
    by_name = page("endpoints/?sort=name")
    assert 'aria-sort="ascending"' in by_name
    assert page("endpoints/?sort=%3Cscript%3E")


def test_a_change_of_p95_is_told_where_there_were_enough_calls(telemetry: Telemetry) -> None:
    telemetry.requests("/slower/", 30, ago_s=5400, ms=100)
    telemetry.requests("/slower/", 30, ms=200)
    telemetry.requests("/fresh/", 2)
    telemetry.keep()
    found = rows(page("endpoints/"))[1:]

    assert re.search(r"/slower/ .* \+1\d\d % ", found[0])
    assert "/fresh/ new" in found[1]


def test_endpoints_are_filtered_by_a_part_of_their_name(telemetry: Telemetry) -> None:
    telemetry.requests("/search/")
    telemetry.requests("/checkout/")
    telemetry.keep()

    assert "/search/" not in " ".join(rows(page("endpoints/?q=CHECK")))
    assert "No endpoint has that in its name" in text(page("endpoints/?q=nothing"))


def test_each_endpoint_has_a_line_of_its_calls_and_its_queries(telemetry: Telemetry) -> None:
    telemetry.requests("/often/", 3, ago_s=1500)
    telemetry.requests("/often/", 1, ago_s=120)
    telemetry.keep()
    html = page("endpoints/")

    (line,) = re.findall(r'class="spark".*?<polyline points="([^"]+)"', html)
    heights = {float(point.partition(",")[2]) for point in line.split()}
    assert len(heights) == 3
    assert rows(html)[1].split()[-3:] == ["2", "100", "%"]
    assert "Nothing was called" in text(page("endpoints/?service=another"))


def test_an_endpoint_has_charts_its_slowest_traces_and_their_statements(
    telemetry: Telemetry,
) -> None:
    telemetry.requests("/search/", 2, ms=10)
    telemetry.requests("/search/", 1, ms=900)
    telemetry.keep()
    html = page("endpoints/?endpoint=GET+/search/&of=shop")

    assert 'id="rates"' in html
    assert 'id="percentiles"' in html
    traces, statements = html.split("ask the database")
    assert "900 ms" in rows(traces)[1]
    assert rows(statements)[1].startswith("SELECT id, name, price, stock FROM catalogue_product")
    assert " 6 " in rows(statements)[1]
    assert "name%3A%22GET+%2Fsearch%2F%22" in html


def test_an_endpoint_that_is_not_kept_says_so(telemetry: Telemetry) -> None:
    telemetry.keep()
    assert "Nothing of it in this range" in text(page("endpoints/?endpoint=GET+/gone/"))
    assert "Nothing was called in this range" in text(page("endpoints/"))


def test_names_of_endpoints_are_shown_as_text(telemetry: Telemetry) -> None:
    telemetry.requests(f"/{HOSTILE}/")
    telemetry.keep()
    for path in ("endpoints/", "endpoints/?endpoint=GET+/%3Cscript%3Ealert(1)%3C/script%3E"):
        html = page(path)
        assert "<script>alert" not in html
        assert "\u202e" not in html
        assert "\x07" not in html


# --- database

BRAND = 'SELECT "id", "name" FROM "catalogue_brand" WHERE "id" = %s'
REPORT = 'SELECT sum("total") FROM "orders_order" WHERE "note" LIKE %s'


def test_the_database_page_says_which_statement_takes_the_time(telemetry: Telemetry) -> None:
    telemetry.statement(REPORT, ms=700)
    telemetry.statement(BRAND, 40)
    telemetry.keep()
    html = page("performance/queries/")

    assert text(html).startswith("41 queries took 740 ms, last hour; 95 % of it in SELECT … FROM")
    first, second = rows(html)[1:]
    assert first.startswith("SELECT … FROM orders_order WHERE note LIKE %s 1 0 700 ms poor")
    assert " 40 0 1.0 ms" in second
    assert rows(page("performance/queries/?show=slow"))[1:] == [first]
    assert rows(page("performance/queries/?q=catalogue_brand"))[1:] == [second]
    assert "No statement matches" in text(page("performance/queries/?show=failed"))


def test_n_plus_ones_stand_above_with_their_line_and_trace(telemetry: Telemetry) -> None:
    trace_id = telemetry.statement(BRAND, 60)
    telemetry.repeated(BRAND.replace("%s", "?"), trace_id, 60)
    telemetry.keep()
    html = page("performance/queries/")

    assert "1 N+1 fair" in text(html)
    assert "catalogue/views.py:41 /brands/ 60 1 30 ms" in rows(html)[1]
    assert f"/traces/{trace_id}/" in html


def test_a_statement_is_laid_out_with_the_traces_that_ran_it(telemetry: Telemetry) -> None:
    other = telemetry.statement(f"{BRAND} ORDER BY name")
    trace_id = telemetry.statement(BRAND, 60)
    telemetry.repeated(BRAND.replace("%s", "?"), trace_id, 60)
    telemetry.keep()
    of_repeated = re.findall(r"statement=[0-9a-f]+", page("performance/queries/"))[1]
    html = page(f"performance/queries/?{of_repeated}")

    assert text(html).startswith("All statements 60 runs took 60 ms")
    assert '\nFROM "catalogue_brand"\nWHERE' in unescape(html)
    assert f"/traces/{trace_id}/" in html
    assert f"/traces/{other}/" not in html
    assert "catalogue/views.py:41" in html


def test_a_statement_that_is_not_kept_is_a_404(telemetry: Telemetry) -> None:
    telemetry.keep()
    assert "The database was not asked" in text(page("performance/queries/"))
    assert "isn't among those" in text(page("performance/queries/?statement=00", status=404))


def test_statements_are_shown_as_text(telemetry: Telemetry) -> None:
    telemetry.statement(f"SELECT '{HOSTILE}' {'x' * 1_000_000}")
    telemetry.keep()
    html = page("performance/queries/")
    key = re.findall(r"statement=[0-9a-f]+", html)[0]
    for each in (html, page(f"performance/queries/?{key}")):
        assert "<script>alert" not in each
        assert "\u202e" not in each
        assert len(each) < 200_000


# --- pages beside JSON


@pytest.mark.parametrize("path", ["performance/queries/", "performance/cache/"])
def test_browsers_get_the_page_and_programs_the_json(telemetry: Telemetry, path: str) -> None:
    telemetry.keep()

    def kind(query: str = "", **headers: str) -> str:
        response = by_token().get(f"/monitoring/{path}{query}", headers=headers)
        assert response.status_code == 200
        assert "Accept" in response["Vary"]
        return str(response["Content-Type"]).partition(";")[0]

    assert kind(accept=BROWSER) == "text/html"
    assert kind(accept="*/*") == "application/json"
    assert kind(accept="application/json, text/html;q=0.5") == "application/json"
    assert kind(accept="text/html;q=0") == "application/json"
    assert kind() == "application/json"
    assert kind("?format=json", accept=BROWSER) == "application/json"
    assert kind("?format=html", accept="*/*") == "text/html"


def test_without_the_pages_browsers_get_json_too(telemetry: Telemetry) -> None:
    telemetry.keep()
    with ours(TOKENS=["sesame"], STORE=str(telemetry.path), VIEWER=False):
        response = by_token().get("/monitoring/performance/queries/", headers={"accept": BROWSER})
    assert response["Content-Type"] == "application/json"


def test_strangers_get_neither(telemetry: Telemetry) -> None:
    stranger = Client(REMOTE_ADDR="192.0.2.1")
    for path in ("endpoints/", "performance/queries/", "performance/cache/", "tasks/"):
        response = stranger.get(f"/monitoring/{path}", headers={"accept": BROWSER})
        assert response.status_code in {302, 401, 403}
        assert b"<main" not in response.content
