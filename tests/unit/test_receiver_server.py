"""A receiver's answers over real sockets, with limits small enough to reach."""

from __future__ import annotations

import csv
import gzip
import http.client
import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from otel_django.backends.embedded import EmbeddedReader
from otel_django.contracts import TraceQuery
from otel_django.pipeline.otlp_answers import status_message
from otel_django.pipeline.protobuf import varint
from otel_django.pipeline.protobuf_reader import LENGTH
from otel_django.receiver import decoding
from otel_django.receiver.answers import JSON, PROTOBUF, accepted
from otel_django.receiver.limits import LIMITS
from otel_django.store.file import StoreFile
from otel_django.store.repeats import without_repeats
from otel_django.store.slices import Limits
from tests.receiver_kit import HEAD, Receiver, everything, receiving, request
from tests.store_spans import SpanSource


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with receiving(tmp_path / "store.sqlite3") as one:
        yield one


# --- what is taken in


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_span_that_was_accepted_is_on_the_pages(receiver: Receiver, encoding: str) -> None:
    body = request("GET /shelves/")
    packed = gzip.compress(body) if encoding == "gzip" else body
    status, headers, answer = receiver.ask(
        "POST", "/v1/traces", packed, content_type=PROTOBUF, content_encoding=encoding
    )
    assert (status, headers["Content-Type"], answer) == (200, PROTOBUF, b"")
    status, _, page = receiver.ask("GET", "/traces/")
    assert status == 200
    assert b"GET /shelves/" in page
    assert b">shop<" in page


def test_spans_that_are_sent_once_more_are_kept_once(receiver: Receiver, tmp_path: Path) -> None:
    """Whoever got no answer sends all again, perhaps with others and cut otherwise."""
    body, later = request("GET /shelves/", count=300), request("GET /later/")
    for sent in (body, body, later + body, body + body):
        assert receiver.post(sent) == 200
    reader = EmbeddedReader(tmp_path / "store.sqlite3")
    now = time.time_ns()
    assert sum(one.count for one in reader.endpoints(now - 10**12, now)) == 301
    detail = reader.get_trace(format(2, "032x"))
    assert detail is not None
    (summary,) = reader.list_traces(TraceQuery(trace_id=format(2, "032x"))).traces
    assert len(detail.spans) == summary.span_count == 2
    assert not detail.partial


def test_spans_are_kept_where_nobody_can_tell_whether_they_are_new(tmp_path: Path) -> None:
    source = SpanSource()
    source.request()
    spans = source.take()
    (tmp_path / "store.sqlite3").write_bytes(b"no database" * 1000)
    file = StoreFile(tmp_path / "store.sqlite3", Limits.of(1, 10))
    assert without_repeats(file, [*spans, *spans]) == spans
    file.release()


def test_json_is_answered_in_json(receiver: Receiver) -> None:
    status, headers, answer = receiver.ask(
        "POST", "/v1/logs", b'{"resourceLogs": []}', content_type="application/json; charset=utf-8"
    )
    assert (status, headers["Content-Type"], json.loads(answer)) == (200, JSON, {})


@pytest.mark.parametrize(
    ("signal", "response", "field"),
    [
        ("traces", ExportTraceServiceResponse(), "rejected_spans"),
        ("metrics", ExportMetricsServiceResponse(), "rejected_data_points"),
        ("logs", ExportLogsServiceResponse(), "rejected_log_records"),
    ],
)
def test_partial_success_is_told_in_both_encodings(
    signal: str, response: Message, field: str
) -> None:
    response.ParseFromString(accepted(signal, PROTOBUF, 300, "wrong ids").body)  # type: ignore[arg-type]
    partial = response.partial_success  # type: ignore[attr-defined]
    assert (getattr(partial, field), partial.error_message) == (300, "wrong ids")
    told = json.loads(accepted(signal, JSON, 300, "wrong ids").body)  # type: ignore[arg-type]
    camel = field.replace("_s", "S").replace("_d", "D").replace("_p", "P")
    camel = camel.replace("_l", "L").replace("_r", "R")
    assert told == {"partialSuccess": {camel: "300", "errorMessage": "wrong ids"}}


def test_spans_that_the_store_can_not_hold_are_rejected_by_their_number(receiver: Receiver) -> None:
    whole = ExportTraceServiceRequest.FromString(request())
    whole.resource_spans[0].scope_spans[0].spans.add(trace_id=b"short", span_id=b"1", name="x")
    status, _, body = receiver.ask(
        "POST", "/v1/traces", whole.SerializeToString(), content_type=PROTOBUF
    )
    partial = ExportTraceServiceResponse.FromString(body).partial_success
    assert (status, partial.rejected_spans) == (200, 1)
    assert partial.error_message


