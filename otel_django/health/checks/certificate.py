"""For how long certificates are still valid, and whether clients would take them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

from otel_django.clock import SYSTEM_CLOCK
from otel_django.health.certificate_dates import validity
from otel_django.health.check import Registered
from otel_django.health.instances import IN_TIME, ask_each
from otel_django.health.judging import judged
from otel_django.health.results import CheckError, Result

if TYPE_CHECKING:
    import ssl

    from otel_django.conf import Settings
    from otel_django.conf.limits import Limit
    from otel_django.pipeline.http_stream import Resolver

REMEMBERED_S: Final = 300.0
"""For how long a server isn't asked again whose certificate was good: days are counted."""
_ADDRESS: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^/:\\]+):(\d{1,5})")
_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_DISTRUST: Final = {
    18: "It is self-signed.",
    19: "It is signed by an authority that this host doesn't know.",
    20: "It is signed by an authority that this host doesn't know, or the server doesn't send "
    "the certificates in between.",
    23: "It is revoked.",
    62: "It is another host's.",
    64: "It is another address's.",
}
"""By OpenSSL's number (X509_V_ERR_…)."""


def checks(settings: Settings) -> Iterator[Registered]:
    """One check, an instance a certificate."""
    places = tuple(dict.fromkeys(settings.health_certificates))
    check = CertificateCheck(
        places, settings.health_timeout_s, settings.health_limits["certificate_days"]
    )
    yield Registered(
        "certificate",
        check.run,
        groups=frozenset(),
        is_possible=lambda: bool(places),
    )


class CertificateCheck:
    """``places`` are ``host:port``, where TLS is spoken at once, or paths of PEM files."""

    def __init__(self, places: tuple[str, ...], timeout_s: float, days: Limit) -> None:
        self._places = places
        self._timeout_s = timeout_s
        self._days = days
        self._resolvers: dict[str, Resolver] = {}
        self._good: dict[str, tuple[float, Result]] = {}

    def run(self) -> list[Result]:
        """Look at all of them at the same time."""
        return ask_each(self._places, self._look, "otel-django-health-certificate")

    def _look(self, place: str) -> Result:
        address = _ADDRESS.fullmatch(place)
        if address is None:
            return self._judged(_in_file(place), "")
        began_s = monotonic()
        seen_s, good = self._good.get(place, (0.0, None))
        if good is not None and began_s - seen_s < REMEMBERED_S:
            return good
        host, port = address[1].strip("[]"), int(address[2])
        found = self._judged(*self._shown_by(host, port, began_s + self._timeout_s * IN_TIME))
        if found.status != "unhealthy":
            self._good[place] = (began_s, found)
        return found

    def _judged(self, dates: list[tuple[datetime, datetime]], distrust: str) -> Result:
        now = datetime.now(timezone.utc)
        begin = max(begin for begin, _ in dates)
        end = min(end for _, end in dates)
        days = (end - now) / timedelta(days=1)
        status = judged(days, self._days)
        observed = {"days_left": round(days, 2), "expires": end.isoformat()}
        if days <= 0:
            return Result("unhealthy", f"It expired {_days(-days)} ago.", observed)
        if begin > now:
            return Result("unhealthy", f"It is valid only from {begin:%Y-%m-%d} on.", observed)
        if distrust:
            return Result("unhealthy", distrust, observed)
        return Result(
            status, f"It expires in {_days(days)}." if status != "healthy" else "", observed
        )

    def _shown_by(
        self, host: str, port: int, deadline_s: float
    ) -> tuple[list[tuple[datetime, datetime]], str]:
        """The dates, and why a client would refuse it; a second look where one would."""
        import ssl

        try:
            return [self._dates(host, port, deadline_s, ssl.create_default_context())], ""
        except ssl.SSLCertVerificationError as error:
            code, said = error.verify_code, error.verify_message
        lenient = ssl.create_default_context()
        lenient.check_hostname = False
        lenient.verify_mode = ssl.CERT_NONE
        dates = self._dates(host, port, deadline_s, lenient)
        return [dates], _DISTRUST.get(code, f"Clients refuse it: {said}.")

    def _dates(
        self, host: str, port: int, deadline_s: float, context: ssl.SSLContext
    ) -> tuple[datetime, datetime]:
        from otel_django.pipeline.http_stream import Resolver, TlsStream, connect
        from otel_django.pipeline.waiting import Wait

        wait = Wait(deadline_s, lambda: None)
        resolver = self._resolvers.setdefault(f"{host}:{port}", Resolver(host, port, SYSTEM_CLOCK))
        with connect(resolver.addresses(wait), wait) as sock:
            stream = TlsStream(sock, context, host)
            try:
                stream.shake_hands(wait)
                return validity(stream.peer_certificate())
            finally:
                stream.close()


def _in_file(path: str) -> list[tuple[datetime, datetime]]:
    """Of each certificate in it: the first to expire ends the chain."""
    import ssl

    try:
        text = Path(path).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise CheckError(f"The file can't be read: {error.strerror}.") from error
    try:
        found = [validity(ssl.PEM_cert_to_DER_cert(pem)) for pem in _PEM.findall(text)]
    except ValueError as error:
        raise CheckError("The file is damaged.") from error
    if not found:
        raise CheckError("There is no certificate in the file (PEM).")
    return found


def _days(days: float) -> str:
    return f"{days:.0f} days" if days >= 2 else f"{days * 24:.0f} hours"
