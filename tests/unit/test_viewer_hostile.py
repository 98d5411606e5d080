"""Whatever came with telemetry or an address: every page stands, and shows it as text."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.test import Client, override_settings
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

from otel_django import metric_definitions as metrics
from otel_django import names
from otel_django.backends.embedded_errors import EmbeddedErrorReader
from otel_django.metric_points import NumberPoint
from otel_django.viewer.paths import PATHS
from otel_django.viewer.urls import VIEWS
from tests.endpoints_kit import by_token, ours
from tests.store_logs import record
from tests.store_metrics import metric, of
from tests.store_spans import MS, SpanSource
from tests.tables_kit import BROWSER, Telemetry
from tests.viewer_kit import text

HOSTILE = "<script>alert(1)</script>\"'>\u202e\u2066\x07\x1b[2J\r\nx"
HUGE = "</pre><img src=x onerror=alert(1)>" + "y" * 1_000_000
TURNING = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
NAMES = tuple(name for name in VIEWS if name not in {"trace", "error", "static"})
ASKED = ("", "live=1", "range=24h", "range=7d", "sort=name", f"service={quote(HOSTILE)}")
PARAMETERS = (
    *("q", "service", "range", "from", "to", "sort", "span", "open", "zoom", "name", "split"),
    *("level", "logger", "kind", "state", "live", "by", "metric", "where", "group", "show"),
)
INSTEAD = ("format", "cursor", "at", "after", "part", "had", "since", "told", "explain")
"""They may have something else answered than the page."""
STRANGE = (HOSTILE, "\x00", "-1", "9" * 40, "NaN", "%s%n{}", "../../etc/passwd", "é" * 300)


class Seen(HTMLParser):
    """What a browser would run, and what somebody would read."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.faults: list[str] = []
        self._tag = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        given = dict(attrs)
        if tag == "script" and not given.get("src") and given.get("type") != "application/json":
            self.faults.append("a script")
        if tag in {"img", "iframe", "object", "embed", "style"}:
            self.faults.append(tag)
        for name, value in attrs:
            if name.startswith("on") or name == "style":
                self.faults.append(f"{tag} {name}")
            if name in {"href", "src", "action"} and re.match(r"\s*(java|data:text)", value or ""):
                self.faults.append(f"{tag} {name}={value}")
            if name != "value" and not name.startswith("data-"):  # these are read by scripts
                self._look(value or "", f"{tag} {name}")

    handle_startendtag = handle_starttag

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""

    def handle_data(self, data: str) -> None:
        if self._tag != "script":
            self._look(data, f"text in {self._tag}")

    def _look(self, data: str, where: str) -> None:
        if TURNING.search(data) or CONTROL.search(data):
            self.faults.append(f"{where}: {data[:80]!r}")


def faults(response: Any) -> list[str]:
    """What is wrong with an answer."""
    found = [] if response.status_code in {200, 204, 302, 400, 404} else [response.status_code]
    if response.headers.get("Content-Type", "").startswith("text/html"):
        found += Seen(response.content.decode()).faults
        found += ["it's huge"] if len(response.content) > 3_000_000 else []
    return found


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Telemetry]:
    """Hostile in each place where telemetry has a text, and impossible in its times and parents."""
    made = Telemetry(tmp_path_factory.mktemp("hostile"))
    made.spans = SpanSource(HOSTILE)
    start = made.now_ns - 60_000 * MS
    trace = _spans(made, start)
    stack = f'Traceback:\n  File "{HOSTILE}.py", line 1, in {HOSTILE}\n{HUGE}\nError: {HOSTILE}'
    said: dict[str, Any] = {
        HOSTILE: HOSTILE,
        "huge": HUGE,
        names.EXCEPTION_TYPE: HOSTILE,
        names.EXCEPTION_MESSAGE: HOSTILE,
        names.EXCEPTION_STACKTRACE: stack,
    }
    repeated: dict[str, Any] = {
        names.DB_QUERY_TEXT: f"SELECT '{HOSTILE}'",
        names.HTTP_ROUTE: HOSTILE,
        names.N_PLUS_ONE_COUNT: 40,
        names.N_PLUS_ONE_DURATION: 0.5,
        names.CODE_FILE_PATH: HOSTILE,
        names.CODE_LINE_NUMBER: -1,
    }
    made.logs.accept(
        [
            record(HOSTILE, level="error", logger=HOSTILE, time_ns=start, trace_id=trace, **said),
            record(HOSTILE, named=True, body=[HOSTILE, {HOSTILE: HUGE}], time_ns=start),
            record(HUGE, time_ns=start + MS),
            record(names.QUERY_REPEATED, named=True, time_ns=start, trace_id=trace, **repeated),
            record("", time_ns=start),
        ]
    )
    _metrics(made)
    made.keep()
    assert made.losses.counts == {}
    yield made
    made.writer.close(time.monotonic() + 2)


