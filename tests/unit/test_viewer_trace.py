"""The page of a trace, over a real store."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import connections
from django.test import RequestFactory, override_settings
from opentelemetry.trace import SpanKind

from otel_django import names
from otel_django.viewer.pages.trace import trace
from tests import viewer_kit
from tests.endpoints_kit import TOKEN, by_token
from tests.site.databases import database_alias
from tests.store_logs import record
from tests.store_spans import MS
from tests.viewer_kit import shown, text

HOSTILE = "<script>alert(1)</script>\u202e\x07</pre>"


class Store(viewer_kit.Telemetry):
    """A store that spans and log records can be put into."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.start = self.now_ns - 60_000 * MS

    def keep(self, *logs: Any) -> None:
        self.logs.accept(logs)
        super().keep()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with shown(Store(tmp_path)) as made:
        yield made


def trace_id(span: Any) -> str:
    return format(span.get_span_context().trace_id, "032x")


def span_id(span: Any) -> str:
    return format(span.get_span_context().span_id, "016x")


def page(root: Any, query: str = "", status: int = 200) -> str:
    response = by_token().get(f"/traces/{trace_id(root)}/{query}")
    assert response.status_code == status
    return response.content.decode()


def data(html: str) -> dict[str, Any]:
    [found] = re.findall(r'<script id="trace-rows" type="application/json">(.*?)</script>', html)
    loaded: dict[str, Any] = json.loads(found)
    return loaded


def test_a_trace_says_at_the_top_what_it_is_and_where_its_time_went(store: Store) -> None:
    root = store.spans.request("/checkout/", status=500, start=store.start, duration_ms=40)
    store.keep()
    shown = text(page(root))

    assert shown.startswith("GET /checkout/ 500 40 ms, 98 % of it in code; ✗ 1 span failed")
    assert "3 spans 2 queries (1.0 ms) test" in shown
    assert "code 39 ms 98 % database 1.0 ms 2.5 %" in shown


def test_rows_are_there_without_a_script_and_repeats_unfold_by_a_link(store: Store) -> None:
    root = store.spans.request(start=store.start, queries=6)
    store.keep()
    html = page(root)

    assert "SELECT catalogue_product ×6" in text(html)
    assert html.count("<tr class=") == 2
    [unfold] = re.findall(r'class="twist" href="[^"]*(\?[^"]*)"', html)
    assert page(root, unfold).count("<tr class=") == 8
    assert len(data(html)["rows"]) == 8


def test_the_chosen_span_is_told_with_its_statement_and_links_to_traces_alike(store: Store) -> None:
    root = store.spans.request(start=store.start, queries=0)
    query = store.spans.query(root, store.start + MS)
    store.keep()
    html = page(root, f"?span={span_id(query)}&part=span")

    assert "<html" not in html
    assert "FROM catalogue_product\nWHERE id = ?\nORDER BY name" in html
    assert 'href="/traces/?q=db.namespace%3Ashop"' in html
    assert text(html).startswith("← the whole trace SELECT catalogue_product")


def test_an_exception_is_told_with_its_stack_and_its_group(store: Store) -> None:
    root = store.spans.root("GET /", start=store.start)
    try:
        raise ValueError("no address")
    except ValueError as error:
        root.record_exception(error, timestamp=store.start + 2 * MS)
        root.fail("ValueError")
    root.end(store.start + 5 * MS)
    store.keep()
    html = page(root)

    assert "◆ ValueError: no address" in text(html)
    assert re.search(r'href="/errors/[0-9a-f]{16}/"', html)
    assert '<ol class="stack"' in html


def test_log_records_stand_in_place_and_below(store: Store) -> None:
    root = store.spans.request(start=store.start)
    store.keep(
        record(
            "payment refused",
            level="error",
            time_ns=store.start + 5 * MS,
            trace_id=root.get_span_context().trace_id,
            span_id=root.get_span_context().span_id,
            order=17,
        )
    )
    html = page(root)

    assert "Logs in this trace (1)" in html
    assert re.search(r'<tr class="log failed.*?payment refused  order=17', html, re.DOTALL)
    assert "ERROR shop.orders payment refused order=17" in text(html)
    [record_page] = re.findall(r'href="(/logs/\?at=[^"]+)"', html)
    assert by_token().get(unescape(record_page)).status_code == 200


def test_a_trace_is_exported_as_otlp_json(store: Store) -> None:
    root = store.spans.request(start=store.start)
    store.keep()
    response = by_token().get(f"/traces/{trace_id(root)}/?format=otlp")

    [resource] = json.loads(response.content)["resourceSpans"]
    assert len(resource["scopeSpans"][0]["spans"]) == 3
    assert f"trace-{trace_id(root)}.json" in response["Content-Disposition"]


