"""A small HTTP server for scrapes of processes that serve no requests: workers, beat.

It listens in the process that started it, never in its forked children, and shows the sums of the
whole host. Where something else has the port, that is said once, and tried again from time to
time: the process that has it may be another one of the same service, and end first.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import logging
import os
import socket
import socketserver
import sys
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from otel_django import guard, own_thread
from otel_django.web.metrics_answer import error

if TYPE_CHECKING:
    from otel_django.web.metrics_answer import Answer, MetricsEndpoint

PATHS: Final = frozenset(["/metrics", "/api/v1/metrics"])
RETRY_S: Final = 5.0
SERVER: Final = "otel_django"
_MOST_CLIENTS: Final = 8
_MAKE_ROOM_S: Final = 0.5
_SLOWEST_CLIENT_S: Final = 10.0
_LONGEST_LINE: Final = 1 << 16

_logger = logging.getLogger(guard.LOGGER_NAME)
_listeners: WeakSet[MetricsListener] = WeakSet()


class MetricsListener:
    """Serves ``endpoint`` at one address until ``close``.

    Where it is ``one_of_many`` that would, nobody is warned that another one does.
    """

    def __init__(
        self,
        host: str,
        port: int,
        endpoint: MetricsEndpoint,
        retry_s: float = RETRY_S,
        *,
        one_of_many: bool = False,
    ) -> None:
        self.address = (host.strip("[]"), port)
        self._endpoint = endpoint
        self._retry_s = retry_s
        self._one_of_many = one_of_many
        self._ended = threading.Event()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._failures = 0

    def start(self) -> None:
        """Listen, on a thread of its own."""
        _listeners.add(self)
        with guard.guarded("metrics.listen"):
            self._thread = own_thread.start(self._serve, "otel_django-metrics")

    def close(self) -> None:
        """Free the port; soon, whatever clients do."""
        self._ended.set()
        _listeners.discard(self)
        server, thread = self._server, self._thread
        if server is not None:
            server.wake()
        if thread is not None:
            thread.join(0.2)

    def after_fork(self) -> None:
        """In a forked child: it would keep the port from who comes after its parent."""
        server = self._server
        if server is not None:
            server.socket.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            # Known before it is bound: a child forked meanwhile must not keep the port.
            with (
                guard.guarded("metrics.listener"),
                _Server(self.address, self._endpoint) as self._server,
            ):
                if self._listens(self._server):
                    while not self._ended.is_set():
                        self._server.handle_request()
            self._ended.wait(self._retry_s)

    def _listens(self, server: _Server) -> bool:
        try:
            server.server_bind()
            server.server_activate()
            return True
        except OSError as exc:
            self._failures += 1
            # Of many that start at once, the one that has the port may not answer yet.
            if self._failures == (2 if self._one_of_many else 1):
                _logger.log(
                    logging.DEBUG if self._is_shared() else logging.WARNING,
                    "Metrics can't be scraped at %s:%s: %s. It is tried again from time to time.",
                    *self.address,
                    "something else listens there, maybe another process of this service"
                    if exc.errno == errno.EADDRINUSE
                    else exc.strerror or type(exc).__name__,
                )
            return False

    def _is_shared(self) -> bool:
        """Another worker of this web server listens, as one of them is to."""
        if not self._one_of_many:
            return False
        connection = http.client.HTTPConnection(*self.address, timeout=3.0)
        try:
            connection.request("HEAD", "/")
            server = connection.getresponse().getheader("Server", "")
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return server.strip() == SERVER


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    timeout = 1.0

    def __init__(self, address: tuple[str, int], endpoint: MetricsEndpoint) -> None:
        self.endpoint = endpoint
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._free = threading.Semaphore(_MOST_CLIENTS)
        self._clients: deque[socket.socket] = deque()
        super().__init__(address, _Handler, bind_and_activate=False)

    def wake(self) -> None:
        """End a ``handle_request`` that waits; where this can't, its time-out does."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def get_request(self) -> tuple[Any, Any]:
        """With no file descriptor left it is asked again at once: not without a break."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(0.1)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """On a thread of its own. Where there are too many already, the one that came first goes:
        who takes that long would keep all others waiting.
        """
        if not self._free.acquire(blocking=False):
            self._send_away_first()
            if not self._free.acquire(timeout=_MAKE_ROOM_S):
                self.shutdown_request(request)
                return
        self._clients.append(request)
        super().process_request(request, client_address)

    def _send_away_first(self) -> None:
        with contextlib.suppress(IndexError, OSError):
            self._clients[0].shutdown(socket.SHUT_RDWR)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """What that thread does."""
        try:
            self.finish_request(request, client_address)
        except Exception:
            self.handle_error(request, client_address)
        finally:
            self._clients.remove(request)
            self._free.release()  # before the client hears of the end, and another one comes
            self.shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is nobody's fault."""
        if not isinstance(sys.exc_info()[1], OSError):
            guard.caught("metrics.listener")


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _SLOWEST_CLIENT_S
    server_version = SERVER
    sys_version = ""

    def handle(self) -> None:
        """One request of any method; then the connection is closed."""
        self.raw_requestline = self.rfile.readline(_LONGEST_LINE)
        if self.raw_requestline.endswith(b"\n") and self.parse_request():
            self._send(self._answer())
            self.wfile.flush()

    def _answer(self) -> Answer:
        path, _, query = self.path.partition("?")
        if path not in PATHS:
            return error(404, "not found", "Metrics are at /metrics.")
        endpoint = self.server.endpoint
        environ = {
            f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()
        }
        environ |= {
            "REQUEST_METHOD": self.command,
            "QUERY_STRING": query,
            "REMOTE_ADDR": self.client_address[0],
        }
        return endpoint.answer(environ, endpoint.access.verdict(environ), "prometheus")

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's
        """Scrapes aren't logged."""


def _let_go() -> None:
    for listener in _listeners:
        listener.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