def test_a_connection_is_kept_for_the_next_request(receiver: Receiver) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=10)
    connection.connect()
    own = connection.sock
    for _ in range(3):
        connection.request("POST", "/v1/traces", request(), {"Content-Type": PROTOBUF})
        assert connection.getresponse().read() == b""
        assert connection.sock is own
    connection.close()


def test_a_large_batch_is_whole_in_the_store(receiver: Receiver) -> None:
    assert receiver.post(request(count=10_000)) == 200
    _, _, page = receiver.ask("GET", "/traces/?format=csv")
    found = list(csv.DictReader(page.decode("utf-8-sig").splitlines()))
    assert (len(found), sum(int(row["spans"]) for row in found)) == (255, 10_000)


def test_what_the_store_can_not_hold_is_told(tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite3"
    with receiving(store) as receiver:
        assert receiver.post(request()) == 200
        with sqlite3.connect(store) as connection:
            tables = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'span_*'"
            ).fetchall()
            for (name,) in tables:
                connection.execute(
                    f"CREATE TRIGGER full_{name} BEFORE INSERT ON {name} "
                    "BEGIN SELECT RAISE(ABORT, 'no more'); END"
                )
        connection.close()
        status, _, body = receiver.ask("POST", "/v1/traces", request(), content_type=PROTOBUF)
    partial = ExportTraceServiceResponse.FromString(body).partial_success
    assert (status, partial.rejected_spans) == (200, 1)
    assert "log" in partial.error_message


# --- what is refused


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
def test_what_is_no_otlp_is_refused_with_a_status_in_its_encoding(
    receiver: Receiver, kind: str
) -> None:
    status, headers, body = receiver.ask("POST", "/v1/traces", b"\xff{", content_type=kind)
    assert (status, headers["Content-Type"]) == (400, kind)
    text = json.loads(body)["message"] if kind == JSON else status_message(body)
    assert text


def test_wrong_paths_methods_types_and_encodings_have_their_status(receiver: Receiver) -> None:
    status, _, body = receiver.ask("POST", "/v1/spans", b"{}", content_type=JSON)
    assert (status, json.loads(body)["code"]) == (404, 5)
    assert receiver.ask("POST", "/", b"", content_type=PROTOBUF)[0] == 404
    status, headers, _ = receiver.ask("GET", "/v1/metrics")
    assert (status, headers["Allow"]) == (405, "POST")
    status, headers, _ = receiver.ask("PUT", "/traces/")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert receiver.post(b"", kind="text/plain") == 415
    assert receiver.post(b"", content_encoding="br") == 415


def test_a_web_page_can_not_write(receiver: Receiver) -> None:
    assert receiver.post(request(), origin="http://evil.example") == 403


def test_requests_that_are_none_are_refused(receiver: Receiver) -> None:
    assert b" 400 " in receiver.say(b"nonsense\r\n\r\n")[:20]
    assert (
        b" 400 "
        in receiver.say(
            b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        )[:20]
    )
    assert b" 431 " in receiver.say(b"GET / HTTP/1.1\r\n" + b"a: " + b"b" * 100_000)[:20]
    assert receiver.ask("GET", "/traces/")[0] == 200


@pytest.mark.parametrize(
    "line",
    [
        b"Transfer-Encoding : chunked",
        b"nonsense",
        b" folded: into the line before",
        b"A: b\rTransfer-Encoding: chunked",
        b"A: b\0c",
        b": nameless",
    ],
)
def test_a_header_that_a_proxy_may_read_differently_is_refused(
    receiver: Receiver, line: bytes
) -> None:
    """What it says, or what follows it, would be overlooked: a length, whom a proxy asks for."""
    head = b"GET /traces/ HTTP/1.1\r\nHost: localhost\r\n%b\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"
    answer = receiver.say(head % line)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_who_does_not_read_the_answer_is_told_nothing_else_in_it(tmp_path: Path) -> None:
    with receiving(tmp_path / "s", replace(LIMITS, answer_s=1.0)) as receiver:
        assert receiver.post(request("€" * 1_000, count=2_000)) == 200
        with receiver.connect() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            ask = b"GET /traces/?format=otlp HTTP/1.1\r\nHost: localhost\r\n\r\n"
            connection.sendall(ask)
            time.sleep(1.6)
            answer = everything(connection)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"HTTP/1.1 408 " not in answer


def test_a_body_too_large_is_refused_before_it_comes(tmp_path: Path) -> None:
    with receiving(tmp_path / "s", replace(LIMITS, body_bytes=1000)) as receiver:
        answer = receiver.say(HEAD + b"Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert receiver.post(b"x" * 1000, kind=JSON) == 400
        chunks = b"3e8\r\n" + b"x" * 1000 + b"\r\n"
        answer = receiver.say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks * 2)
        assert answer.startswith(b"HTTP/1.1 413 ")


