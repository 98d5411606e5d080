"""What is wrong with the certificate that a receiver shows."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_django.pipeline.http_transport import tls_context

if TYPE_CHECKING:
    from otel_django.conf import OtlpSettings

_OTHER_NAME: Final = (62, 64)
"""OpenSSL's numbers for a certificate of another host name, or IP address."""
_EXPIRED: Final = 10


class Distrust(NamedTuple):
    """``reason`` as OpenSSL puts it; ``names`` those it is for, where it isn't for this host."""

    reason: str
    names: tuple[str, ...] = ()
    expired: bool = False


def distrust(host: str, port: int, receiver: OtlpSettings, timeout_s: float) -> Distrust | None:
    """Why the certificate shown there isn't trusted; None where it is, or TLS fails otherwise.

    Raises:
        TransportError: our own certificate files can't be used.
    """
    context = tls_context(receiver)
    try:
        _shake_hands(host, port, context, timeout_s)
    except ssl.SSLCertVerificationError as error:
        names: tuple[str, ...] = ()
        if error.verify_code in _OTHER_NAME:
            context.check_hostname = False
            with contextlib.suppress(OSError):
                names = _shake_hands(host, port, context, timeout_s)
        return Distrust(error.verify_message, names, error.verify_code == _EXPIRED)
    except (OSError, ValueError):
        return None
    return None


def _shake_hands(
    host: str, port: int, context: ssl.SSLContext, timeout_s: float
) -> tuple[str, ...]:
    """The names in the certificate."""
    with (
        socket.create_connection((host, port), timeout_s) as connection,
        context.wrap_socket(connection, server_hostname=host) as secured,
    ):
        shown = secured.getpeercert() or {}
    return tuple(str(pair[1]) for pair in shown.get("subjectAltName", ()))
