"""How many messages wait in Celery's queues, by the broker's own word.

Nothing is consumed, declared or sent, no worker is asked: each look opens a connection of its own,
asks for figures and closes it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from otel_django import guard, names
from otel_django import metric_definitions as metrics
from otel_django.log_record import WARN
from otel_django.logs import active as logs
from otel_django.observation import Observation
from otel_django.observers import (
    celery_app,
    celery_connection,
    celery_filesystem,
    celery_rabbitmq,
    celery_redis,
)
from otel_django.observers.backlog import Backlog

if TYPE_CHECKING:
    from otel_django.observers.queue_state import BrokerState

_logger = logging.getLogger(guard.LOGGER_NAME)
NAME: Final = "celery.queues"


class _Broker(NamedTuple):
    """How to ask it; ``timeouts`` are the options of its transport that bound each step."""

    ask: Callable[[Any, Iterable[str]], BrokerState]
    timeouts: tuple[str, ...] = ()


_BROKERS: Final = {
    "amqp": _Broker(celery_rabbitmq.ask, ("read_timeout", "write_timeout")),
    "filesystem": _Broker(celery_filesystem.ask),
    "redis": _Broker(celery_redis.ask, ("socket_timeout", "socket_connect_timeout")),
}
"""By kombu's type of driver."""
_NO_QUEUE: Final = frozenset({"memory"})


class CeleryQueues:
    """``more_queues`` names those that workers take from; ``app`` gives the Celery app, if any."""

    name = NAME
    scope: Literal["deployment"] = "deployment"

    def __init__(
        self,
        interval_s: float,
        timeout_s: float,
        more_queues: Callable[[], Iterable[str]],
        app: Callable[[], Any] = celery_app.current,
    ) -> None:
        self.interval_s = interval_s
        self.timeout_s = timeout_s
        self._more_queues = more_queues
        self._app = app
        self._backlog = Backlog()
        self._unknown: set[str] = set()

    def is_possible(self) -> bool:
        """This process has the site's Celery app."""
        return self._app() is not None

    def observe(self) -> Iterator[Observation]:
        """Length and age of each queue that is there; what the broker doesn't tell is left out."""
        app = self._app()
        if app is None or app.conf.task_always_eager:
            return
        step_s = self.timeout_s / 2
        asked = app.connection_for_read(connect_timeout=step_s, heartbeat=0)
        with celery_connection.closing(asked) as connection:
            kind = connection.get_transport_cls().driver_type
            broker = _BROKERS.get(kind)
            if broker is None:
                self._say_unknown(kind)
                return
            connection.transport_options.update(dict.fromkeys(broker.timeouts, step_s))
            state = broker.ask(connection, sorted({*queues_of(app), *self._more_queues()}))
        self._tell_of_backlog(state)
        yield from _observations(state)

    def _say_unknown(self, kind: str) -> None:
        if kind not in self._unknown | _NO_QUEUE:
            self._unknown.add(kind)
            _logger.info("How long Celery's queues are is unknown: %s doesn't tell.", kind)

    def _tell_of_backlog(self, state: BrokerState) -> None:
        lengths = {queue: one.length for queue, one in state.queues.items()}
        for grown in self._backlog.look(lengths):
            journal = logs.journal()
            if journal is not None:
                journal.emit(
                    names.QUEUE_BACKLOG_GREW,
                    severity=WARN,
                    attributes={
                        names.MESSAGING_DESTINATION_NAME: grown.queue,
                        names.CELERY_QUEUE_LENGTH: grown.length,
                        names.CELERY_QUEUE_LENGTH_BEFORE: grown.before,
                    },
                )


def queues_of(app: Any) -> Iterator[str]:
    """Those the app is configured with or has sent to."""
    for queue in list(app.amqp.queues.values()):
        yield str(queue.name)


def _observations(state: BrokerState) -> Iterator[Observation]:
    for queue, one in state.queues.items():
        which = {names.MESSAGING_DESTINATION_NAME: queue}
        yield Observation(metrics.CELERY_QUEUE_LENGTH.name, one.length, which)
        if one.oldest_age_s is not None:
            yield Observation(metrics.CELERY_QUEUE_OLDEST_MESSAGE_AGE.name, one.oldest_age_s, which)
    if state.unacknowledged is not None:
        yield Observation(metrics.CELERY_QUEUE_UNACKNOWLEDGED.name, state.unacknowledged)
