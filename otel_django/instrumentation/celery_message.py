"""What a task's message says beyond its trace context, and where it goes.

Our own headers are plain numbers and strings, so that every serialiser and broker takes them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from otel_django import guard, names
from otel_django.errors import ConfigurationError
from otel_django.tracing.carrier import TRACEPARENT, Carrier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_django.tracing.limits import Plain

SENT_AT: Final = "otel_django_sent_at"
"""Seconds since the epoch: messages carry no time of their own."""
REQUEST_ID: Final = "otel_django_request_id"
BEAT_ENTRY: Final = "otel_django_beat_entry"
EXECUTION: Final = "otel_django_execution"
"""Set by a worker's main process for its child: the trace id and the span id of this run,
48 hexadecimal digits."""

_logger = logging.getLogger(guard.LOGGER_NAME)

# Values of messaging.system by kombu's driver type; all others are called as kombu does.
_SYSTEMS: Final = {
    "amqp": "rabbitmq",
    "sqs": "aws_sqs",
    "gcpubsub": "gcp_pubsub",
    "azureservicebus": "servicebus",
}
_WITHOUT_HOST: Final = frozenset({"filesystem", "memory"})

_lineage: Final = itemgetter("id", "eta", "expires", "retries", "root_id", "parent_id", "group")
_brokers: WeakKeyDictionary[Any, dict[str, Plain]] = WeakKeyDictionary()


def carrier_of(propagators: Sequence[str]) -> Carrier:
    """The named propagators; a name that nobody provides costs a warning, not the tracing."""
    try:
        return Carrier(propagators)
    except ConfigurationError as error:
        _logger.warning("%s; tracecontext and baggage are used instead", error)
        return Carrier(("tracecontext", "baggage"))


def broker_attributes(app: Any) -> dict[str, Plain]:
    """``messaging.system`` and the broker's address, as the app is configured; made once."""
    found = _brokers.get(app)
    if found is None:
        found = _brokers[app] = _describe(app.connection_for_write())
    return found


def _describe(connection: Any) -> dict[str, Plain]:
    transport = connection.transport  # no network: an object that could connect
    driver = str(transport.driver_type)
    attributes: dict[str, Plain] = {names.MESSAGING_SYSTEM: _SYSTEMS.get(driver, driver)}
    if driver not in _WITHOUT_HOST:
        host = connection.hostname
        port = connection.port or getattr(transport, "default_port", None)
        if isinstance(host, str) and host and "/" not in host:
            attributes[names.SERVER_ADDRESS] = host
            if isinstance(port, int):
                attributes[names.SERVER_PORT] = port
    return attributes


def destination(exchange: Any, routing_key: Any, queues: Iterable[Any] | None = ()) -> str:
    """The queue a message goes to or came from, as far as it is known; else its routing key.

    Through the default exchange the routing key is the queue's name; through another one the queue
    is known if one of ``queues`` is bound by that very key. What is broadcast has no one queue: the
    exchange stands for them.
    """
    name = getattr(exchange, "name", exchange)
    if name and routing_key:
        for queue in queues or ():
            if queue.routing_key == routing_key and queue.exchange.name == name:
                return str(queue.name)
    return str(routing_key or name or "")


def add_lineage(fields: Mapping[str, Any], attributes: dict[str, Plain]) -> None:
    """Which message it is, when it is due and whose child, as attributes.

    ``fields`` are the headers of protocol 2, the body of protocol 1, or what a worker knows of a
    request; what isn't there, or says nothing, is left out.
    """
    try:
        task_id, eta, expires, retries, root_id, parent_id, group_id = _lineage(fields)
    except KeyError:  # protocol 1
        get = fields.get
        task_id, eta, expires, retries = get("id"), get("eta"), get("expires"), get("retries")
        root_id, parent_id = get("root_id"), get("parent_id")
        group_id = get("group") or get("taskset")
    if task_id:
        attributes[names.MESSAGING_MESSAGE_ID] = task_id
    if eta:
        attributes[names.CELERY_TASK_ETA] = str(eta)
    if expires:
        attributes[names.CELERY_TASK_EXPIRES] = str(expires)
    if retries:
        attributes[names.CELERY_TASK_RETRIES] = retries
    if root_id and root_id != task_id:
        attributes[names.CELERY_TASK_ROOT_ID] = root_id
    if parent_id:
        attributes[names.CELERY_TASK_PARENT_ID] = parent_id
    if group_id:
        attributes[names.CELERY_TASK_GROUP_ID] = group_id


def timestamp(eta: object) -> float | None:
    """Seconds since the epoch of an eta in ISO 8601; UTC where it names no zone, as Celery's are.

    None if there is none or it can't be read.
    """
    if isinstance(eta, str):
        try:
            eta = datetime.fromisoformat(eta.replace("Z", "+00:00"))
        except ValueError:
            return None
    if not isinstance(eta, datetime):
        return None
    return (eta if eta.tzinfo else eta.replace(tzinfo=timezone.utc)).timestamp()


def custom_headers(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The headers senders add: among Celery's own, or (protocol 1) in a mapping apart.

    Others, such as Sentry, put a mapping of that name among Celery's own.
    """
    if SENT_AT in fields or TRACEPARENT in fields:
        return fields
    apart = fields.get("headers")
    return {**apart, **fields} if isinstance(apart, Mapping) else fields
