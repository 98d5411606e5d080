"""Whether Celery's broker can be reached. Nothing is declared or sent."""

from __future__ import annotations

import os
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from otel_django.health.check import Registered
from otel_django.health.failure_words import in_words
from otel_django.health.instances import IN_TIME
from otel_django.health.results import CheckError, Result
from otel_django.observers import celery_app, celery_connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_django.conf import Settings

NAME: Final = "celery_broker"
_TIMEOUTS: Final = {
    "amqp": ("read_timeout", "write_timeout"),
    "redis": ("socket_timeout", "socket_connect_timeout"),
}
"""By kombu's type of driver: the options of its transport that bound each step."""
_FOLDERS: Final = (("data_folder_in", "data_in"), ("data_folder_out", "data_out"))


def checks(settings: Settings) -> Iterator[Registered]:
    """One check, where the process has the site's Celery app."""
    check = BrokerCheck(settings.health_timeout_s)
    yield Registered(
        NAME,
        check.run,
        critical=True,
        timeout_s=settings.health_timeout_s,
        is_possible=check.is_possible,
        prepare=check.prepare,
    )


@dataclass(frozen=True)
class BrokerCheck:
    """Connects as a worker would, up to the virtual host or the database of Redis."""

    timeout_s: float
    app: Callable[[], Any] = celery_app.current

    def is_possible(self) -> bool:
        """There is a broker: no app that runs its tasks itself."""
        app = self.app()
        return app is not None and not app.conf.task_always_eager

    def prepare(self) -> None:
        """Import the transport."""
        self.app().connection_for_write().get_transport_cls()

    def run(self) -> Result:
        app = self.app()
        if app is None:
            return Result()
        step_s = self.timeout_s * IN_TIME / 2
        connection = app.connection_for_write(connect_timeout=step_s, heartbeat=0)
        kind = connection.get_transport_cls().driver_type
        if kind == "filesystem":
            return _folders(connection.transport_options)
        if kind not in _TIMEOUTS:
            return Result(message=f"Nothing to check: {kind}.")
        connection.transport_options.update(dict.fromkeys(_TIMEOUTS[kind], step_s))
        return _connected(connection, step_s)


def _connected(connection: Any, step_s: float) -> Result:
    began_s = monotonic()
    try:
        with celery_connection.closing(connection):
            connection.ensure_connection(
                max_retries=max(1, len(connection.alt)),
                interval_start=0,
                interval_step=0,
                reraise_as_library_errors=False,
                timeout=step_s,
            )
            duration_ms = (monotonic() - began_s) * 1000
    except Exception as error:
        raise CheckError(in_words(error)) from error
    return Result(observed={"duration_ms": round(duration_ms, 1)})


def _folders(options: dict[str, Any]) -> Result:
    for option, default in _FOLDERS:
        folder = options.get(option, default)
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise CheckError(f"Its folder {option} isn't there, or can't be written.")
    return Result()
