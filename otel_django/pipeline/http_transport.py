"""OTLP over HTTP/1.1: one kept-alive connection, every wait in slices.

No redirect is followed. Nothing here logs: failures are ``TransportError``s whose text names the
host and holds no secret.
"""

from __future__ import annotations

import base64
import functools
import zlib
from collections.abc import Callable, Mapping
from time import time
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from otel_django.clock import SYSTEM_CLOCK
from otel_django.errors import TransportError
from otel_django.pipeline.http_stream import (
    WRITE_SIZE,
    PlainStream,
    Resolver,
    Stream,
    TlsStream,
    connect,
)
from otel_django.pipeline.http_wire import (
    MAX_BODY,
    Response,
    ResponseParser,
    WireError,
    request_head,
)
from otel_django.pipeline.retry import Verdict, judge_http
from otel_django.pipeline.waiting import Wait
from otel_django.version import VERSION

if TYPE_CHECKING:
    import ssl

    from otel_django.clock import Clock
    from otel_django.conf import OtlpSettings

USER_AGENT: Final = f"otel-django/{VERSION}"
_OURS: Final = frozenset(
    {
        "host",
        "content-length",
        "content-type",
        "content-encoding",
        "transfer-encoding",
        "connection",
    }
)
_GZIP: Final = 31


class _StaleError(TransportError):
    """A kept-alive connection had been closed by the peer before it answered anything."""


def _nothing() -> None:
    """Nothing else is to be done while it waits."""


class HttpTransport:
    """Posts encoded export requests to one URL, or gets it. For one thread at a time.

    ``proxy`` is the URL of an HTTP proxy (spoken to without TLS): absolute-form requests for
    http, CONNECT for https. ``destination`` names the receiver without secrets. ``may_reach`` says
    of each address that was looked up whether it may be connected to.
    """

    def __init__(
        self,
        settings: OtlpSettings,
        *,
        proxy: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        content_type: str = "application/x-protobuf",
        may_reach: Callable[[str], bool] | None = None,
    ) -> None:
        url = urlsplit(settings.endpoint)
        self.destination = f"{url.scheme}://{_authority(url)}{url.path}"
        self._settings = settings
        self._url = url
        self._proxy = urlsplit(proxy) if proxy else None
        self._tls = url.scheme == "https"
        self._gzip = settings.compression == "gzip"
        self._clock = clock
        peer = self._proxy or url
        self._content_type = content_type
        self._resolver = Resolver(peer.hostname or "", _port(peer), clock, may_reach)
        self._tls_context: ssl.SSLContext | None = None
        self._stream: Stream | None = None

    def prepare(self) -> None:
        """Begin looking up the host: later, at exit, no thread can be started for it."""
        try:
            self._resolver.start()
        except RuntimeError:
            return

    def send(self, body: bytes, deadline_s: float, on_wait: Callable[[], object]) -> Verdict:
        """``post``, and judge the answer."""
        response = self.post(body, deadline_s, on_wait)
        return judge_http(response.status, response.headers, response.body, time())

    def post(
        self, body: bytes, deadline_s: float, on_wait: Callable[[], object] = _nothing
    ) -> Response:
        """Send one request and return the answer, until the monotonic ``deadline_s``.

        ``on_wait`` is called about every 0.2 s of waiting. TransportError when no answer came.
        """
        wait = Wait(deadline_s, on_wait, self._clock)
        request = self._request(body)
        try:
            return self._exchange(request, wait)
        except _StaleError:
            return self._exchange(request, wait)

    def get(self, deadline_s: float, *, max_body: int) -> Response:
        """Ask for the URL on a connection of its own; no more than ``max_body`` bytes are read.

        TransportError when no answer came until the monotonic ``deadline_s``.
        """
        return self._once("GET", deadline_s, max_body)

    def delete(self, deadline_s: float, *, max_body: int) -> Response:
        """Ask for the URL to be deleted; as ``get``."""
        return self._once("DELETE", deadline_s, max_body)

    def _once(self, method: str, deadline_s: float, max_body: int) -> Response:
        request = [self._make_head(method, {"Connection": "close"}) + b"\r\n"]
        try:
            return self._exchange(request, Wait(deadline_s, _nothing, self._clock), max_body)
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.close()

    def after_fork(self) -> None:
        """In a forked child: drop the socket; nothing is said to the parent's peer."""
        self.close()
        self._resolver.after_fork()

    # --- the request

    @functools.cached_property
    def _head(self) -> bytes:
        """Of a POST, all but ``Content-Length``, which comes last."""
        headers = {"Content-Type": self._content_type}
        if self._gzip:
            headers["Content-Encoding"] = "gzip"
        return self._make_head("POST", headers)

    def _make_head(self, method: str, last: Mapping[str, str]) -> bytes:
        url = self._url
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        if self._proxy is not None and not self._tls:
            target = f"http://{_authority(url)}{target}"
        return request_head(method, target, {**self._make_headers(), **last})[:-2]

    def _make_headers(self) -> dict[str, str]:
        headers = {"Host": _authority(self._url), "User-Agent": USER_AGENT}
        if self._proxy is not None and self._proxy.username is not None and not self._tls:
            headers["Proxy-Authorization"] = _basic(self._proxy)
        lower = {name.lower(): name for name in headers}
        for name, value in self._settings.headers.items():
            if name.lower() not in _OURS:
                headers[lower.get(name.lower(), name)] = value
        return headers

    def _request(self, body: bytes) -> list[bytes]:
        if self._gzip:
            packer = zlib.compressobj(wbits=_GZIP)
            body = packer.compress(body) + packer.flush()
        head = b"%bContent-Length: %d\r\n\r\n" % (self._head, len(body))
        return [head + body] if len(body) <= WRITE_SIZE else [head, body]

    # --- the exchange

    def _exchange(self, request: list[bytes], wait: Wait, max_body: int = MAX_BODY) -> Response:
        reused = self._usable()
        parser = ResponseParser(max_body=max_body)
        try:
            if self._stream is None:
                self._stream = self._open(wait)
            _talk(self._stream, request, parser, wait)
        except (OSError, WireError, EOFError) as error:
            self.close()
            if reused and not parser.started:
                raise _StaleError("the connection was closed") from error
            raise TransportError(_explain(error)) from error
        except BaseException:
            self.close()
            raise
        if not parser.reusable:
            self.close()
        return parser.response

    def _usable(self) -> bool:
        """Whether there is a connection, and the peer hasn't closed it or spoken out of turn."""
        if self._stream is None:
            return False
        try:
            if self._stream.receive() is None:
                return True
        except OSError:
            pass
        self.close()
        return False

    def _open(self, wait: Wait) -> Stream:
        addresses = self._resolver.addresses(wait)
        try:
            sock = connect(addresses, wait)
        except TransportError:
            self._resolver.forget()
            raise
        if not self._tls:
            return PlainStream(sock)
        try:
            if self._proxy is not None:
                self._tunnel(self._proxy, PlainStream(sock), wait)
            stream = TlsStream(sock, self._context(), self._url.hostname or "")
        except BaseException:
            sock.close()
            raise
        try:
            stream.shake_hands(wait)
        except BaseException:
            stream.close()
            raise
        return stream

    def _tunnel(self, proxy: SplitResult, stream: PlainStream, wait: Wait) -> None:
        """CONNECT through the proxy."""
        target = f"{_host(self._url)}:{_port(self._url)}"
        headers = {"Host": target, "User-Agent": USER_AGENT}
        if proxy.username is not None:
            headers["Proxy-Authorization"] = _basic(proxy)
        parser = ResponseParser(tunnel=True)
        _talk(stream, [request_head("CONNECT", target, headers)], parser, wait)
        status = parser.response.status
        if not 200 <= status < 300:
            raise TransportError(f"the proxy refused the connection: HTTP {status}")

    def _context(self) -> ssl.SSLContext:
        if self._tls_context is None:
            self._tls_context = tls_context(self._settings)
        return self._tls_context


