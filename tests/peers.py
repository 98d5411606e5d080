"""Peers that misbehave below HTTP: a listening socket with a function for each connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"


class Peer:
    """``connections`` counts what was accepted; ``endpoint`` is its URL."""

    def __init__(self, handle: Callable[[socket.socket], None], backlog: int = 16) -> None:
        self._handle = handle
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.port = self._listener.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}/v1/traces"
        self.connections = 0
        self.ending = threading.Event()
        self._accepted: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while not self.ending.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._accepted.append(connection)
            thread = threading.Thread(target=self._run, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self._handle(connection)

    def close(self) -> None:
        self.ending.set()
        for one in (self._listener, *self._accepted):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)


@contextlib.contextmanager
def peer(handle: Callable[[socket.socket], None]) -> Iterator[Peer]:
    """A peer for one test."""
    one = Peer(handle)
    try:
        yield one
    finally:
        one.close()


def read_request(connection: socket.socket) -> tuple[bytes, bytes]:
    """(head, body) of one request; ConnectionError at the end of the stream."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65_536)
        if not more:
            raise ConnectionError
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length")
    )
    while len(body) < length:
        body += connection.recv(65_536)
    return head, body


def answer_all(connection: socket.socket) -> None:
    """A healthy receiver."""
    while True:
        read_request(connection)
        connection.sendall(OK)
