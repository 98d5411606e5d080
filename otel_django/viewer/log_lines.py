"""A log record as the log page shows it: a line, and what opens below it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from otel_django import log_record, names
from otel_django.cli.log_words import exception_text
from otel_django.store import fingerprint
from otel_django.viewer import search, search_terms, stacktrace, units
from otel_django.viewer.filters import LONGEST, MAX_BLOCK
from otel_django.viewer.log_json import log_json
from otel_django.viewer.search_terms import Term

if TYPE_CHECKING:
    from otel_django.contracts import LogRow
    from otel_django.viewer.stacktrace import Part
    from otel_django.viewer.visit import Visit

LEVELS: Final = {
    "critical": log_record.FATAL,
    "error": log_record.ERROR,
    "warning": log_record.WARN,
    "info": log_record.INFO,
    "debug": 0,
}
"""Classes of severity, worst first, with the least number of each."""
MAX_CHIPS: Final = 6
MAX_CHIP_CHARACTERS: Final = 60
MAX_FILTER_CHARACTERS: Final = 200
_NO_CHIPS: Final = frozenset(
    {
        names.DJANGO_REQUEST_ID,
        names.CLIENT_ADDRESS,
        names.HTTP_REQUEST_BODY_SIZE,
        names.HTTP_RESPONSE_BODY_SIZE,
        names.DB_SYSTEM_NAME,
        names.DB_NAMESPACE,
        names.DB_OPERATION_NAME,
        names.DB_COLLECTION_NAME,
        names.DJANGO_DB_ALIAS,
        names.MESSAGING_MESSAGE_ID,
    }
)
_SAME_KEYS: Final = frozenset({"level", "logger", "event", names.SERVICE_NAME})
"""Keys of searches that mean the field of that name."""
_OF_THE_PLACE: Final = ("code.", "exception.")


@dataclass(frozen=True, slots=True)
class Chip:
    """A field in short; ``key`` is its whole name."""

    key: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Field:
    """A field in full; ``address`` finds the lines that have the same, empty: no search would."""

    key: str
    value: str
    address: str
    cut_from: int
    """How long the value is where it is shown in part, else 0."""


@dataclass(frozen=True)
class Line:
    """``row`` on the page that ``visit`` asks for; ``is_it``: it is the one the page is about."""

    row: LogRow
    visit: Visit
    is_it: bool = False

    @cached_property
    def level(self) -> str:
        """Its class of severity: a key of ``LEVELS``."""
        return next(name for name, least in LEVELS.items() if self.row.severity_number >= least)

    @cached_property
    def message(self) -> str:
        """The event, and what the record says beside it."""
        row = self.row
        parts = (row.event, row.body if isinstance(row.body, str) else "")
        return ": ".join(filter(None, parts)) or "(no message)"

    @cached_property
    def exception(self) -> str:
        """``ValueError: no address``, empty where there is none or the message says it."""
        text = exception_text(self.row.attributes)
        return "" if text in self.message else text

    @property
    def chips(self) -> tuple[Chip, ...]:
        """Its first fields, but those that say little."""
        return tuple(_chips(self.row))

    # --- addresses

    @property
    def part(self) -> str:
        """What opens below it."""
        return self.visit.here(line=self.row.key, at=None, cursor=None, live=None)

    @property
    def permalink(self) -> str:
        """The line among those around it."""
        if self.visit.page != "logs":
            return self.visit.url("logs", at=self.row.key)
        return self.visit.here(at=self.row.key, cursor=None, live=None)

    @cached_property
    def trace(self) -> str:
        """Its trace with its span chosen; empty where it has none."""
        row = self.row
        return row.trace_id and self.visit.url("trace", row.trace_id, span=row.span_id or None)

    @property
    def of_trace(self) -> str:
        """The lines of its trace."""
        found = self.row.trace_id
        return found and self.visit.url("logs", q=search_terms.written("trace", found))

    @property
    def error(self) -> str:
        """The group of its exception; empty where it has none."""
        found = self.row.attributes
        kind = found.get(names.EXCEPTION_TYPE)
        if not isinstance(kind, str):
            return ""
        message = str(found.get(names.EXCEPTION_MESSAGE) or "")
        group = fingerprint.kind_of(kind, message, self._stacktrace).fingerprint
        return self.visit.url("error", fingerprint.text_of(group))

    # --- what opens

    @property
    def _stacktrace(self) -> str:
        return str(self.row.attributes.get(names.EXCEPTION_STACKTRACE) or "")

    @cached_property
    def stack(self) -> tuple[Part, ...]:
        """The stack trace of its exception."""
        return stacktrace.parts(self._stacktrace)

    @property
    def fields(self) -> tuple[Field, ...]:
        """What the caller added, then where and why; the stack trace stands apart."""
        found = [(str(key), value) for key, value in self.row.attributes.items()]
        found.sort(key=lambda field: field[0].startswith(_OF_THE_PLACE))
        return tuple(
            self._field(key, value) for key, value in found if key != names.EXCEPTION_STACKTRACE
        )

    @property
    def source(self) -> tuple[Field, ...]:
        """Where it comes from."""
        row = self.row
        own = {"level": row.level, "logger": row.logger, "event": row.event if row.named else ""}
        found = {key: value for key, value in own.items() if value}
        return tuple(
            self._field(str(key), value, can_search=key in _SAME_KEYS)
            for key, value in {**found, **row.resource}.items()
        )

    @cached_property
    def json(self) -> str:
        """The whole record, for people."""
        return log_json(self.row, indent=2)

    @property
    def json_is_cut(self) -> bool:
        """Whether it is too long for the page."""
        return len(self.json) > MAX_BLOCK

    def _field(self, key: str, value: Any, *, can_search: bool = True) -> Field:
        text = _text(value)
        address = ""
        can_search = can_search and not isinstance(value, dict | list)
        if can_search and 0 < len(text) <= MAX_FILTER_CHARACTERS:
            wanted = _search_with(self.visit.text("q"), key, text)
            address = self.visit.here(q=wanted, line=None, at=None, cursor=None)
        return Field(key, text, address, len(text) if len(text) > LONGEST else 0)


def _chips(row: LogRow) -> Iterable[Chip]:
    found = [
        (str(key), value)
        for key, value in row.attributes.items()
        if key not in _NO_CHIPS
        and not str(key).startswith(_OF_THE_PLACE)
        and not isinstance(value, Mapping)
    ][:MAX_CHIPS]
    short = [key.rpartition(".")[2] or key for key, _ in found]
    for (key, value), last in zip(found, short, strict=True):
        name = last if short.count(last) == 1 else ".".join(key.split(".")[-2:])
        yield Chip(key, name, _in_short(key, value))


def _in_short(key: str, value: Any) -> str:
    if isinstance(value, float):
        # Durations are seconds in OpenTelemetry's conventions.
        return units.duration(value * 1e9) if key.endswith("duration") else f"{value:.4g}"
    text = _text(value)
    return text if len(text) <= MAX_CHIP_CHARACTERS else f"{text[: MAX_CHIP_CHARACTERS - 1]}…"


def _text(value: Any) -> str:
    if isinstance(value, list | tuple | Mapping):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _search_with(text: str, key: str, value: str) -> str:
    """The search with this field, or its words where the language can't name the field."""
    term = Term(key, ":", value)
    is_taken = key.lower() in search.LOG_KEYS and key not in _SAME_KEYS
    if is_taken or search_terms.split(str(term))[0] != [term]:
        term = Term("", ":", value.replace("*", " "))
    return text if term in search_terms.split(text)[0] else f"{text} {term}".strip()
