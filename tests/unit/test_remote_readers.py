"""Backends that answer wrongly, late or not at all; and what is sent to them."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_django.backends import read_from
from otel_django.backends.jaeger import JaegerReader
from otel_django.backends.jaeger_edges import JaegerEdgeReader
from otel_django.backends.loki import LokiReader
from otel_django.backends.loki_errors import LokiErrorReader
from otel_django.backends.loki_query import logql
from otel_django.backends.loki_summary import LokiSummaryReader
from otel_django.backends.prometheus import PrometheusReader
from otel_django.backends.prometheus_api import WARNED
from otel_django.backends.prometheus_calls import PrometheusCallsReader
from otel_django.backends.read_from import ReadFrom
from otel_django.backends.remote import Remote, TooLargeError
from otel_django.backends.underscored import dotted, quoted
from otel_django.conf import Settings
from otel_django.conf.backend_parsers import backends
from otel_django.contracts import LogQuery, MetricQuery, TraceQuery
from otel_django.errors import ReadError, ReadTimeoutError
from otel_django.store.json_text import clean_text
from tests.misbehaving import closed_port, hanging
from tests.unit.test_conf_load import loaded

SECRET = "hunter2-of-the-test"
HOUR = 3_600 * 10**9
NOW = time.time_ns()


class Stub:
    """Answers all questions alike, and keeps them."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b"{}"
        self.more: dict[str, str] = {}
        self.asked: list[tuple[str, dict[str, list[str]], dict[str, str]]] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                headers = {key.lower(): value for key, value in self.headers.items()}
                stub.asked.append((parts.path, parse_qs(parts.query), headers))
                self.send_response(stub.status)
                for name, value in stub.more.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(stub.body)))
                self.end_headers()
                self.wfile.write(stub.body)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def listening() -> Iterator[Stub]:
    made = Stub()
    yield made
    made.close()


@pytest.fixture
def stub(listening: Stub) -> Stub:
    listening.status, listening.body, listening.more = 200, b"{}", {}
    listening.asked.clear()
    return listening


def remote(url: str, **options: Any) -> Remote:
    return Remote("Loki", url, headers={"authorization": f"Bearer {SECRET}"}, **options)


QUESTIONS: dict[str, Callable[[Remote], object]] = {
    "traces": lambda at: JaegerReader(at).list_traces(TraceQuery(service="shop")),
    "trace": lambda at: JaegerReader(at).get_trace("1" * 32),
    "services": lambda at: JaegerReader(at).services(),
    "edges": lambda at: JaegerEdgeReader(JaegerReader(at)).edges(NOW - HOUR, NOW),
    "logs": lambda at: LokiReader(at).list_logs(LogQuery()),
    "tail": lambda at: LokiReader(at).logs_since(f"{NOW - HOUR}:"),
    "around": lambda at: LokiReader(at).logs_around(f"{NOW}:aa"),
    "summary": lambda at: LokiSummaryReader(LokiReader(at)).summary(NOW - HOUR, NOW, HOUR // 60),
    "errors": lambda at: LokiErrorReader(LokiReader(at)).groups(NOW - HOUR, NOW),
    "metrics": lambda at: PrometheusReader(at).list_metrics(),
    "series": lambda at: PrometheusReader(at).read(MetricQuery("up", NOW - HOUR, NOW)),
    "known series": lambda at: PrometheusReader(at).read(
        MetricQuery("http.server.request.duration", NOW - HOUR, NOW)
    ),
    "endpoints": lambda at: PrometheusCallsReader(at).endpoints(NOW - HOUR, NOW),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *(
                        "status",
                        "data",
                        "result",
                        "resourceSpans",
                        "scopeSpans",
                        "spans",
                        "resource",
                    ),
                    *("stream", "values", "value", "metric", "traceId", "spanId", "services", "x"),
                    *("startTimeUnixNano", "endTimeUnixNano", "parent", "child", "callCount"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=list(QUESTIONS))
@pytest.mark.parametrize("status", [302, 400, 403, 429, 500])
def test_a_refusal_is_told_without_secrets(
    stub: Stub, question: Callable[[Remote], object], status: int
) -> None:
    stub.status, stub.body = status, f'{{"error": "{SECRET}"}}'.encode()
    stub.more = {"Location": f"{stub.url}/?{SECRET}"}
    with pytest.raises(ReadError) as caught:
        question(remote(stub.url))
    assert SECRET not in str(caught.value)
    assert f"(status {status})" in str(caught.value)
    assert len(stub.asked) == 1, "a redirect was followed, or it was asked again"


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=list(QUESTIONS))
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Log in</html>",
        b"[]",
        b"7",
        b'{"status": "success"}',
        b'{"status": "success", "data": {"result": [1]}}',
        b'{"status": "success", "data": {"result": [{"metric": {}, "values": [["x", 1]]}]}}',
        b'{"status": "success", "data": {"result": [{"metric": {}, "values": [["inf", "1"]]}]}}',
        b'{"status": "success", "data": {"result": [{"metric": {}, "values": [[1, "NaN"]]}]}}',
        b'{"status": "success", "data": {"result": [{"metric": {}, "value": [1, "-Inf"]}]}}',
        b'{"status": "success", "data": {"result": [{"metric": {"le": "x"}, "value": [1, "1"]}]}}',
        b'{"result": {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": 5}]}]}]}}',
        b'{"result": {"resourceSpans": 1}, "services": 4, "data": [{"parent": 1}]}',
        b"[" * 100_000,
    ],
)
def test_nonsense_is_told(stub: Stub, question: Callable[[Remote], object], body: bytes) -> None:
    """As a ReadError, or it is taken for nothing."""
    stub.body = body
    with contextlib.suppress(ReadError):
        question(remote(stub.url))


