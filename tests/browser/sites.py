"""Sites in states that the demonstration isn't in, each over a store of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, TypeAlias

from tests import server_process
from tests.browser.stores import damage, write_full
from tests.server_process import Server
from tests.stub_collector_process import free_port

PREFIX: Final = "/monitoring/"
State: TypeAlias = Literal["empty", "bare", "full", "partly damaged", "damaged"]


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
            self.speak()

    def speak(self) -> None:
        """Be silent no more."""
        assert self._server is not None
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


@contextlib.contextmanager
def site_in(state: State, folder: Path) -> Iterator[Site]:
    """``bare`` keeps nothing; of ``partly damaged`` metrics and log records can't be read."""
    with site_over(_store(state, folder)) as site:
        yield site


def _store(state: State, folder: Path) -> Path | None:
    path = folder / state / "store.sqlite3"
    path.parent.mkdir()
    if state == "bare":
        return None
    if state == "full":
        write_full(path)
    elif state == "partly damaged":
        write_full(path)
        damage(path, "metric_", "point_", "log_")
    elif state == "damaged":
        path.write_bytes(os.urandom(65_536))
    return path
