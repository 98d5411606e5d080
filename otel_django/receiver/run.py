"""The receiver's life: from its settings to its exit code."""

from __future__ import annotations

import errno
import signal
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_django import own_thread
from otel_django.conf.settings import DATA_DIR
from otel_django.errors import ConfigurationError
from otel_django.receiver.limits import LIMITS
from otel_django.web import site_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_django.conf import Settings
    from otel_django.receiver.door import Door

_REQUESTS_S: Final = 2.5
_STORE_S: Final = 1.5


def settings_for(
    settings: Settings,
    *,
    store: Path | None = None,
    token: str | None = None,
    retention_hours: float | None = None,
    max_mb: int | None = None,
) -> Settings:
    """A site's settings with what was asked for, and a store in any case."""
    usual = (settings.base_dir or Path.cwd()) / DATA_DIR / "store.sqlite3"
    tokens = (token,) if token else settings.tokens
    hours = retention_hours or settings.store_retention_hours
    return replace(
        settings,
        store=(store and store.expanduser().absolute()) or settings.store or usual,
        tokens=tokens,
        store_retention_hours=hours,
        metrics_retention_hours=retention_hours or settings.metrics_retention_hours,
        store_max_mb=max_mb or settings.store_max_mb,
        viewer=True,
        debug=not tokens,
    )


def receive(settings: Settings, host: str, port: int, say: Callable[[str], object]) -> None:
    """Receive until a signal asks to end; ``say`` is told the address.

    Raises:
        ConfigurationError: the address can't be had, or needs a token.
    """
    from otel_django.receiver.door import Door
    from otel_django.receiver.intake import Intake
    from otel_django.receiver.memory import give_back_large_pieces
    from otel_django.receiver.pages import Pages
    from otel_django.receiver.server import Server
    from otel_django.receiver.writing import Writing

    assert settings.store is not None  # noqa: S101 - see settings_for
    door = Door(settings.tokens)
    _check_address(host, port, door)
    give_back_large_pieces()
    site_settings.take(settings)
    writing = Writing(settings.store, settings, LIMITS.waiting_s)
    with _asked_to_end() as asked:
        try:
            server = Server(
                host,
                port,
                intake=Intake(door, writing, LIMITS),
                pages=Pages(door, LIMITS),
                limits=LIMITS,
            )
        except OSError as error:
            raise ConfigurationError(_unusable(host, port, error)) from error
        writing.start()
        own_thread.start(server.serve_forever, "otel_django-receiver")
        say(f"OTLP is received, and shown, at {server.url}")
        asked.wait()
        server.stop(_REQUESTS_S)
        writing.close(_STORE_S)


def _check_address(host: str, port: int, door: Door) -> None:
    from otel_django.receiver.server import is_loopback

    try:
        alone = is_loopback(host)
    except OSError as error:
        raise ConfigurationError(_unusable(host, port, error)) from error
    if not alone and not door.tokens:
        raise ConfigurationError(
            f"Others reach {host}: a token is needed there, from OTEL_DJANGO_TOKENS or --token. "
            "Without one, only --host 127.0.0.1 is served."
        )


def _unusable(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} of {host} is taken: another program listens there, maybe another "
            "receiver or a Collector. --port chooses another one."
        )
    return f"{host}, port {port}, can't be listened at: {error.strerror or error}"


@contextmanager
def _asked_to_end() -> Iterator[threading.Event]:
    """Set by SIGTERM and SIGINT."""
    asked = threading.Event()
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda *_: asked.set()) for number in numbers}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
