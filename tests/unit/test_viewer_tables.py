"""The pages of endpoints, statements, caches and tasks."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from otel_django import metric_definitions as metrics
from otel_django import names
from otel_django.metric_points import HistogramPoint, MetricDefinition, NumberPoint
from otel_django.store.metric_writer import MetricWriter
from otel_django.store.writer import LogWriter, StoreWriter
from tests.endpoints_kit import by_token, ours
from tests.store_logs import record
from tests.store_metrics import metric, of
from tests.store_spans import MS, Losses, SpanSource, store_path

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
HOSTILE = "<script>alert(1)</script>\u202e\x07"


class Telemetry:
    """What is written to the store that the pages read."""

    def __init__(self, folder: Path) -> None:
        self.path = store_path(folder)
        self.losses = Losses()
        self.writer = StoreWriter(self.path, retention_hours=24, max_mb=64, drops=self.losses)
        self.logs = LogWriter(self.writer.file, drops=self.losses)
        self.metrics = MetricWriter(self.writer.file, drops=self.losses)
        self.spans = SpanSource()
        self.now_ns = time.time_ns()

    def requests(
        self, route: str, count: int = 1, *, ago_s: float = 120, status: int = 200, ms: float = 20
    ) -> None:
        start = self.now_ns - int(ago_s * 1e9)
        for _ in range(count):
            self.spans.request(route, start=start, status=status, duration_ms=ms)

    def statement(self, text: str, count: int = 1, *, ms: float = 1.0) -> str:
        """One request that runs it so often; its trace id."""
        start = self.now_ns - 60_000 * MS
        root = self.spans.request("/s/", start=start, queries=0)
        for _ in range(count):
            span = self.spans.query(root, start, text)
            span._end_time = start + int(ms * MS)
        return format(root.get_span_context().trace_id, "032x")

    def repeated(self, text: str, trace_id: str, queries: int) -> None:
        told: dict[str, Any] = {
            names.DB_QUERY_TEXT: text,
            names.HTTP_ROUTE: "/brands/",
            names.N_PLUS_ONE_COUNT: queries,
            names.N_PLUS_ONE_DURATION: 0.03,
            names.CODE_FILE_PATH: "catalogue/views.py",
            names.CODE_LINE_NUMBER: 41,
        }
        number = int(trace_id, 16)
        self.logs.accept([record(names.QUERY_REPEATED, named=True, trace_id=number, **told)])

    def measured(self, what: MetricDefinition, *levels: float, **values: str) -> None:
        """A gauge or counter: a level a minute, the last one a minute ago; ``what``'s attributes by
        the last words of their names, with underscores.
        """
        attributes = _attributes(what, values)
        for number, level in enumerate(levels):
            time_ns = self.now_ns - (len(levels) - number) * 60_000 * MS
            start_ns = self.now_ns - 7_000_000 * MS
            point = NumberPoint(attributes, level, start_ns, time_ns)
            self.metrics.take([of(metric(point, name=what.name, kind=what.kind))])

    def took(self, what: MetricDefinition, within_s: float, count: int, **values: str) -> None:
        """A histogram: so many took no longer, and longer than the bound before it."""
        for back, so_many in ((3, 0), (1, count)):
            counts = [0] * (len(what.bounds) + 1)
            counts[what.bounds.index(within_s)] = so_many
            time_ns = self.now_ns - back * 60_000 * MS
            start_ns = self.now_ns - 7_000_000 * MS
            attributes = _attributes(what, values)
            point = HistogramPoint(attributes, tuple(counts), within_s * count, start_ns, time_ns)
            made = metric(point, name=what.name, kind=what.kind, bounds=what.bounds)
            self.metrics.take([of(made)])

    def task(self, name: str, count: int, *, ms: float = 20) -> None:
        start = self.now_ns - 60_000 * MS
        for _ in range(count):
            self.spans.root(f"process {name}", start=start).end(start + int(ms * MS))

    def keep(self) -> None:
        self.writer.accept(self.spans.take())
        for sink in (self.writer, self.logs, self.metrics):
            sink.flush(time.monotonic() + 2)


def _attributes(what: MetricDefinition, values: dict[str, str]) -> tuple[tuple[str, str], ...]:
    def full(short: str) -> str:
        return next(each for each in what.attributes if each.replace(".", "_").endswith(short))

    return tuple(sorted((full(short), value) for short, value in values.items()))


@pytest.fixture
def telemetry(tmp_path: Path) -> Iterator[Telemetry]:
    made = Telemetry(tmp_path)
    with ours(TOKENS=["sesame"], STORE=str(made.path)):
        yield made
    made.writer.close(time.monotonic() + 2)
    assert made.losses.counts == {}


def page(path: str, client: Client | None = None, status: int = 200) -> str:
    response = (client or by_token()).get(f"/monitoring/{path}", headers={"accept": BROWSER})
    assert response.status_code == status
    return response.content.decode()


def text(html: str) -> str:
    """What a reader sees of it, on one line."""
    main = html.partition('<main id="main">')[2].partition("</main>")[0]
    bare = re.sub(r"<script.*?</script>|<[^>]+>", " ", main, flags=re.DOTALL)
    return " ".join(unescape(bare).split())


def rows(html: str) -> list[str]:
    """The rows of all tables, as a reader sees them."""
    return [
        text(f'<main id="main">{row}</main>') for row in re.findall(r"<tr.*?</tr>", html, re.DOTALL)
    ]


# --- endpoints


def test_endpoints_say_what_takes_the_time_and_what_fails(telemetry: Telemetry) -> None:
    telemetry.requests("/search/", 3, ms=800)
    telemetry.requests("/checkout/", 1, status=500)
    telemetry.keep()
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
    assert page("endpoints/?sort=%3Cscript%3E") == page("endpoints/?sort=%3Cscript%3E")


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


# --- caches


def test_the_cache_page_tells_hit_ratios_by_cache_and_prefix(telemetry: Telemetry) -> None:
    counts = {("default", "page", "hit"): 90, ("default", "page", "miss"): 10}
    counts |= {("default", "user", "hit"): 1, ("default", "user", "miss"): 9}
    counts |= {("sessions", "", "hit"): 8, ("sessions", "", "error"): 2}
    for (alias, prefix, result), count in counts.items():
        values = {"alias": alias, "operation": "get", "result": result, "key_prefix": prefix}
        telemetry.measured(metrics.DJANGO_CACHE_OPERATIONS, 100, 100, 100 + count, **values)
    telemetry.took(
        metrics.DJANGO_CACHE_OPERATION_DURATION, 0.01, 20, alias="default", operation="get"
    )
    telemetry.measured(metrics.REDIS_MEMORY_USED, 4_000_000, alias="default")
    telemetry.keep()
    html = page("performance/cache/")
    found = rows(html)

    answer = "84 % of 118 look-ups hit, last hour; p95 of calls 9.8 ms; 2 failed good"
    assert text(html).startswith(answer)
    assert "default 110 91 19 0 4.0 MB – – good 83 %" in found
    assert "sessions 8 8 0 2 – – – good 100 %" in found
    assert "page default 100 90 10 90 %" in found
    assert "user default 10 1 poor 9 10 %" in found
    assert [row for row in found if row.startswith("get default 20 0 ")]
    assert not [row for row in rows(page("performance/cache/?q=user")) if row.startswith("page")]


def test_a_site_without_caches_is_told_where_the_figures_come_from(telemetry: Telemetry) -> None:
    telemetry.keep()
    assert "No cache was used in this range" in text(page("performance/cache/"))


# --- tasks


def test_the_tasks_page_says_whether_work_piles_up(telemetry: Telemetry) -> None:
    telemetry.measured(metrics.CELERY_QUEUE_LENGTH, 2, 40, 214, name="mail")
    telemetry.measured(metrics.CELERY_QUEUE_OLDEST_MESSAGE_AGE, 1, 720, name="mail")
    telemetry.measured(metrics.CELERY_QUEUE_LENGTH, 0, 0, 0, name="celery")
    heard_s = telemetry.now_ns / 1e9 - 90
    telemetry.measured(metrics.CELERY_WORKER_LAST_HEARTBEAT, heard_s, worker="w1@shop")
    telemetry.measured(metrics.CELERY_WORKER_TASKS, 3, worker="w1@shop", state="active")
    telemetry.measured(metrics.CELERY_WORKERS, 1, state="online")
    telemetry.measured(metrics.CELERY_WORKERS, 1, state="stuck")
    telemetry.measured(metrics.CELERY_BEAT_MISSED_RUNS, 1, 4, entry="nightly")
    telemetry.keep()
    html = page("tasks/")

    answer = text(html)
    assert answer.startswith("214 messages wait, the oldest for 12.0 min in mail; 1 worker online")
    assert "1 stuck" in answer
    assert "nothing ran, beat missed 3" in answer
    assert "3 runs of nightly" in answer
    assert "mail 214 2 12.0 min" in rows(html)
    assert "celery 0 0 –" in rows(html)
    assert [row for row in rows(html) if re.match(r"w1@shop – .* ago 3 – –", row)]


def test_tasks_are_told_with_how_they_ended_and_how_long_they_waited(
    telemetry: Telemetry,
) -> None:
    for state, count in {"success": 8, "failure": 2, "retry": 3, "revoked": 1}.items():
        which = {"task_name": "shop.confirm", "destination_name": "mail", "state": state}
        telemetry.measured(metrics.CELERY_TASK_EXECUTIONS, 0, count, **which)
    telemetry.took(metrics.CELERY_TASK_QUEUE_WAIT, 5.0, 13, task_name="shop.confirm")
    telemetry.task("shop.confirm", 13, ms=20)
    telemetry.task("shop.only_traced", 2, ms=1)
    telemetry.keep()
    html = page("tasks/")

    assert text(html).startswith("15 runs, 2 failed")
    assert rows(html)[1].startswith("shop.confirm mail 1 revoked traces 13 2 3 4,800 ms 19 ms")
    assert "endpoint=process+shop.confirm" in html
    assert rows(html)[2].startswith("shop.only_traced traces 2 0 0")
    assert "shop.confirm" not in " ".join(rows(page("tasks/?q=traced")))


def test_queues_and_workers_go_on_by_themselves_when_asked(telemetry: Telemetry) -> None:
    telemetry.measured(metrics.CELERY_QUEUE_LENGTH, 2, name="mail")
    telemetry.keep()

    assert 'hx-trigger="every' not in page("tasks/")
    assert 'hx-get="/monitoring/tasks/?live=1" hx-trigger="every 5s"' in page("tasks/?live=1")
    assert 'hx-trigger="every' not in page("tasks/?live=1&from=0&to=1000")


def test_a_site_without_tasks_is_told_what_to_do(telemetry: Telemetry) -> None:
    telemetry.keep()
    assert "No tasks in this range" in text(page("tasks/"))


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