def _spans(made: Telemetry, start: int) -> int:
    """The id of a trace with one of each."""
    root = made.spans.root(HOSTILE, start=start)
    root.set_attributes({HOSTILE: HOSTILE, "huge": HUGE, "many": [HOSTILE] * 50})
    root.set_attributes({names.HTTP_ROUTE: HOSTILE, names.URL_PATH: HOSTILE})
    root.set_attribute(names.HTTP_REQUEST_METHOD, HOSTILE)
    root.add_event(HOSTILE, {HOSTILE: HOSTILE, names.EXCEPTION_MESSAGE: HUGE}, timestamp=start)
    made.spans.query(root, start, f"SELECT '{HOSTILE}' {HUGE}")
    for _ in range(12):
        made.spans.query(root, start + MS, f"SELECT '{HOSTILE}'")
    trace = root.get_span_context().trace_id
    host = {names.SERVER_ADDRESS: HOSTILE, "url.full": f"javascript:{HOSTILE}"}
    queue = {names.MESSAGING_DESTINATION_NAME: HOSTILE, names.MESSAGING_SYSTEM: HOSTILE}
    _child(made, root, SpanKind.CLIENT, host, start)
    _child(made, root, SpanKind.PRODUCER, queue, start)
    one = _child(made, root, SpanKind.INTERNAL, {}, start)
    other = _child(made, one, SpanKind.INTERNAL, {}, start)
    one._parent = other.get_span_context()
    orphan = _child(made, root, SpanKind.INTERNAL, {}, start)
    orphan._parent = SpanContext(trace, 0xDEAD, False, TraceFlags(1))
    itself = _child(made, root, SpanKind.INTERNAL, {}, start)
    itself._parent = itself.get_span_context()
    _child(made, root, SpanKind.INTERNAL, {}, start - 10**12)
    _child(made, root, SpanKind.INTERNAL, {}, start + 10**12)
    backwards = _child(made, root, SpanKind.INTERNAL, {}, start)
    backwards._end_time = start - 10**9
    root.fail(HOSTILE)
    root.end(start + 50 * MS)
    task = made.spans.root(
        f"process {HOSTILE}",
        start=start + 60 * MS,
        parent=SpanContext(trace, root.get_span_context().span_id, True, TraceFlags(1)),
        kind=SpanKind.CONSUMER,
        celery__task__name=HOSTILE,
        celery__task__queue_wait=-5.0,
    )
    task.end(start + 61 * MS)
    rootless = made.spans.root("never kept", start=start)
    made.spans.query(rootless, start, HOSTILE)
    return trace


def _child(
    made: Telemetry, parent: Any, kind: SpanKind, attributes: dict[str, Any], start: int
) -> Any:
    span = made.spans.tracer.begin(HOSTILE, kind, attributes, parent, start)
    span.end(start + 5 * MS)
    return span