def test_who_waits_to_be_asked_for_the_body_is_asked(receiver: Receiver) -> None:
    body = request()
    with receiver.connect() as connection:
        connection.sendall(
            b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf"
            b"\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("begun", [b"POST /v1/tr", HEAD + b"Content-Length: 90\r\n\r\n"])
def test_a_slow_sender_is_cut_off_though_bytes_keep_coming(tmp_path: Path, begun: bytes) -> None:
    with (
        receiving(tmp_path / "s", replace(LIMITS, request_s=0.5)) as receiver,
        receiver.connect() as connection,
    ):
        connection.sendall(begun)
        connection.settimeout(0.05)
        answer = b""
        for _ in range(100):
            with suppress(OSError):
                connection.sendall(b" ")
            with suppress(TimeoutError):
                answer = connection.recv(1000)
                break
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_peer_that_asks_too_often_is_told_when_to_come_again(tmp_path: Path) -> None:
    limits = replace(LIMITS, requests_at_once=2, requests_a_minute=1)
    with receiving(tmp_path / "s", limits) as receiver:
        assert [receiver.post(b"") for _ in range(2)] == [200, 200]
        status, headers, _ = receiver.ask("POST", "/v1/traces", b"", content_type=PROTOBUF)
        assert status == 429
        assert 0 < int(headers["Retry-After"]) <= 60


def test_beyond_the_most_connections_one_is_told_so_at_once(tmp_path: Path) -> None:
    with receiving(tmp_path / "s", replace(LIMITS, connections=4)) as receiver:
        busy = [receiver.connect() for _ in range(4)]
        for each in busy:
            each.sendall(b"POST /v1/traces HTTP/1.1\r\nContent-Type: application/json\r\n")
        time.sleep(0.2)
        with receiver.connect() as one:
            answer = everything(one)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: " in answer
        for each in busy:
            each.close()


def test_connections_that_idle_make_room(tmp_path: Path) -> None:
    with receiving(tmp_path / "s", replace(LIMITS, connections=4)) as receiver:
        idle = [receiver.connect() for _ in range(12)]
        time.sleep(0.7)
        assert [receiver.post(b"") for _ in range(4)] == [200] * 4
        for each in idle:
            each.close()


def test_when_all_bodies_take_too_much_room_one_is_to_come_again(tmp_path: Path) -> None:
    with receiving(tmp_path / "s", replace(LIMITS, bodies_bytes=1000)) as receiver:
        status, headers, _ = receiver.ask("POST", "/v1/logs", b"x" * 1001, content_type=JSON)
        assert (status, headers["Retry-After"]) == (503, "1")
        assert receiver.post(b"") == 200


def one_field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | LENGTH) + varint(len(content)) + content


def test_a_body_of_too_many_items_is_refused_and_the_others_are_taken(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "MAX_ITEMS", 1_000)
    hostile = one_field(1, one_field(2, one_field(2, b"") * 20_000))
    with ThreadPoolExecutor(4) as threads:
        refused = [threads.submit(receiver.post, hostile) for _ in range(2)]
        taken = [threads.submit(receiver.post, request(f"GET /{each}")) for each in range(2)]
        assert [each.result() for each in refused] == [400] * 2
        assert [each.result() for each in taken] == [200] * 2


# --- pages


def test_with_a_token_pages_want_a_login_and_senders_the_token(tmp_path: Path) -> None:
    with receiving(tmp_path / "s", LIMITS, "sesame") as receiver:
        assert receiver.post(request()) == 401
        assert receiver.post(request(), authorization="Bearer sesame") == 200
        status, headers, _ = receiver.ask("GET", "/traces/?q=a")
        assert (status, headers["Location"]) == (303, "/login/?next=/traces/%3Fq%3Da")
        assert receiver.ask("GET", "/traces/", hx_request="true")[0] == 401
        status, headers, _ = receiver.ask("POST", headers["Location"], b"token=sesame")
        assert (status, headers["Location"]) == (303, "/traces/?q=a")
        cookie = headers["Set-Cookie"].partition(";")[0]
        assert receiver.ask("GET", "/traces/", cookie=cookie)[0] == 200
        assert receiver.ask("GET", "/static/viewer.css")[0] == 200
        assert receiver.post(request(), cookie=cookie) == 401


def test_a_name_of_elsewhere_and_a_proxy_close_the_pages(receiver: Receiver) -> None:
    assert receiver.ask("GET", "/", host="evil.example")[0] == 403
    assert receiver.ask("GET", "/", x_forwarded_for="127.0.0.1")[0] == 403


def test_head_has_no_body(receiver: Receiver) -> None:
    answer = receiver.say(b"HEAD /traces/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n")


def test_a_file_is_sent_while_it_is_made_to_old_clients_too(receiver: Receiver) -> None:
    receiver.post(request("GET /x"))
    assert b"GET /x" in receiver.ask("GET", "/traces/?format=csv")[2]
    answer = receiver.say(b"GET /traces/?format=csv HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert b"chunked" not in answer
    assert b"GET /x" in answer
