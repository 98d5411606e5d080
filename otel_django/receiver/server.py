"""The socket that is listened at, and its connections: a thread each, no more than there may be."""

from __future__ import annotations

import contextlib
import ipaddress
import math
import socket
import socketserver
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from otel_django import guard
from otel_django.clock import SYSTEM_CLOCK
from otel_django.receiver.answers import Refused
from otel_django.receiver.connection import Connection
from otel_django.receiver.limits import asker
from otel_django.web.rate_limit import RateLimit

if TYPE_CHECKING:
    from otel_django.receiver.intake import Intake
    from otel_django.receiver.limits import Limits
    from otel_django.receiver.pages import Pages

_LEAST_IDLE_S: Final = 0.5
_LEAVING_S: Final = 1.0
_MOST_LEAVING: Final = 64
_TURN_S: Final = 0.25
_BUSY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


class Server(socketserver.ThreadingTCPServer):
    """Listens at once; ``serve_forever`` answers, ``stop`` ends that.

    Raises:
        OSError: the address can't be had.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(
        self, host: str, port: int, *, intake: Intake, pages: Pages, limits: Limits
    ) -> None:
        family, address = _resolved(host, port)
        self.address_family = family
        self.intake = intake
        self.pages = pages
        self.limits = limits
        self._rate = RateLimit(SYSTEM_CLOCK, limits.requests_at_once, limits.requests_a_minute)
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._idle: dict[socket.socket, float] = {}
        """Those that wait for a request, and since when, the longest first."""
        self._leaving: deque[tuple[float, socket.socket]] = deque()
        self._stopping = False
        super().__init__(address, Connection)

    @property
    def url(self) -> str:
        """Where the pages are."""
        host, port = self.server_address[:2]
        name = str(host)
        return f"http://{f'[{name}]' if ':' in name else name}:{port}"

    def check_rate(self, peer: str) -> None:
        """Raises Refused: ``peer`` asks too often."""
        wait_s = self._rate.wait_s(asker(peer))
        if wait_s:
            text = "Too many requests of one address."
            raise Refused(429, text, Retry_After=str(math.ceil(wait_s)))

    # --- connections

    def process_request(self, request: Any, client_address: Any) -> None:
        """On a thread of its own, where there is room; else refused at once."""
        if not self._admit(request):
            self._send_away(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread can be started
            self._forget(request)
            self._send_away(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """What that thread does."""
        try:
            self.finish_request(request, client_address)
        except Exception:
            self.handle_error(request, client_address)
        finally:
            self._forget(request)
            self.shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, or waits too long, is nobody's fault."""
        if not isinstance(sys.exc_info()[1], OSError):
            guard.caught("receiver.connection")

    def idles(self, connection: socket.socket) -> None:
        """It waits for its next request."""
        with self._changed:
            self._idle[connection] = time.monotonic()
            self._changed.notify_all()

    def works(self, connection: socket.socket) -> bool:
        """A request has come; False where it comes too late."""
        with self._changed:
            return self._idle.pop(connection, None) is not None and not self._stopping

    def _admit(self, connection: socket.socket) -> bool:
        """Where there are too many, the one that has idled longest makes room."""
        now_s = time.monotonic()
        with self._changed:
            if len(self._open) >= self.limits.connections:
                longest = next(iter(self._idle), None)
                if longest is None or now_s - self._idle[longest] < _LEAST_IDLE_S:
                    return False
                self._close_idle(longest)
            self._open.add(connection)
            self._idle[connection] = now_s
            return True

    def _close_idle(self, connection: socket.socket) -> None:
        del self._idle[connection]
        self._open.discard(connection)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    def _forget(self, connection: socket.socket) -> None:
        with self._changed:
            self._open.discard(connection)
            self._idle.pop(connection, None)
            self._changed.notify_all()

    def _send_away(self, connection: socket.socket) -> None:
        """Without waiting; closed a little later, so that the answer arrives."""
        with contextlib.suppress(OSError):
            connection.settimeout(0)
            connection.sendall(_BUSY)
            connection.shutdown(socket.SHUT_WR)
        self._leaving.append((time.monotonic(), connection))
        if len(self._leaving) > _MOST_LEAVING:
            self._leaving.popleft()[1].close()

    def service_actions(self) -> None:
        """Between two of them."""
        while self._leaving and self._leaving[0][0] < time.monotonic() - _LEAVING_S:
            self._leaving.popleft()[1].close()

    # --- life

    def serve_forever(self, poll_interval: float = _TURN_S) -> None:
        """Until ``stop``."""
        super().serve_forever(poll_interval)

    def stop(self, timeout_s: float) -> None:
        """Take no more connections; requests that are under way may end until then."""
        deadline_s = time.monotonic() + timeout_s
        self.shutdown()
        self.server_close()
        for _, connection in self._leaving:
            connection.close()
        with self._changed:
            self._stopping = True
            for connection in list(self._idle):
                self._close_idle(connection)
            self._changed.wait_for(lambda: not self._open, deadline_s - time.monotonic())


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it.

    Raises:
        OSError: nobody knows the name.
    """
    address = _resolved(host, 0)[1]
    return ipaddress.ip_address(address[0]).is_loopback


def _resolved(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    found = socket.getaddrinfo(
        host.strip("[]") or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    first = min(found, key=lambda each: each[0] != socket.AF_INET)
    return first[0], first[4]