def _metrics(made: Telemetry) -> None:
    began, now = made.now_ns - 3_600_000 * MS, made.now_ns - 60_000 * MS
    values = (float("nan"), float("inf"), -1e308, 5e-324)
    points = [
        NumberPoint(((HOSTILE, f"{HOSTILE}{number}"), ("huge", HUGE)), value, began, now)
        for number, value in enumerate(values)
    ]
    evil = metric(*points, name=HOSTILE, kind="gauge")._replace(unit=HOSTILE, description=HUGE)
    made.metrics.take([of(evil, service=HOSTILE, instance=HOSTILE)])
    for what in (metrics.DJANGO_CACHE_OPERATIONS, metrics.CELERY_QUEUE_LENGTH):
        attributes = tuple((each, HOSTILE) for each in sorted(what.attributes))
        point = NumberPoint(attributes, 7.0, began, now)
        made.metrics.take([of(metric(point, name=what.name, kind=what.kind), service=HOSTILE)])


@pytest.fixture(autouse=True)
def site(told: Telemetry) -> Iterator[None]:
    with (
        ours(TOKENS=["sesame"], STORE=str(told.path)),
        override_settings(ROOT_URLCONF="otel_django.viewer.urls"),
    ):
        yield


def clients() -> tuple[Client, Client]:
    """A browser, and a script on a page."""
    return by_token(HTTP_ACCEPT=BROWSER), by_token(HTTP_ACCEPT=BROWSER, HTTP_HX_REQUEST="true")


def links(html: str) -> list[str]:
    """Where a page leads to."""
    return [each.replace("&amp;", "&") for each in re.findall(r'href="(/[^"]*)"', html)]


@pytest.mark.parametrize("name", NAMES)
def test_every_page_stands_and_shows_hostile_telemetry_as_text(name: str) -> None:
    for asked in ASKED:
        for client in clients():
            assert faults(client.get(f"/{PATHS[name]}?{asked}")) == [], asked


@pytest.mark.parametrize("name", ["traces", "logs", "metrics", "endpoints", "errors", "services"])
def test_what_is_hostile_is_there_to_be_read(name: str) -> None:
    shown = text(clients()[0].get(f"/{PATHS[name]}?range=24h&kind=all").content.decode())
    assert "<script>alert(1)</script>" in shown


def test_every_trace_stands_with_the_details_of_every_span(told: Telemetry) -> None:
    browser, script = clients()
    listed = browser.get("/traces/?range=7d").content.decode()
    traces = set(re.findall(r"/traces/([0-9a-f]{32})/", listed))
    assert len(traces) >= 2
    for trace in traces:
        address = f"/traces/{trace}/"
        whole = browser.get(address)
        assert faults(whole) == []
        for span in {*re.findall(r"span=([0-9a-f]{16})", whole.content.decode())}:
            for asked in (f"span={span}", f"span={span}&open={span}&zoom={span}"):
                assert faults(browser.get(f"{address}?{asked}")) == []
            assert faults(script.get(f"{address}?span={span}&part=span")) == []


def test_every_kind_of_error_and_every_log_record_stands(told: Telemetry) -> None:
    browser, script = clients()
    groups = EmbeddedErrorReader(told.path).groups(0, told.now_ns).groups
    assert groups
    for group in groups:
        assert faults(browser.get(f"/errors/{group.fingerprint}/?range=24h")) == []
    shown = browser.get("/logs/?range=24h").content.decode()
    leading = [*re.findall(r'hx-get="([^"]+)"', shown), *links(shown)]
    for address in {each.replace("&amp;", "&") for each in leading if "/logs/" in each}:
        for client in (browser, script):
            assert faults(client.get(address)) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_page_leads_to_pages_that_stand(name: str) -> None:
    browser, _ = clients()
    for address in sorted(set(links(browser.get(f"/{PATHS[name]}?range=24h").content.decode()))):
        assert faults(browser.get(address)) == [], address


@pytest.mark.parametrize("name", [*NAMES, "trace", "error"])
def test_every_parameter_may_be_anything(name: str) -> None:
    path = PATHS[name].replace("<hex:trace_id>", "1" * 32).replace("<hex:fingerprint>", "0" * 16)
    browser, _ = clients()
    for parameters in (PARAMETERS, INSTEAD):
        for turn in range(len(STRANGE)):
            query = {each: STRANGE[(turn + n) % len(STRANGE)] for n, each in enumerate(parameters)}
            assert faults(browser.get(f"/{path}?{urlencode(query)}")) == [], query
