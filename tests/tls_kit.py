"""An authority of the test's own, and servers' certificates that it signs."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import trustme


class Authority:
    """``trusted`` has this process trust it, as a site would: by SSL_CERT_FILE."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self._folder = folder

    def trusted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(self.written()))

    def written(self) -> Path:
        """The file of its own certificate."""
        path = self._folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(path))
        return path

    def issue(self, *names: str, days_left: float = 90) -> trustme.LeafCert:
        now = datetime.now(timezone.utc)
        return self._authority.issue_cert(
            *(names or ("127.0.0.1", "localhost")),
            not_before=now - timedelta(days=365),
            not_after=now + timedelta(days=days_left),
        )

    def server(self, *names: str, days_left: float = 90) -> ssl.SSLContext:
        """What a server shows."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.issue(*names, days_left=days_left).configure_cert(context)
        return context


def self_signed(name: str = "127.0.0.1") -> ssl.SSLContext:
    """What a server shows that vouches for itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    with authority.private_key_pem.tempfile() as key, authority.cert_pem.tempfile() as cert:
        context.load_cert_chain(cert, key)
    return context
