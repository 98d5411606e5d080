"""``query.slow`` and ``query.repeated``: log records of statements that cost too much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_django import guard, names
from otel_django.log_record import WARN
from otel_django.logs import active

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_django.instrumentation.caller import CallerFinder
    from otel_django.tracing.span import Span
    from otel_django.tracing.span_parts import SharedAttributes

_CODE = (
    names.CODE_FILE_PATH,
    names.CODE_LINE_NUMBER,
    names.CODE_FUNCTION_NAME,
    names.DJANGO_TEMPLATE_NAME,
    names.DJANGO_TEMPLATE_LINE,
)


def slow(
    shared: SharedAttributes, took_ns: int, span: Span | None, finder: CallerFinder | None
) -> None:
    """A query took long. The line of code is the span's, or looked for by ``finder``."""
    if active.journal() is None:
        return
    code: Mapping[str, Any] = {}
    if span is not None:
        code = {key: span._own[key] for key in _CODE if key in span._own}
    elif finder is not None:
        caller = finder.find()
        code = {} if caller is None else caller.attributes()
    _tell(names.QUERY_SLOW, {**shared.values, names.DURATION: took_ns / 1e9, **code}, span)


def repeated(attributes: Mapping[str, Any], root: Span) -> None:
    """A request or task, whose first span is ``root``, has repeated a statement."""
    fields = dict(attributes)
    route = root._attributes.get(names.HTTP_ROUTE)
    if route is not None:
        fields[names.HTTP_ROUTE] = route
    _tell(names.QUERY_REPEATED, fields, root)


def _tell(event: str, fields: dict[str, Any], span: Span | None) -> None:
    journal = active.journal()
    if journal is not None:
        with guard.guarded("query_events"):
            journal.tell(event, WARN, fields, journal.place(span))
