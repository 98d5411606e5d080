"""Telemetry for the pages of endpoints, statements, caches and tasks, and what they show of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.test import Client

from otel_django import names
from otel_django.metric_points import HistogramPoint, MetricDefinition, NumberPoint
from tests import viewer_kit
from tests.endpoints_kit import by_token, ours
from tests.store_logs import record
from tests.store_metrics import metric, of
from tests.store_spans import MS
from tests.viewer_kit import text

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
HOSTILE = "<script>alert(1)</script>\u202e\x07"


class Telemetry(viewer_kit.Telemetry):
    """What the pages read."""

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
        for back, so_many in ((6, 0), (1, count)):
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


def _attributes(what: MetricDefinition, values: dict[str, str]) -> tuple[tuple[str, str], ...]:
    def full(short: str) -> str:
        return next(each for each in what.attributes if each.replace(".", "_").endswith(short))

    return tuple(sorted((full(short), value) for short, value in values.items()))


@contextmanager
def site(folder: Path) -> Iterator[Telemetry]:
    """A site whose pages read what is kept in the block."""
    made = Telemetry(folder)
    with ours(TOKENS=["sesame"], STORE=str(made.path)):
        yield made
    made.close()


def page(path: str, client: Client | None = None, status: int = 200) -> str:
    response = (client or by_token()).get(f"/monitoring/{path}", headers={"accept": BROWSER})
    assert response.status_code == status
    return response.content.decode()


def rows(html: str) -> list[str]:
    """The rows of all tables, as a reader sees them."""
    return [text(row) for row in re.findall(r"<tr.*?</tr>", html, re.DOTALL)]
