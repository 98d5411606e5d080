"""A separate process that asks for one page at a fixed rate and prints how long each answer took.

``python -m benchmarks.load PORT PATH RATE SECONDS`` prints a JSON list of seconds. Requests leave
when they are due, whether or not earlier ones were answered, on as many connections as that takes.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time


class _Client(asyncio.Protocol):
    """One kept-alive connection; goes back to ``idle`` when its answer is complete."""

    def __init__(self, idle: list[_Client], latencies: list[float]) -> None:
        self._idle = idle
        self._latencies = latencies
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, request: bytes) -> None:
        self._buffer = b""
        self._asked = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, gap, body = self._buffer.partition(b"\r\n\r\n")
        if not gap or len(body) < _length(head):
            return
        took = time.perf_counter() - self._asked
        if not head.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"the site answered {head[:80]!r}")
        self._latencies.append(took)
        self._idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._idle:
            self._idle.remove(self)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise SystemExit("an answer without Content-Length")


async def ask(port: int, path: str, rate: float, seconds: float) -> list[float]:
    """Latencies in seconds, in the order of the answers."""
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
    ).encode()
    loop = asyncio.get_running_loop()
    idle: list[_Client] = []
    latencies: list[float] = []
    began = loop.time()
    total = int(rate * seconds)
    for number in range(total):
        await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
        if not idle:
            _, client = await loop.create_connection(
                lambda: _Client(idle, latencies), "127.0.0.1", port
            )
            idle.append(client)
        idle.pop().ask(request)
    for _ in range(500):
        if len(latencies) == total:
            break
        await asyncio.sleep(0.02)
    return latencies


def main(port: str, path: str, rate: str, seconds: str) -> None:
    latencies = asyncio.run(ask(int(port), path, float(rate), float(seconds)))
    if len(latencies) < int(float(rate) * float(seconds)):
        raise SystemExit(f"only {len(latencies)} answers")
    json.dump(latencies, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
