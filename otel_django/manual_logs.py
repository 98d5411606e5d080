"""Log records of a site's own: ``event("order.placed", order=7)`` and ``get_logger()``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_django.logs import active

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger


def event(name: str, /, **fields: object) -> None:
    """Tell that something has happened: ``event("order.placed", order=7)``; level info.

    A line and a log record with the current trace, request and task. ``name`` is in the past tense
    and the same each time, what differs goes into ``fields``. Without effect where nobody observes
    the process. Never raises.
    """
    journal = active.journal()
    if journal is not None:
        journal.emit(name, attributes=fields)


def get_logger(name: str | None = None, /, **fields: Any) -> BoundLogger:
    """A logger of structlog: ``log = get_logger(); log.info("order.placed", order=7)``.

    ``name`` is that of the logger of ``logging`` below it, by default the calling module's;
    ``fields`` are bound. Unless the site has configured structlog, what it takes goes through
    ``logging``, also in processes that nobody observes.
    """
    from otel_django.logs.structured import configure, named_logger

    configure()
    logger: BoundLogger = named_logger(name, fields)
    return logger
