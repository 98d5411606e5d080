"""A separate process that takes what contestants send and counts it when asked.

``python -m benchmarks.sink`` prints its port. The first part of a path names the sender:
``/<key>/v1/traces`` (OTLP) and ``/<key>/api/1/envelope/`` (Sentry). Bodies are only kept when they
arrive; ``GET /counts`` counts them, so that counting takes no processor time from a measurement.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Counts = dict[str, dict[str, int]]


class Received:
    """The bodies not counted yet, and the sums of those that were."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, str, bytes]] = []
        self._counts: defaultdict[str, defaultdict[str, int]] = defaultdict(
            lambda: defaultdict(int)
        )

    def add(self, path: str, encoding: str, body: bytes) -> None:
        self._waiting.append((path, encoding, body))

    def counts(self) -> Counts:
        """By sender and kind."""
        waiting, self._waiting = self._waiting, []
        for path, encoding, body in waiting:
            key, _, rest = path.strip("/").partition("/")
            plain = _decoded(encoding, body)
            for kind in _kinds(rest, plain):
                self._counts[key][kind[0]] += kind[1]
        return {key: dict(kinds) for key, kinds in self._counts.items()}


def _decoded(encoding: str, body: bytes) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "deflate":
        return zlib.decompress(body)
    return body


def _kinds(path: str, body: bytes) -> Iterator[tuple[str, int]]:
    if path.startswith("v1/"):
        yield path.removeprefix("v1/"), otlp_records(body)
    else:
        yield from envelope_items(body)


def otlp_records(body: bytes) -> int:
    """Spans, metrics or log records of an export request: all nest as field 1, 2, 2."""
    return sum(
        1
        for resource in _messages(memoryview(body), 1)
        for scope in _messages(resource, 2)
        for _ in _messages(scope, 2)
    )


def _messages(data: memoryview, wanted: int) -> Iterator[memoryview]:
    """The length-delimited fields with the number ``wanted``."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 2:
            length, at = _varint(data, at)
            if tag >> 3 == wanted:
                yield data[at : at + length]
            at += length
        elif kind == 0:
            _, at = _varint(data, at)
        else:
            at += 8 if kind == 1 else 4


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def envelope_items(body: bytes) -> Iterator[tuple[str, int]]:
    """A Sentry envelope: its transactions, and the database spans in them."""
    _, _, rest = body.partition(b"\n")
    while rest.strip():
        head, _, rest = rest.partition(b"\n")
        item = json.loads(head)
        length = item.get("length")
        if length is None:
            payload, _, rest = rest.partition(b"\n")
        else:
            payload, rest = rest[:length], rest[length:].removeprefix(b"\n")
        if item["type"] == "transaction":
            spans = json.loads(payload).get("spans", [])
            yield "transactions", 1
            yield "queries", sum(1 for span in spans if span.get("op") == "db")
        else:
            yield item["type"], 1


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, as far as exporters use it."""

    def __init__(self, received: Received) -> None:
        self._received = received
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._one_request():
            pass

    def _one_request(self) -> bool:
        head, gap, rest = self._buffer.partition(b"\r\n\r\n")
        if not gap:
            return False
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return False
        body, self._buffer = rest[:length], rest[length:]
        method, path, _ = first.split(" ")
        self._answer(method, path, headers.get("content-encoding", ""), body)
        return True

    def _answer(self, method: str, path: str, encoding: str, body: bytes) -> None:
        kind, answer = "application/x-protobuf", b""
        if method == "GET":
            kind, answer = "application/json", json.dumps(self._received.counts()).encode()
        else:
            self._received.add(path, encoding, body)
            if "/api/" in path:
                kind, answer = "application/json", b"{}"
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b"
            % (kind.encode(), len(answer), answer)
        )


async def _serve() -> None:
    received = Received()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(received), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