def test_a_trace_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    root = store.spans.request(start=store.start)
    store.keep()
    whole = f"/traces/{trace_id(root)}/"

    assert by_token().get(f"/traces/{trace_id(root)[:12]}/").headers["Location"] == whole
    assert by_token().get("/traces/00000000ffff/").status_code == 404
    missing = by_token().get(f"/traces/{'f' * 32}/")
    assert (missing.status_code, "No such trace is kept" in missing.content.decode()) == (404, True)


def test_hostile_names_and_values_are_text(store: Store) -> None:
    root = store.spans.root(HOSTILE, start=store.start)
    root.set_attributes({HOSTILE: HOSTILE, "huge": "x" * 5_000})
    root.add_event(HOSTILE, {HOSTILE: HOSTILE}, timestamp=store.start)
    store.spans.query(root, store.start, f"SELECT {HOSTILE} FROM x")
    root.end(store.start + 5 * MS)
    store.keep(record(HOSTILE, trace_id=root.get_span_context().trace_id))
    for query in ("", "?part=span", "?span=%3Cscript%3Ealert(1)&open=%22%3E&part=x"):
        html = page(root, query)
        assert "<script>alert" not in html
        assert "\u202e" not in html
        assert "\x07" not in html


def test_a_huge_trace_shows_its_first_rows_and_gives_a_script_all_of_them(store: Store) -> None:
    root = store.spans.root("GET /", start=store.start)
    for number in range(1_200):
        child = store.spans.tracer.begin(
            f"step {number}", SpanKind.INTERNAL, {}, root, store.start + number * MS
        )
        child.end(store.start + (number + 1) * MS)
    root.end(store.start + 1_200 * MS)
    store.keep()
    html = page(root)

    assert html.count("<tr class=") == 500
    assert "The first 500 rows." in html
    assert len(data(html)["rows"]) == 1_201


def test_a_trace_whose_root_has_not_come_says_so(store: Store) -> None:
    root = store.spans.root("GET /", start=store.start)
    store.spans.query(root, store.start + MS)
    store.keep()
    shown = text(page(root))

    assert "SELECT catalogue_product" in shown
    assert "hasn't arrived" in shown
    root.end()


def test_the_drawing_zooms_to_a_span_by_its_address(store: Store) -> None:
    root = store.spans.request(start=store.start, queries=0, duration_ms=40)
    query = store.spans.query(root, store.start + 10 * MS)
    store.keep()
    html = page(root, f"?zoom={span_id(query)}")

    assert "Drawn are the 500 µs of SELECT catalogue_product, from 10 ms on." in text(html)
    assert '<rect class="database" x="0.000%" width="100.000%"/>' in html
    assert data(html)["length"] == MS // 2


def test_a_task_of_another_process_is_drawn_with_its_wait(store: Store) -> None:
    root = store.spans.root("GET /", start=store.start)
    context = root.get_span_context()
    root.end(store.start + 5 * MS)
    task = store.spans.root(
        "process mail",
        start=store.start + 300 * MS,
        parent=context,
        kind=SpanKind.CONSUMER,
        celery__task__name="mail",
        celery__task__queue_wait=0.25,
    )
    task.end(store.start + 350 * MS)
    store.keep()
    html = page(root)

    assert "┄ waited 250 ms in queue ┄" in text(html)
    assert '<rect class="waiting" x="14.286%" width="71.429%"/>' in html
    assert "350 ms with all that came of it" in text(html)


def test_a_plan_is_for_staff_in_debug_of_a_database_of_this_site(
    store: Store, tmp_path: Path
) -> None:
    root = store.spans.root("GET /", start=store.start)
    query = store.spans.tracer.begin(
        "SELECT t",
        SpanKind.CLIENT,
        {
            names.DB_SYSTEM_NAME: "sqlite",
            names.DB_NAMESPACE: "shop",
            names.DB_QUERY_TEXT: "SELECT name FROM t WHERE id = %s",
        },
        root,
        store.start + MS,
    )
    query.end()
    root.end()
    store.keep()
    path = f"/traces/{trace_id(root)}/?span={span_id(query)}&explain=1"
    staff = User(username="ada", is_staff=True)

    def asked(user: User | None, site: str = "same-origin") -> str:
        request = RequestFactory().get(path, HTTP_SEC_FETCH_SITE=site, **TOKEN)
        request.user = user or AnonymousUser()
        response: Any = trace(request, trace_id=trace_id(root))
        return str(response.content.decode())

    with database_alias("shop", ENGINE="django.db.backends.sqlite3", NAME=str(tmp_path / "shop")):
        with connections["shop"].cursor() as cursor:
            cursor.execute("CREATE TABLE t (id integer primary key, name text)")
        with override_settings(DEBUG=True):
            assert "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)" in unescape(asked(staff))
            assert "Another site led here" in asked(staff, "cross-site")
            assert "Plans are for staff" in asked(None)
            assert ">explain<" not in asked(None)
        assert "Plans are for staff" in asked(staff)
