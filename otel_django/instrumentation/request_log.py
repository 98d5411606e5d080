"""``request.finished``: one log record for each request, in place of its server's access line."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from otel_django import names
from otel_django.instrumentation.http_headers import loaded_user
from otel_django.instrumentation.http_request import RequestTracing
from otel_django.instrumentation.http_served import user_attribute
from otel_django.log_record import ERROR, INFO, WARN
from otel_django.logs import active
from otel_django.logs.journal import LEFT_OUT, untold
from otel_django.logs.place import Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_django.conf import Settings
    from otel_django.instrumentation.http_served import ServedRequest
    from otel_django.logs.journal import Journal
    from otel_django.tracing.tracer import Tracer

ACCESS_LOGGERS: Final = ("gunicorn.access", "uvicorn.access")
_MOST_KEPT: Final = 1024
_LONGEST_KEPT: Final = 200
_DJANGO_SERVER: Final = "django.server"
_DJANGO_ACCESS_LINE: Final = '"%s" %s %s'


class RequestLog:
    """Tells of every request that has a span, recorded or not."""

    def __init__(self) -> None:
        self._journal: Journal | None = None
        self._slow_ns = 0
        self._text: Callable[[str], str] = str
        self._paths: dict[str, str] = {}

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Tell, if anybody takes log records; a second call changes nothing."""
        journal = active.journal()
        if journal is None or self._journal is not None:
            return
        self._journal = journal
        self._slow_ns = int(settings.slow_request_s * 1e9)
        self._text = tracer.normaliser.redactor.text
        RequestTracing.on_finished.append(self._finished)
        journal.set_rule(_DJANGO_SERVER, _of_runserver)
        for name in ACCESS_LOGGERS:
            journal.set_rule(name, _left_out)

    def uninstall(self) -> None:
        """Leave it to the servers again."""
        journal = self._journal
        if journal is not None:
            self._journal = None
            RequestTracing.on_finished.remove(self._finished)
            for name in (_DJANGO_SERVER, *ACCESS_LOGGERS):
                journal.set_rule(name, None)

    def _finished(self, served: ServedRequest, route: str | None, duration_ns: int) -> None:
        journal = self._journal
        if journal is None:
            return
        fields: dict[str, Any] = {
            names.HTTP_REQUEST_METHOD: served.method,
            names.HTTP_RESPONSE_STATUS_CODE: served.status_code,
        }
        self._describe(served, fields)
        fields[names.DURATION] = duration_ns / 1e9
        _count(served, fields)
        if served.broken_off:
            fields[names.DJANGO_CLIENT_DISCONNECTED] = True
        severity = INFO
        if served.failed:
            severity = ERROR
            fields[names.ERROR_TYPE] = served.error_type
        elif duration_ns >= self._slow_ns:
            severity = WARN
        trace = served.span._context
        # A tuple, whose properties take calls.
        place = Place(trace[0], trace[1], int(trace[3]), served.request_id, route)
        journal.tell(names.REQUEST_FINISHED, severity, fields, place, untold(served.exception))

    def _describe(self, served: ServedRequest, fields: dict[str, Any]) -> None:
        """Path, client and user, as the span says them."""
        request = served.request
        if served.recording:
            known = served.span._own
            path = known.get(names.URL_PATH)
            client = known.get(names.CLIENT_ADDRESS)
        elif request is not None:
            path, client = served._tracing.describer.path_and_client(request)
        else:
            return
        if path is not None:
            fields[names.URL_PATH] = self._paths.get(path) or self._redacted(path)
        if client is not None:
            fields[names.CLIENT_ADDRESS] = client
        how = served._tracing.user_id
        if how != "off" and request is not None:
            user = loaded_user(request)
            if user is not None and getattr(user, "pk", None) is not None:
                fields.update(user_attribute(user.pk, how))

    def _redacted(self, path: str) -> str:
        """``path`` as it may leave; kept, for many requests have one of few."""
        text = self._text(path)
        if len(path) <= _LONGEST_KEPT:
            if len(self._paths) >= _MOST_KEPT:
                self._paths.clear()
            self._paths[path] = text
        return text


def _count(served: ServedRequest, fields: dict[str, Any]) -> None:
    """Queries, and the sizes of both bodies as far as they are known."""
    fields[names.DB_QUERIES] = queries = served.queries
    if queries:
        fields[names.DB_DURATION] = served.query_ns / 1e9
    size = served.request_bytes
    if size:
        fields[names.HTTP_REQUEST_BODY_SIZE] = size
    size = served.response_bytes
    if size is not None:
        fields[names.HTTP_RESPONSE_BODY_SIZE] = size


def _left_out(record: logging.LogRecord) -> str | None:
    return LEFT_OUT


def _of_runserver(record: logging.LogRecord) -> str | None:
    """Its lines on requests; what it says of broken ones stays."""
    return LEFT_OUT if record.msg == _DJANGO_ACCESS_LINE else None
