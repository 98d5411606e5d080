"""HTTP/1.1 answers, however they are cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_django.pipeline.http_wire import MAX_BODY, ResponseParser, WireError, request_head


def parse(data: bytes, piece: int = 1_000_000, *, ends: bool = False) -> ResponseParser:
    parser = ResponseParser()
    for start in range(0, len(data), piece):
        if not parser.complete:
            parser.feed(data[start : start + piece])
    if ends and not parser.complete:
        parser.feed(b"")
    return parser


LENGTH = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;name=value\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n"
)
CLOSE = b"HTTP/1.0 200 OK\r\n\r\nhello"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + LENGTH


@pytest.mark.parametrize(
    ("data", "reusable"), [(LENGTH, True), (CHUNKED, True), (CLOSE, False), (INTERIM, True)]
)
@given(piece=st.integers(1, 80))
def test_an_answer_is_read_in_pieces_of_any_size(data: bytes, reusable: bool, piece: int) -> None:
    parser = parse(data, piece, ends=True)
    assert parser.complete
    assert parser.reusable is reusable
    assert (parser.response.status, parser.response.body) == (200, b"hello")


def test_header_names_are_in_lower_case() -> None:
    assert parse(LENGTH).response.headers == {"content-type": "a/b", "content-length": "5"}


@pytest.mark.parametrize("status", [204, 304])
def test_some_statuses_have_no_body(status: int) -> None:
    parser = parse(b"HTTP/1.1 %d X\r\n\r\n" % status)
    assert parser.complete
    assert parser.reusable


def test_a_connection_the_peer_wants_closed_is_not_used_again() -> None:
    assert not parse(b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n").reusable
    assert not parse(LENGTH + b"more than was announced").reusable


def test_a_huge_answer_is_cut_off() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"
    parser = parse(head + bytes(3 * MAX_BODY), 65_536)
    assert parser.complete
    assert not parser.reusable
    assert len(parser.response.body) == MAX_BODY


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x40\x00",  # HTTP/2 settings
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 \r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200",
        b"",
    ],
)
def test_what_makes_no_sense_is_an_error(data: bytes) -> None:
    with pytest.raises(WireError):
        parse(data, ends=True)


@given(st.binary(max_size=300), st.integers(1, 50))
def test_no_bytes_do_worse_than_an_error(data: bytes, piece: int) -> None:
    for prefix in (b"", b"HTTP/1.1 200 OK\r\n", CHUNKED[:47]):
        try:
            parse(prefix + data, piece, ends=True)
        except WireError:
            continue


def test_a_header_value_cannot_add_headers() -> None:
    head = request_head("POST", "/", {"A": "x\r\nB: y", "C": "Köln"})
    assert head == "POST / HTTP/1.1\r\nA: x  B: y\r\nC: Köln\r\n\r\n".encode()
