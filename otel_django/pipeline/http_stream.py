"""Connections that never block: TCP or TLS, opened and used in slices of ``Wait``."""

from __future__ import annotations

import errno
import os
import socket
import threading
from typing import TYPE_CHECKING, Any, Final, Protocol

from otel_django.errors import ForbiddenAddressError, TransportError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from otel_django.clock import Clock
    from otel_django.pipeline.waiting import Wait

FIRST_ADDRESSES_S: Final = 2.0
"""What one address may take to connect while there are others to try."""
RESOLVED_S: Final = 30.0
"""How long an answer of the resolver is used."""
READ_SIZE: Final = 65_536
WRITE_SIZE: Final = 65_536

Address = tuple[int, int, int, str, Any]


class Stream(Protocol):
    """A connection; neither method waits."""

    def send(self, data: memoryview) -> int:
        """Bytes taken, 0 when it would have to wait."""
        ...

    def receive(self) -> bytes | None:
        """What is there, b"" at the end of the stream, None when it would have to wait."""
        ...

    def fileno(self) -> int: ...

    def close(self) -> None: ...


class PlainStream:
    """TCP."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(self, data: memoryview) -> int:
        try:
            return self._sock.send(data[:WRITE_SIZE])
        except BlockingIOError:
            return 0

    def receive(self) -> bytes | None:
        try:
            return self._sock.recv(READ_SIZE)
        except BlockingIOError:
            return None

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()


class TlsStream:
    """TLS over a connected socket. ``close`` sends nothing: a forked child may call it."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str) -> None:
        import ssl

        self._wants_read = ssl.SSLWantReadError
        self._wants_write = ssl.SSLWantWriteError
        self._sock = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)

    def shake_hands(self, wait: Wait) -> None:
        """Until both sides agree on keys; OSError (ssl.SSLError) when they don't."""
        while True:
            read = write = False
            try:
                self._sock.do_handshake()
            except self._wants_read:
                read = True
            except self._wants_write:
                write = True
            else:
                return
            wait.for_socket(self._sock, read=read, write=write, what="in the TLS handshake")

    def peer_certificate(self) -> bytes:
        """What the other side has shown, in DER."""
        return self._sock.getpeercert(binary_form=True) or b""

    def send(self, data: memoryview) -> int:
        try:
            return self._sock.send(data[:WRITE_SIZE])
        except (self._wants_read, self._wants_write):
            return 0

    def receive(self) -> bytes | None:
        try:
            return self._sock.recv(READ_SIZE)
        except (self._wants_read, self._wants_write):
            return None

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()


def connect(addresses: list[Address], wait: Wait) -> socket.socket:
    """A connected socket to the first address that takes it; TransportError when none does."""
    failure = "no address to connect to"
    for index, address in enumerate(addresses):
        is_last = index == len(addresses) - 1
        patience_s = wait.left_s() if is_last else min(FIRST_ADDRESSES_S, wait.left_s() / 2)
        try:
            return _connect_one(address, wait, patience_s)
        except OSError as error:
            failure = error.strerror or type(error).__name__
    raise TransportError(f"can't connect: {failure}")


def _connect_one(address: Address, wait: Wait, patience_s: float) -> socket.socket:
    family, kind, protocol, _, where = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex(where)
        if code in (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR, _WSAEWOULDBLOCK):
            _await_connection(sock, wait, patience_s)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        if sock.getsockname() == sock.getpeername():
            # A free local port can be met by its own connection attempt.
            raise OSError(errno.ECONNREFUSED, "connected to itself")
        return sock
    except BaseException:
        sock.close()
        raise


_WSAEWOULDBLOCK: Final = 10035


def _await_connection(sock: socket.socket, wait: Wait, patience_s: float) -> None:
    from otel_django.pipeline.waiting import is_ready

    end_s = wait.left_s() - patience_s
    while not is_ready(
        sock, read=False, write=True, timeout_s=min(wait.look("connecting"), patience_s)
    ):
        if wait.left_s() <= end_s:
            raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))


class Resolver:
    """Finds a host's addresses on a short-lived daemon thread: the system's resolver may hang.

    At most one look-up is under way; a later call waits for the same one. Addresses of which
    ``may_reach`` says no are never given.
    """

    def __init__(
        self,
        host: str,
        port: int,
        clock: Clock,
        may_reach: Callable[[str], bool] | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._clock = clock
        self._may_reach = may_reach
        self._numeric = numeric_addresses(host, port)
        self.after_fork()

    def after_fork(self) -> None:
        """In a forked child: the parent's thread isn't here."""
        self._lookup: _Lookup | None = None

    def start(self) -> _Lookup | None:
        """Begin looking up, without waiting; None where there is nothing to look up.

        A result of the last 30 s is used again.
        """
        if self._numeric:
            return None
        lookup = self._lookup
        if lookup is None or (
            lookup.done.is_set() and self._clock.monotonic_s() - lookup.started_s > RESOLVED_S
        ):
            lookup = _Lookup(self._host, self._port, self._clock.monotonic_s())
            lookup.start()
            self._lookup = lookup
        return lookup

    def forget(self) -> None:
        """The addresses didn't help: ask again the next time."""
        if self._lookup is not None and self._lookup.done.is_set():
            self._lookup = None

    def addresses(self, wait: Wait) -> list[Address]:
        """The addresses; TransportError when there are none, or not in time."""
        try:
            lookup = self.start()
        except RuntimeError:  # no new threads while the interpreter shuts down
            raise TransportError(f"can't look up {self._host} at exit") from None
        if lookup is None:
            return self._allowed(self._numeric)
        wait.for_event(lookup.done, f"looking up {self._host}")
        if not lookup.addresses:
            self.forget()
            raise TransportError(f"can't look up {self._host}: {lookup.failure}")
        return self._allowed(lookup.addresses)

    def _allowed(self, addresses: list[Address]) -> list[Address]:
        if self._may_reach is None:
            return addresses
        allowed = [one for one in addresses if self._may_reach(str(one[4][0]))]
        if not allowed:
            raise ForbiddenAddressError(f"{self._host} has no address that may be reached")
        return allowed


class _Lookup:
    def __init__(self, host: str, port: int, started_s: float) -> None:
        self.done = threading.Event()
        self.addresses: list[Address] = []
        self.failure = ""
        self.started_s = started_s
        self._host = host
        self._port = port

    def start(self) -> None:
        threading.Thread(target=self._run, name="otel_django-resolver", daemon=True).start()

    def _run(self) -> None:
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            self.addresses = [tuple(address) for address in found]  # type: ignore[misc]
        except (OSError, UnicodeError) as error:
            self.failure = getattr(error, "strerror", None) or type(error).__name__
        finally:
            self.done.set()


def numeric_addresses(host: str, port: int) -> list[Address]:
    """Addresses that need no resolver: numbers, and ``localhost`` (RFC 6761), IPv4 first."""
    names = ["127.0.0.1", "::1"] if host.rstrip(".").lower() == "localhost" else [host]
    found: list[Address] = []
    for name in names:
        try:
            found += [
                tuple(address)  # type: ignore[misc]
                for address in socket.getaddrinfo(
                    # As bytes: a text is encoded with IDNA's tables, even a number.
                    name.encode("ascii"),
                    port,
                    type=socket.SOCK_STREAM,
                    flags=socket.AI_NUMERICHOST,
                )
            ]
        except (OSError, UnicodeError):
            continue
    return found
