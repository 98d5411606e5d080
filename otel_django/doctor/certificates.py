"""What is wrong with the certificates that a receiver shows, or wants."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from otel_django.pipeline.http_transport import tls_context

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_django.conf import OtlpSettings

_OTHER_NAME: Final = (62, 64)
"""OpenSSL's numbers for a certificate of another host name, or IP address."""
_EXPIRED: Final = 10
_OURS_IS_ASKED: Final = ("CERTIFICATE_REQUIRED", "ALERT_BAD_CERTIFICATE")


class Trouble(NamedTuple):
    """``reason`` as OpenSSL puts it; ``names`` those it is for, where it isn't for this host.

    ``kind`` is "ours" where the receiver doesn't trust us.
    """

    reason: str
    kind: Literal["theirs", "expired", "ours"] = "theirs"
    names: tuple[str, ...] = ()


def trouble(host: str, port: int, receiver: OtlpSettings, timeout_s: float) -> Trouble | None:
    """What is wrong with the certificates of either side; None where it isn't that.

    Raises:
        TransportError: our own certificate files can't be used.
    """
    context = tls_context(receiver)
    try:
        _shake_hands(host, port, context, timeout_s)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in _OTHER_NAME:
            context.check_hostname = False
            names = _names(host, port, context, timeout_s)
            return Trouble(error.verify_message, names=names)
        if error.verify_code == _EXPIRED:
            return Trouble(error.verify_message, "expired")
        return Trouble(error.verify_message)
    except ssl.SSLError as error:
        reason = error.reason or ""
        asked = reason.endswith(_OURS_IS_ASKED)
        return Trouble(reason.replace("_", " ").lower(), "ours") if asked else None
    except (OSError, ValueError):
        return None
    return None


def _names(host: str, port: int, context: ssl.SSLContext, timeout_s: float) -> tuple[str, ...]:
    """Those in the certificate, as far as its authority is trusted."""
    with contextlib.suppress(OSError):
        shown = _shake_hands(host, port, context, timeout_s)
        return tuple(str(pair[1]) for pair in shown.get("subjectAltName", ()))
    return ()


def _shake_hands(
    host: str, port: int, context: ssl.SSLContext, timeout_s: float
) -> Mapping[str, Any]:
    """The certificate that is shown."""
    with (
        socket.create_connection((host, port), timeout_s) as connection,
        context.wrap_socket(connection, server_hostname=host) as secured,
    ):
        shown = secured.getpeercert() or {}
        with contextlib.suppress(TimeoutError):  # since TLS 1.3 ours is refused after our end
            secured.recv(1)
        return shown
