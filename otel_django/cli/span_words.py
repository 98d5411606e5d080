"""What a line of a trace says about a span: its label, failure, code line, duration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from otel_django import names
from otel_django.cli.inert_text import fit, inert

if TYPE_CHECKING:
    from otel_django.contracts import SpanEvent, SpanRow

# A view's line that renders a template says less than the template's own.
_PLACES: Final = (
    (names.DJANGO_TEMPLATE_NAME, names.DJANGO_TEMPLATE_LINE),
    (names.CODE_FILE_PATH, names.CODE_LINE_NUMBER),
)


def span_label(span: SpanRow) -> str:
    """The span's name; a statement without a summary shows its beginning, a call its host."""
    statement = span.attributes.get(names.DB_QUERY_TEXT)
    if isinstance(statement, str) and " " not in span.name.strip():
        return inert(fit(f"{span.name} {_shortened(statement, span.name)}".strip(), 60))
    host = span.attributes.get(names.SERVER_ADDRESS)
    is_call = span.name == span.attributes.get(names.HTTP_REQUEST_METHOD)
    if span.kind == "client" and is_call and isinstance(host, str):
        return inert(f"{span.name} {host[:80]}")
    return inert(span.name[:400]) or "(no name)"


def _shortened(statement: str, name: str) -> str:
    text = " ".join(statement[:400].split())
    return text[len(name) :].strip() if text.upper().startswith(name.upper()) else text


def exception_text(event: SpanEvent) -> str:
    """``ValueError: no address``, empty for other events."""
    if event.name != names.EXCEPTION_EVENT:
        return ""
    kind = str(event.attributes.get(names.EXCEPTION_TYPE, "exception")).rpartition(".")[2]
    message = str(event.attributes.get(names.EXCEPTION_MESSAGE) or "")
    return inert(f"{kind}: {message}" if message else kind)


def repeated_statements(spans: Iterable[SpanRow]) -> Iterator[tuple[str, int, str]]:
    """What the N+1 events tell: statement, how often, the line that runs it."""
    for span in spans:
        for event in span.events:
            count = event.attributes.get(names.N_PLUS_ONE_COUNT)
            if event.name == names.N_PLUS_ONE_EVENT and isinstance(count, int):
                summary = event.attributes.get(names.DB_QUERY_SUMMARY) or "query"
                yield inert(str(summary)[:400]), count, code_line(event.attributes)


def code_line(attributes: Mapping[str, Any]) -> str:
    """``catalogue/views.py:42``, or the template's line; empty where neither is known."""
    for path, line in _PLACES:
        place = attributes.get(path)
        if isinstance(place, str) and place:
            number = attributes.get(line)
            short = "/".join(place.replace("\\", "/").split("/")[-3:])
            return inert(f"{short}:{number}" if isinstance(number, int) else short)
    return ""


def milliseconds(duration_ns: int) -> str:
    """In ms, which a column of durations has throughout."""
    ms = duration_ns / 1e6
    digits = 2 if ms < 0.095 else 1 if ms < 10 else 0
    return f"{ms:,.{digits}f} ms"


def duration(duration_ns: int) -> str:
    """In the unit that suits it."""
    if duration_ns < 999_500_000:
        return milliseconds(duration_ns)
    seconds = duration_ns / 1e9
    if seconds < 100:
        return f"{seconds:.2f} s"
    return f"{seconds / 60:,.1f} min"
