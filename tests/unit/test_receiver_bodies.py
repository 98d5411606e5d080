"""Bodies as they come over a connection: framed, unpacked, never larger than they may be."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from otel_django.receiver.answers import Refused
from otel_django.receiver.bodies import Room, declared, parts, unpacked

MOST = 1000


def whole(data: bytes, length: int | None = None, most: int = MOST) -> bytes:
    return b"".join(parts(io.BufferedReader(io.BytesIO(data)), length, most))


@contextmanager
def refused(status: int) -> Iterator[None]:
    with pytest.raises(Refused) as found:
        yield
    assert found.value.status == status


def test_a_body_is_read_by_its_length_or_by_its_chunks() -> None:
    assert whole(b"abcdef", 4) == b"abcd"
    assert (
        whole(b"3;x=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nnext") == b"abc0123456789"
    )
    assert whole(b"0\r\n\r\n") == b""


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"xyz\r\nabc\r\n",
        b"-3\r\nabc\r\n0\r\n\r\n",
        b"+3\r\nabc\r\n0\r\n\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"3\r\nab",
        b"f" * 16 + b"\r\n",
        b"0\r\n" + b"a: b\r\n" * 1000,
        b"1" * 10_000,
    ],
)
def test_chunks_that_are_none_are_refused(data: bytes) -> None:
    with refused(400):
        whole(data)


def test_chunks_beyond_the_limit_are_not_waited_for() -> None:
    with refused(413):
        whole(b"3e8\r\n" + b"x" * 1000 + b"\r\n3b9aca00\r\n")


def test_a_length_is_digits_and_no_more_than_allowed() -> None:
    assert declared({"CONTENT_LENGTH": "1000"}, MOST) == MOST
    assert declared({}, MOST) == 0
    assert declared({"HTTP_TRANSFER_ENCODING": "Chunked"}, MOST) is None
    with refused(413):
        declared({"CONTENT_LENGTH": "1001"}, MOST)
    for wrong in ("-1", "+1", "1_0", "5,5", "٣", "", "9" * 5000):
        with refused(400):
            declared({"CONTENT_LENGTH": wrong}, MOST)
    with refused(400):
        declared({"CONTENT_LENGTH": "3", "HTTP_TRANSFER_ENCODING": "chunked"}, MOST)
    with refused(400):
        declared({"HTTP_TRANSFER_ENCODING": "gzip, chunked"}, MOST)


def test_gzip_and_deflate_with_and_without_its_header_are_unpacked() -> None:
    raw = zlib.compressobj(wbits=-15)
    assert unpacked(gzip.compress(b"a") + gzip.compress(b"b"), "gzip", MOST) == b"ab"
    assert unpacked(zlib.compress(b"abc"), "deflate", MOST) == b"abc"
    assert unpacked(raw.compress(b"abc") + raw.flush(), "deflate", MOST) == b"abc"
    assert unpacked(b"abc", "identity", MOST) == b"abc"


@pytest.mark.parametrize(
    "body",
    [b"no gzip", gzip.compress(b"abc")[:-9], gzip.compress(b"abc") + b"x", gzip.compress(b"") * 65],
    ids=["another form", "without its end", "more behind its end", "too many members"],
)
def test_what_is_damaged_is_refused(body: bytes) -> None:
    with refused(400):
        unpacked(body, "gzip", MOST)


def test_a_bomb_is_found_while_it_is_unpacked() -> None:
    bomb = gzip.compress(bytes(100 << 20))
    tracemalloc.start()
    with refused(413):
        unpacked(bomb, "gzip", 4 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 << 20


def test_all_bodies_together_have_a_limit() -> None:
    room = Room(10)
    room.take(6)
    with refused(503):
        room.take(5)
    room.give_back(6)
    room.take(10)
