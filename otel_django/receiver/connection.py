"""One connection: its requests one after the other, each within its time."""

from __future__ import annotations

import contextlib
import io
import socket
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from otel_django.receiver.answers import Answer, Refused
from otel_django.receiver.login import PATH as LOGIN
from otel_django.receiver.stream import HeadReader, MalformedError, SocketReader, TooMuchError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.core.handlers.wsgi import WSGIHandler

    from otel_django.receiver.server import Server

NAME: Final = "otel_django"
_LONGEST_LINE: Final = 1 << 16
_UNREAD_S: Final = 2.0
_UNREAD_BYTES: Final = 64 << 20


class Connection(BaseHTTPRequestHandler):
    """Asks the server's ``intake`` and ``pages``; refuses what comes too slowly or too often."""

    server: Server
    protocol_version = "HTTP/1.1"
    command = ""

    def setup(self) -> None:
        """Read with a deadline."""
        self.connection = self.request
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = SocketReader(self.connection)
        self.rfile: Any = io.BufferedReader(self._reader)
        self._has_body = False

    def finish(self) -> None:
        """Nothing is held back."""

    def handle_one_request(self) -> None:
        """The next one, or the connection's end."""
        limits = self.server.limits
        self.close_connection = True
        self.server.idles(self.connection)
        self._reader.allow(limits.idle_s, limits.head_bytes)
        if not self.rfile.peek(1) or not self.server.works(self.connection):
            return
        self._reader.allow(limits.request_s, limits.head_bytes)
        self._has_body = True  # until its head says otherwise
        try:
            self.raw_requestline = self.rfile.readline(_LONGEST_LINE)
            if not self.raw_requestline.endswith(b"\n"):
                self._refuse(414, "The address is too long.")
            elif self._has_head():
                self._reader.allow_more(sys.maxsize)
                self._serve()
        except MalformedError:
            self._refuse(400, "The head of the request isn't lines of HTTP/1.1.")
        except TooMuchError:
            self._refuse(431, "The head of the request is too large.")
        except TimeoutError:
            self._refuse(408, "The request took too long to come.")

    def _has_head(self) -> bool:
        whole, self.rfile = self.rfile, HeadReader(self.rfile)
        try:
            return self.parse_request()
        finally:
            self.rfile = whole

    def handle_expect_100(self) -> bool:
        """Said when the body is to be read: most refusals come before."""
        self._reader.before_reading = self._go_on
        return True

    def _go_on(self) -> None:
        self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _serve(self) -> None:
        environ = self._environ()
        length = environ.get("CONTENT_LENGTH", "0")
        self._has_body = length != "0" or "HTTP_TRANSFER_ENCODING" in environ
        path = environ["PATH_INFO"]
        answer: Answer | None
        try:
            self.server.check_rate(environ["REMOTE_ADDR"])
            if path.startswith("/v1/") or (self.command == "POST" and path != LOGIN):
                answer = self.server.intake.answer(environ, self.rfile)
            else:
                answer = self.server.pages.answer(environ, self.rfile, self._show)
        except Refused as refused:
            answer = refused.answer(environ.get("CONTENT_TYPE", ""))
        finally:
            self._reader.before_reading = None
        if answer is not None:
            self._answer(answer)

    def _environ(self) -> dict[str, Any]:
        """As WSGI has it; headers with ``_``, which would pass for others, are left out."""
        path, _, query = self.path.partition("?")
        host, port = self.server.server_address[:2]
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.command,
            "REQUEST_URI": self.path,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": str(host),
            "SERVER_PORT": str(port),
            "SERVER_PROTOCOL": self.request_version,
            "REMOTE_ADDR": self.client_address[0],
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in self.headers.items():
            if "_" not in name:
                key = name.upper().replace("-", "_")
                key = key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"
                environ[key] = f"{environ[key]},{value}" if key in environ else value
        return environ

    # --- answers

    def _answer(self, answer: Answer) -> None:
        headers = [("Content-Type", answer.content_type), *answer.headers.items()]
        self._send(answer.status, headers, answer.body)

    def _refuse(self, status: int, text: str) -> None:
        """What can't be read as a request."""
        self._answer(Refused(status, text).answer(""))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """As the base class finds requests that it can't read."""
        self._refuse(int(code), message or HTTPStatus(code).phrase)

    def _show(self, environ: dict[str, Any], handler: WSGIHandler) -> None:
        status = 500
        headers: list[tuple[str, str]] = []

        def start_response(line: str, given: Any, exc_info: Any = None) -> Any:
            nonlocal status, headers
            status, headers = int(line[:3]), given

        response: Any = handler(environ, start_response)
        try:
            if getattr(response, "streaming", False):
                self._stream(status, headers, response)
            else:
                self._send(status, headers, b"".join(response))
        finally:
            response.close()

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        if status >= 400 and self._has_body:
            self.close_connection = True  # who knows where the next request begins
        bodiless = status in {204, 304}
        length = [] if bodiless else [("Content-Length", str(len(body)))]
        head = self._head(status, [*headers, *length])
        self._write(head if bodiless or self.command == "HEAD" else head + body)
        if self.close_connection:
            self._leave()

    def _stream(self, status: int, headers: list[tuple[str, str]], parts: Iterable[bytes]) -> None:
        in_chunks = self.request_version == "HTTP/1.1"
        if not in_chunks:
            self.close_connection = True
        how = [("Transfer-Encoding", "chunked")] if in_chunks else []
        self._write(self._head(status, [*headers, *how]))
        if self.command == "HEAD":
            return
        for part in parts:
            if part:
                self._write(b"%x\r\n%b\r\n" % (len(part), part) if in_chunks else part)
        if in_chunks:
            self._write(b"0\r\n\r\n")

    def _head(self, status: int, headers: list[tuple[str, str]]) -> bytes:
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Server: {NAME}"]
        lines.append(f"Date: {self.date_time_string()}")
        lines += [f"{name}: {value}" for name, value in headers]
        if self.close_connection:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")

    def _write(self, data: bytes) -> None:
        self.connection.settimeout(self.server.limits.answer_s)
        try:
            self.connection.sendall(data)
        except TimeoutError:  # to who doesn't read nothing more is said
            raise BrokenPipeError from None

    def _leave(self) -> None:
        """Closed at once, with something unread, the answer would be lost on its way."""
        if self._has_body:
            self._reader.allow(_UNREAD_S, _UNREAD_BYTES)
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_WR)
                unread = bytearray(_LONGEST_LINE)
                while self._reader.readinto(unread):
                    pass

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's
        """Requests aren't logged."""
