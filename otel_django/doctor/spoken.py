"""What a port speaks, found out by greeting it: nothing is sent that would be kept."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from typing import Final, Literal

Spoken = Literal["nothing", "unreachable", "silence", "http", "http2", "tls", "other"]
"""``nothing``: nobody listens; ``unreachable``: nobody even refuses a connection; ``silence``: who
listens says nothing; ``http2`` is gRPC's."""

_GREETING: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_SETTINGS_FRAME: Final = 4
_TLS_ALERT: Final = b"\x15\x03"
_FOR_TLS: Final = (b"https", b"tls")


def spoken_at(host: str, port: int, timeout_s: float) -> Spoken:
    """Connect, ask for a page, and judge by how it answers; at most some three time-outs."""
    try:
        connection = socket.create_connection((host, port), timeout_s)
    except TimeoutError:
        return "unreachable"
    except OSError:
        return "nothing"
    with connection:
        answer = _answer(connection, time.monotonic() + timeout_s)
    if answer.startswith(b"HTTP/1."):
        asks_for_tls = b" 400 " in answer[:32] and any(w in answer.lower() for w in _FOR_TLS)
        return "tls" if asks_for_tls else "http"
    if len(answer) > 3 and answer[:1] == b"\0" and answer[3] == _SETTINGS_FRAME:
        return "http2"
    if answer.startswith(_TLS_ALERT) or _shakes_hands(host, port, timeout_s):
        return "tls"
    return "other" if answer else "silence"


def _answer(connection: socket.socket, deadline_s: float) -> bytes:
    """What has come until then, or until there is enough of it."""
    answer = b""
    with contextlib.suppress(OSError):
        connection.sendall(_GREETING)
        while len(answer) < 1024 and time.monotonic() < deadline_s:
            data = connection.recv(1024)
            if not data:
                break
            answer += data
    return answer


def _shakes_hands(host: str, port: int, timeout_s: float) -> bool:
    """Whether it takes a TLS connection, whoever it says it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        with (
            socket.create_connection((host, port), timeout_s) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return True
    except ssl.SSLError as error:  # one that asks for our certificate speaks TLS all the same
        return "CERTIFICATE_REQUIRED" in str(error) or "HANDSHAKE_FAILURE" in str(error)
    except (OSError, ValueError):
        return False
