"""What is asked for as LogQL, and what of it has to be looked for in the answer.

Loki keeps what OTLP calls attributes as text, under names with underscores: attributes of the
record, of its resource and of its scope together. Words may be in any of them, and events in the
message or in a name: so both are looked for afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from otel_django.backends.embedded_search import words_of
from otel_django.backends.text_matching import attribute_words, has_words, split_words
from otel_django.backends.underscored import equal_or_beginning, quoted
from otel_django.metrics.prometheus_names import label_name, label_value
from otel_django.store.span_text import MAX_WORD_CHARACTERS

if TYPE_CHECKING:
    from otel_django.contracts import LogQuery, LogRow

SERVICE: Final = "service_name"
SEVERITY: Final = "severity_number"
LOGGER: Final = "scope_name"
_TRACE: Final = "trace_id"


def logql(query: LogQuery, extra: str = "") -> str:
    """Selector and filters; ``extra`` are more stages."""
    service = f"{SERVICE}={quoted(query.service)}" if query.service else f'{SERVICE}=~".+"'
    return "".join([f"{{{service}}}", *(f" | {each}" for each in _filters(query)), extra])


def _filters(query: LogQuery) -> Iterator[str]:
    if query.min_severity is not None and query.min_severity > 0:
        yield f"{SEVERITY} >= {int(query.min_severity)}"
    if query.logger is not None:
        yield equal_or_beginning(LOGGER, query.logger)
    if query.trace_id is not None:
        yield f"{_TRACE}={quoted(query.trace_id.lower())}"
    for key, value in query.attributes.items():
        text = label_value(value)
        # Truth is written as in JSON; who asks may write it as Python does.
        wanted = text.lower() if text in ("True", "False") else text
        yield f"{label_name(key)}={quoted(wanted)}"


def is_whole(query: LogQuery) -> bool:
    """Whether ``logql`` says all."""
    return not query.text.strip() and query.event is None


def matches(query: LogQuery, row: LogRow) -> bool:
    """Whether what ``logql`` doesn't say holds, too."""
    if query.event is not None and query.event != row.event:
        return False
    if not query.text.strip():
        return True
    wanted, _ = words_of(query.text.strip())
    return bool(wanted) and has_words(wanted, set(_words(row)))


def _words(row: LogRow) -> Iterator[str]:
    yield from split_words(row.event[:MAX_WORD_CHARACTERS])
    yield from split_words(row.logger)
    if isinstance(row.body, str):
        yield from split_words(row.body[:MAX_WORD_CHARACTERS])
    yield from attribute_words(row.attributes)