def tls_context(settings: OtlpSettings) -> ssl.SSLContext:
    """What certificates to trust and to show; TransportError when their files can't be used."""
    import ssl

    try:
        context = ssl.create_default_context(cafile=settings.certificate)
        if settings.client_certificate:
            context.load_cert_chain(settings.client_certificate, settings.client_key)
    except (OSError, ValueError) as error:
        raise TransportError(f"a certificate or key file can't be used: {error}") from error
    return context


def _talk(stream: Stream, request: list[bytes], parser: ResponseParser, wait: Wait) -> None:
    """Send and receive at once: a peer may answer, and stop reading, before it has it all."""
    pieces = [memoryview(part) for part in request if part]
    while not parser.complete:
        sent = 0
        if pieces:
            try:
                sent = stream.send(pieces[0])
            except (BrokenPipeError, ConnectionResetError):
                pieces = []  # what the peer said before it hung up may still be there
                _read_rest(stream, parser, wait)
                return
            pieces[0] = pieces[0][sent:]
            if not pieces[0]:
                del pieces[0]
        data = stream.receive()
        if data is not None:
            parser.feed(data)
            wait.look("waiting for the answer")
        elif sent:
            wait.look("sending")
        else:
            what = "sending" if pieces else "waiting for the answer"
            wait.for_socket(stream, read=True, write=bool(pieces), what=what)
    if pieces:
        parser.reusable = False


def _read_rest(stream: Stream, parser: ResponseParser, wait: Wait) -> None:
    while not parser.complete:
        data = stream.receive()
        if data is None:
            wait.for_socket(stream, read=True, write=False, what="waiting for the answer")
        else:
            parser.feed(data)
            wait.look("waiting for the answer")
    parser.reusable = False


def _explain(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"connection failed: {error.strerror or type(error).__name__}"
    return str(error)


def without_user(url: str) -> tuple[str, dict[str, str]]:
    """The URL without its user and password, and the header that has them, if there are any."""
    parts = urlsplit(url)
    if parts.username is None:
        return url, {}
    address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return address, {"authorization": _basic(parts)}


def _basic(url: SplitResult) -> str:
    pair = f"{unquote(url.username or '')}:{unquote(url.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _host(url: SplitResult) -> str:
    host = url.hostname or ""
    return f"[{host}]" if ":" in host else host


def _authority(url: SplitResult) -> str:
    return _host(url) if url.port is None else f"{_host(url)}:{url.port}"


def _port(url: SplitResult) -> int:
    return url.port or (443 if url.scheme == "https" else 80)
