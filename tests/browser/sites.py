"""Sites over stores of a test's own, for states that the demonstration isn't in."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests import server_process
from tests.server_process import Server
from tests.stub_collector_process import free_port

PREFIX: Final = "/monitoring/"


class Site:
    """Reached at ``address``; it can fall silent, and go away and come back."""

    def __init__(self, store: Path | None) -> None:
        self._environ = {
            "TESTS_DEBUG": "1",
            "OTEL_DJANGO_ENABLED": "false",
            "OTEL_DJANGO_STORE": "off" if store is None else str(store),
        }
        self._port = free_port()
        self._running = contextlib.ExitStack()
        self._server: Server | None = None
        self.address = f"http://127.0.0.1:{self._port}{PREFIX}"

    def begin(self) -> None:
        """Answer, from now on."""
        serving = server_process.serving(_command, self._environ, port=self._port)
        self._server = self._running.enter_context(serving)

    def end(self) -> None:
        """Be away."""
        self._running.close()

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """Take connections, but answer none."""
        assert self._server is not None
        os.killpg(self._server.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self._server.pid, signal.SIGCONT)


def _command(port: int) -> list[str]:
    address = f"127.0.0.1:{port}"
    options = ("--noreload", "--skip-checks")
    return [sys.executable, "-m", "django", "runserver", *options, address]


@contextlib.contextmanager
def site_over(store: Path | None) -> Iterator[Site]:
    """A site whose pages show ``store``; None: it keeps nothing."""
    site = Site(store)
    site.begin()
    try:
        yield site
    finally:
        site.end()
