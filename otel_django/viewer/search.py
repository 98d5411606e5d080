"""What a search asks of the readers: of traces, of logs.

Each key is looked up as the reader can; what it has no condition for is looked for as words.
Mistakes are told and left out of the question, so that a search always has an answer.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from otel_django import log_record, names
from otel_django.viewer import search_terms
from otel_django.viewer.search_terms import Mistake, Term

if TYPE_CHECKING:
    from otel_django.contracts import LogQuery, TraceQuery

Conditions: TypeAlias = "dict[str, Any]"
Meaning: TypeAlias = "Callable[[Term], Conditions]"

_TRUE: Final = frozenset({"yes", "true", "1", "on"})
_TRACE_ID: Final = re.compile(r"[0-9a-f]{8,32}", re.IGNORECASE)
_CLASS: Final = re.compile(r"([1-5])(?:xx|\*)", re.IGNORECASE)
_CODE: Final = re.compile(r"[1-5][0-9]{2}", re.ASCII)
LEVELS: Final = {
    "trace": log_record.TRACE,
    "debug": log_record.DEBUG,
    "info": log_record.INFO,
    "warn": log_record.WARN,
    "warning": log_record.WARN,
    "error": log_record.ERROR,
    "critical": log_record.FATAL,
    "fatal": log_record.FATAL,
}
"""Word → the least severity number of records that are meant."""


@dataclass(frozen=True, slots=True)
class Chip:
    """A part of a search; ``rest`` is the search without it, ``note`` says how it was taken."""

    text: str
    rest: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Search:
    """What was understood, and what to say about the rest."""

    conditions: Mapping[str, Any]
    chips: tuple[Chip, ...]
    mistakes: tuple[str, ...]

    def trace_query(self, query: TraceQuery) -> TraceQuery:
        """``query`` with what is searched for."""
        return replace(query, **self.conditions)

    def log_query(self, query: LogQuery) -> LogQuery:
        """``query`` with what is searched for."""
        return replace(query, **self.conditions)


def of_traces(text: str) -> Search:
    """A search among traces."""
    return _understand(text, TRACE_KEYS, _as_words)


def of_logs(text: str) -> Search:
    """A search among log records."""
    return _understand(text, LOG_KEYS, _as_attribute)


def with_term(text: str, key: str, value: str, sign: str = ":") -> str:
    """A search with a term more, as it is where it has that one already."""
    more = search_terms.written(key, value, sign)
    there = [str(term) for term in search_terms.split(text)[0]]
    return text if more in there else f"{text} {more}".strip()


def _understand(text: str, keys: Mapping[str, Meaning], otherwise: Meaning) -> Search:
    terms, mistakes = search_terms.split(text)
    conditions: Conditions = {}
    words: list[str] = []
    taken: list[tuple[Term, str]] = []
    for term in terms:
        try:
            meaning = keys.get(term.key.lower(), otherwise) if term.key else _as_words
            found = meaning(term)
        except Mistake as mistake:
            mistakes.append(f"{search_terms.shortened(str(term))}: {mistake}")
            continue
        word = found.pop("text", None)
        if word is not None:
            words.append(word)
        for name, value in found.items():
            if isinstance(value, dict):
                conditions[name] = {**conditions.get(name, {}), **value}
                continue
            if name in conditions:
                mistakes.append(f"{term.key}: can be asked for once, so the last one counts")
            conditions[name] = value
        taken.append((term, _note(term, keys, as_words=word is not None)))
    if words:
        conditions["text"] = " ".join(words)
    chips = tuple(
        Chip(str(term), " ".join(str(each) for each, _ in taken if each is not term), note)
        for term, note in taken
    )
    return Search(conditions, chips, tuple(dict.fromkeys(mistakes)))


def _note(term: Term, keys: Mapping[str, Meaning], *, as_words: bool) -> str:
    if not term.key:
        return "all of these words, wherever they stand" if " " in term.value else ""
    key = term.key.lower()
    near = [] if key in keys else difflib.get_close_matches(key, keys, 1, 0.75)
    meant = f"; did you mean {near[0]}:?" if near else ""
    return f"looked for as words in any field{meant}" if as_words else meant.removeprefix("; ")


# --- what the keys mean


def _plain(name: str) -> Meaning:
    """The value as it is, in a field of the query."""

    def meaning(term: Term) -> Conditions:
        _equal(term)
        return {name: term.value}

    return meaning


def _whole(name: str) -> Meaning:
    """The same, where the reader compares whole values only."""

    def meaning(term: Term) -> Conditions:
        _equal(term)
        if term.any_end:
            raise Mistake("its whole name is wanted, without *")
        return {name: term.value}

    return meaning


def _yes(name: str) -> Meaning:
    def meaning(term: Term) -> Conditions:
        _equal(term)
        if term.value.lower() not in _TRUE:
            raise Mistake(f"{term.key}:yes is what can be asked for")
        return {name: True}

    return meaning


def _elsewhere(what: str, instead: str) -> Meaning:
    def meaning(term: Term) -> Conditions:
        raise Mistake(f"{what}; {instead}")

    return meaning


def _equal(term: Term) -> None:
    if term.sign != ":":
        raise Mistake(
            f"only duration can be above or below something; {term.key}:{term.value} asks for "
            "this value, quotation marks around it for the text"
        )


def _as_words(term: Term) -> Conditions:
    """The reader has no condition for it: its value, among the words."""
    if term.key:
        _equal(term)
    return {"text": term.value}


def _as_attribute(term: Term) -> Conditions:
    _equal(term)
    if term.any_end:
        return {"text": term.value}
    return {"attributes": {term.key: term.value}}


def _attribute(name: str) -> Meaning:
    return lambda term: _as_attribute(replace(term, key=name))


def _status(term: Term) -> Conditions:
    _equal(term)
    if term.value.lower() in {"error", "failed"}:
        return {"errors_only": True}
    by_class = _CLASS.fullmatch(term.value)
    if by_class:
        return {"status_class": int(by_class[1])}
    if not _CODE.fullmatch(term.value):
        raise Mistake("a status such as 404 or 5xx is wanted")
    return {"http_status": int(term.value)}


def _duration(term: Term) -> Conditions:
    if term.sign == ":":
        raise Mistake(f"is it longer or shorter? Write {term.key}>200ms or {term.key}<1s")
    length_ns = search_terms.duration_ns(term.value)
    if term.sign.startswith(">"):
        return {"min_duration_ns": length_ns + (term.sign == ">")}
    return {"max_duration_ns": length_ns - (term.sign == "<")}


def _method(term: Term) -> Conditions:
    _equal(term)
    if not (term.value.isascii() and term.value.isalpha()):
        raise Mistake("a method such as GET or POST is wanted")
    return {"method": term.value.upper()}


def _trace(term: Term) -> Conditions:
    _equal(term)
    digits = term.value.removesuffix("*").replace("-", "").lower()
    if not _TRACE_ID.fullmatch(digits):
        raise Mistake("at least 8 of the 32 hexadecimal digits of a trace id are wanted")
    return {"trace_id": digits}


def _whole_trace(term: Term) -> Conditions:
    found = _trace(term)
    if len(found["trace_id"]) != 32:
        raise Mistake("all 32 digits of the trace id are wanted here")
    return found


def _level(term: Term) -> Conditions:
    if term.sign not in {":", ">="}:
        raise Mistake("level:error means error and whatever is worse")
    least = LEVELS.get(term.value.lower())
    if least is None:
        raise Mistake("a level such as warning or error is wanted")
    return {"min_severity": least}


def _aliases(meanings: Mapping[str, Meaning]) -> dict[str, Meaning]:
    return {key: meaning for keys, meaning in meanings.items() for key in keys.split()}


_OF_LOGS: Final = _elsewhere("that is of log records", "search for it among the logs")
_OF_TRACES: Final = _elsewhere("that is of traces", "search for it among the traces")

TRACE_KEYS: Final = _aliases(
    {
        f"route {names.HTTP_ROUTE}": _plain("route"),
        "name": _plain("name"),
        f"service {names.SERVICE_NAME}": _whole("service"),
        f"status {names.HTTP_RESPONSE_STATUS_CODE}": _status,
        f"method {names.HTTP_REQUEST_METHOD}": _method,
        "duration": _duration,
        "errors error failed": _yes("errors_only"),
        "n+1 n_plus_one nplusone": _yes("n_plus_one"),
        "trace trace_id traceid": _trace,
        "level logger": _OF_LOGS,
    }
)
"""What the reader of traces has conditions for."""

LOG_KEYS: Final = _aliases(
    {
        "level severity": _level,
        "logger": _plain("logger"),
        "event": _whole("event"),
        f"service {names.SERVICE_NAME}": _whole("service"),
        "trace trace_id traceid": _whole_trace,
        "user": _attribute(names.USER_ID),
        "route": _attribute(names.HTTP_ROUTE),
        "duration n+1": _OF_TRACES,
    }
)
"""What the reader of logs has conditions for; other keys are names of fields."""