@given(JSON)
def test_no_answer_makes_another_error_than_read_error(answer: Any) -> None:
    class Scripted(Remote):
        def ask(self, path: str, parameters: object = (), **headers: str) -> Any:
            return answer

    for question in QUESTIONS.values():
        with contextlib.suppress(ReadError):
            question(Scripted("Loki", "http://loki"))


@pytest.mark.parametrize("id_", ["=HYPERLINK(1)", "../../admin/", "<script>", "é" * 32])
def test_what_is_no_id_of_a_trace_leads_nowhere(stub: Stub, id_: str) -> None:
    """Loki takes anything from who sends to it."""
    told = {"structuredMetadata": {"trace_id": id_, "span_id": id_}}
    stream = {"stream": {"service_name": "shop"}, "values": [[str(NOW), "paid", told]]}
    stub.body = json.dumps({"data": {"result": [stream]}}).encode()
    [row] = LokiReader(remote(stub.url)).list_logs(LogQuery()).rows
    assert (row.event, row.trace_id, row.span_id) == ("paid", "", "")


def test_what_comes_with_a_warning_is_told_as_partial(stub: Stub) -> None:
    """Of Thanos, where one of its stores is away."""
    sample = {"metric": {"__name__": "up"}, "value": [NOW // 10**9, "1"]}
    found = {"status": "success", "data": {"result": [sample]}}
    query = MetricQuery("process.cpu.time", NOW - HOUR, NOW)
    for warnings, expected in (["a store is away"], WARNED), ([], ""):
        stub.body = json.dumps({**found, "warnings": warnings}).encode()
        answer = PrometheusReader(remote(stub.url)).read(query)
        assert (len(answer.series), answer.partial) == (1, expected)
        line = PrometheusCallsReader(remote(stub.url)).requests(NOW - HOUR, NOW, HOUR)
        assert line.partial == expected


def test_an_answer_is_read_no_further_than_its_limit(stub: Stub) -> None:
    stub.body = json.dumps({"x": "y" * 10_000}).encode()
    with pytest.raises(TooLargeError):
        remote(stub.url, max_bytes=5_000).ask("/")
    assert remote(stub.url, max_bytes=50_000).ask("/")["x"]


def test_one_that_hangs_is_left_in_time() -> None:
    with hanging() as server:
        at = remote(f"http://127.0.0.1:{server.port}", timeout_s=0.3)
        for _ in range(20):
            with pytest.raises(ReadTimeoutError, match="READ_FROM_TIMEOUT"):
                at.ask("/")
        assert server.connections < 20, "each part of a page waited for it"


def test_one_that_is_away_is_named() -> None:
    port = closed_port()
    with pytest.raises(ReadError, match=rf"Loki at http://127.0.0.1:{port} can't be read"):
        remote(f"http://user:{SECRET}@127.0.0.1:{port}").ask("/")


def test_headers_tenant_and_credentials_are_sent(stub: Stub) -> None:
    stub.body = b'{"status": "success", "data": {"resultType": "streams", "result": []}}'
    host = stub.url.removeprefix("http://")
    settings = Settings(
        read_from={"loki": f"http://me:pa%20ss@{host}/sub", "jaeger": stub.url},
        read_from_headers_loki={"x-key": "k"},
        read_from_tenant="shop",
    )
    ReadFrom(settings).logs().list_logs(LogQuery(service='"} or {x=~".*'))
    ((path, parameters, headers),) = stub.asked
    assert path == "/sub/loki/api/v1/query_range"
    assert (headers["x-key"], headers["x-scope-orgid"]) == ("k", "shop")
    assert headers["authorization"] == "Basic bWU6cGEgc3M="
    assert parameters["query"] == ['{service_name="\\"} or {x=~\\".*"}']
    stub.body = b'{"services": ["shop"]}'
    assert ReadFrom(settings).traces().services() == ("shop",)
    assert "x-scope-orgid" not in stub.asked[-1][2]


def test_what_is_named_nowhere_is_said() -> None:
    settings = Settings(read_from={"jaeger": "http://jaeger:16686"})
    with pytest.raises(ReadError, match="names no Loki"):
        ReadFrom(settings).logs().list_logs(LogQuery())
    with pytest.raises(ReadError, match="name a Prometheus"):
        ReadFrom(settings).traces().endpoints(0, 1)
    with pytest.raises(ReadError, match="name a Prometheus"):
        ReadFrom(settings).timeline().requests(0, 1, 1)
    assert ReadFrom(settings).kind == "Jaeger"
    assert isinstance(ReadFrom(settings).kept(), read_from.AllKept)


@given(st.text())
def test_a_text_stays_one_literal(text: str) -> None:
    literal = quoted(text)
    assert json.loads(literal) == clean_text(text)
    assert "\n" not in literal
    inner = literal[1:-1].replace("\\\\", "").replace('\\"', "")
    assert '"' not in inner
    assert "\\/" not in inner


@given(st.text(), st.text(min_size=1), st.text())
def test_a_query_has_as_many_parts_as_conditions(service: str, key: str, value: str) -> None:
    found = logql(LogQuery(service=service or "x", logger=value, attributes={key: value}))
    outside = "".join(_outside_literals(found))
    assert outside.count("{") == outside.count("}") == 1
    assert outside.count("|") == 2


def _outside_literals(text: str) -> Iterator[str]:
    inside = escaped = False
    for character in text:
        if inside and not escaped and character == "\\":
            escaped = True
            continue
        if character == '"' and not escaped:
            inside = not inside
        elif not inside:
            yield character
        escaped = False


def test_names_get_their_dots_back() -> None:
    assert dotted("http_route") == "http.route"
    assert dotted("exception_stacktrace") == "exception.stacktrace"
    assert dotted("my_own_thing") == "my_own_thing"


# --- the settings


def problems(settings: Settings) -> list[str]:
    return [one.message for one in settings.problems if "READ_FROM" in one.message]


def test_addresses_are_read_by_name_and_shown_without_secrets() -> None:
    url = f"https://me:{SECRET}@loki.example/sub/"
    settings = loaded({"OTEL_DJANGO_READ_FROM": f"store, Loki={url},jaeger=http://j:16686"})
    assert problems(settings) == []
    assert settings.read_from == {
        "loki": f"https://me:{SECRET}@loki.example/sub",
        "jaeger": "http://j:16686",
    }
    shown = backends().display(settings.read_from)
    assert SECRET not in shown
    assert shown.endswith("@loki.example/sub,jaeger=http://j:16686")
    assert loaded({"OTEL_DJANGO_READ_FROM": "store"}).read_from == {}
    assert loaded(overrides={"READ_FROM": {"loki": "http://l"}}).read_from == {"loki": "http://l"}


@pytest.mark.parametrize(
    "value",
    ["elastic=http://e", "http://loki:3100", "loki=loki:3100", "loki=http://l?x=1", "loki", "7"],
)
def test_an_address_that_cannot_be_read_is_a_problem(value: str) -> None:
    given = f"{value},jaeger=http://me:{SECRET}@j"
    settings = loaded({"OTEL_DJANGO_READ_FROM": given})
    (problem,) = problems(settings)
    assert "OTEL_DJANGO_READ_FROM" in problem
    assert SECRET not in str(settings.problems)
    assert list(settings.read_from) == ["jaeger"]


@pytest.mark.parametrize(
    "value",
    [
        f"loki=http://me:p,{SECRET}@l",
        f"loki=http://me:p@{SECRET}@l?x=1",
        f"loki=http://l?token=a,{SECRET},jaeger=http://j",
        f"loki=me:{SECRET}@l:3100",
        f"http://me:p,{SECRET}@l",
        f"elastic=http://me:{SECRET}@e/",
        f"LOKI = ftp://me:{SECRET}@l, prometheus=http://p?x={SECRET}",
    ],
)
def test_what_cannot_be_read_is_shown_without_secrets_all_the_same(value: str) -> None:
    settings = loaded({"OTEL_DJANGO_READ_FROM": value})
    assert problems(settings)
    assert SECRET not in str(settings.problems)
