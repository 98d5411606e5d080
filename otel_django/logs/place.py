"""Where in the system a record was written."""

from __future__ import annotations

from typing import Any, Final

from otel_django import names

_UINT128: Final = (1 << 128) - 1
_UINT64: Final = (1 << 64) - 1


class Place:
    """Trace, request and task of a record; 0 and None: outside any.

    ``task_name_key`` is the attribute under which the task's name leaves. ``in_line`` is all of it
    as it stands in a line, ``in_record`` what a log record has no field of its own for.
    """

    __slots__ = ("in_line", "in_record", "route", "span_id", "task", "trace_flags", "trace_id")

    def __init__(
        self,
        trace_id: int = 0,
        span_id: int = 0,
        trace_flags: int = 0,
        request_id: str | None = None,
        route: str | None = None,
        task: str | None = None,
        task_id: str | None = None,
        task_name_key: str = names.CELERY_TASK_NAME,
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.trace_flags = trace_flags
        self.route = route
        self.task = task
        line: dict[str, Any] = {}
        record: dict[str, Any] = {}
        if trace_id:
            # Half of what formatting takes; as in the record, too large ones are cut.
            line["trace_id"] = (trace_id & _UINT128).to_bytes(16, "big").hex()
            line["span_id"] = (span_id & _UINT64).to_bytes(8, "big").hex()
        if request_id is not None:
            line["request_id"] = record[names.DJANGO_REQUEST_ID] = request_id
        if route is not None:
            line[names.HTTP_ROUTE] = record[names.HTTP_ROUTE] = route
        if task is not None:
            line["task"] = record[task_name_key] = task
        if task_id is not None:
            line["task_id"] = record[names.MESSAGING_MESSAGE_ID] = task_id
        self.in_line = line
        self.in_record = record
