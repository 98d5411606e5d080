"""Log records as the arguments of one ``log_schema.ingest`` statement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_django import log_record, names
from otel_django.store.error_rows import Errors, SeenExceptions, Sighting, is_refusal, origin_of
from otel_django.store.json_text import dumps, int64
from otel_django.store.roll_up_schema import LEVELS
from otel_django.store.rows import (
    MAX_CACHED_QUERIES,
    MAX_FIND_CHARACTERS,
    MAX_SHARED_CHARACTERS,
    MINUTE_NS,
    ROWS_A_PART,
    YIELD_AFTER_S,
    signed,
    work_s,
)
from otel_django.store.span_text import MAX_WORD_CHARACTERS
from otel_django.store.sums import Sums
from otel_django.store.texts import Texts, text_id

if TYPE_CHECKING:
    from otel_django.log_record import LogRecord

SEVERITY_WORDS: Final = (log_record.WARN, log_record.ERROR, log_record.FATAL)
LOW_BITS: Final = (1 << 64) - 1


class LogRows(NamedTuple):
    """The arguments of one ingest statement: JSON arrays, and the number of records."""

    texts: str
    logs: str
    log_count: int
    finds: str
    counts: str
    sources: str
    errors: str | None


class _Source(NamedTuple):
    """Who logged; the resource is kept so that its id stays its own."""

    resource: object
    text: str
    service: str
    version: str


class _Batch:
    """What is summed up while a batch is packed."""

    def __init__(self, errors: Errors) -> None:
        self.counts = Sums()
        self.errors = errors
        self.sources: dict[int, tuple[int, int | None]] = {}
        self.times: list[int] = []

    def source_rows(self) -> list[tuple[Any, ...]]:
        """All were seen while the batch's records were made."""
        first, last = min(self.times, default=0), max(self.times, default=0)
        return [(source, *more, first, last) for source, more in self.sources.items()]


class LogPacker:
    """Turns batches into rows; one thread at a time.

    ``pause`` is called at least every 0.25 ms of ordinary work.
    """

    def __init__(self, pause: Callable[[], None], seen: SeenExceptions | None = None) -> None:
        self._pause = pause
        self._seen = seen or SeenExceptions()
        self._texts = Texts()
        self._sources: dict[tuple[int, str, str], _Source] = {}

    def new_slice(self) -> None:
        """The texts have to be written again."""
        self._texts.new_slice()

    def written(self) -> None:
        """The last ``pack`` is in the store."""
        self._texts.written()
        self._seen.keep()

    def pack(self, records: Sequence[LogRecord]) -> LogRows:
        """The rows of a batch."""
        self._texts.begin()
        if len(self._sources) > MAX_CACHED_QUERIES:
            self._sources.clear()
        batch = _Batch(Errors(self._texts, self._seen))
        rows: list[str] = []
        finds: list[str] = []
        looked_at = work_s()
        for begin in range(0, len(records), ROWS_A_PART):
            part = records[begin : begin + ROWS_A_PART]
            made = [self._row(begin + index, record, batch) for index, record in enumerate(part)]
            rows.append(dumps(made)[1:-1])
            finds.append(dumps([self._words(record) for record in part])[1:-1])
            if work_s() - looked_at > YIELD_AFTER_S:
                self._pause()
                looked_at = work_s()
        counts, sources = dumps(batch.counts.rows()), dumps(batch.source_rows())
        errors = batch.errors.rows()
        return LogRows(
            self._texts.rows(),
            f"[{','.join(rows)}]",
            len(records),
            f"[{','.join(finds)}]",
            counts,
            sources,
            errors,
        )

    def _row(self, index: int, record: LogRecord, batch: _Batch) -> tuple[Any, ...]:
        text = self._texts.id
        source = self._source(record)
        source_id, service, logger = (
            text(source.text),
            text(source.service),
            text(record.scope_name),
        )
        trace_id = record.trace_id
        time_ns = int64(record.time_ns)
        key = (time_ns // MINUTE_NS, service, logger, level_class(record.severity_number))
        batch.counts.add(key, 1)
        batch.times.append(time_ns)
        if source_id not in batch.sources:
            version = text(source.version) if source.version else None
            batch.sources[source_id] = (service, version)
        attributes = record.attributes
        if (
            names.EXCEPTION_TYPE in attributes or names.EXCEPTION_MESSAGE in attributes
        ) and not is_refusal(attributes, record.severity_number):
            sighting = Sighting(time_ns, trace_id, record.span_id, index)
            resource: Any = record.resource
            batch.errors.add(attributes, resource.attributes, origin_of(attributes), sighting)
        return (
            time_ns,
            record.severity_number,
            record.severity_text,
            event(record),
            logger,
            service,
            source_id,
            signed(trace_id >> 64) if trace_id else None,
            signed(trace_id & LOW_BITS) if trace_id else None,
            signed(record.span_id) if record.span_id else None,
            _data(record),
        )

    def _words(self, record: LogRecord) -> str:
        return f"{service_word(self._source(record).service)} {words(record)}"

    def _source(self, record: LogRecord) -> _Source:
        resource = record.resource
        key = (id(resource), record.scope_name, record.scope_version)
        known = self._sources.get(key)
        if known is None:
            attributes = dict(resource.attributes)
            described = {"resource": attributes, "scope": key[1], "version": key[2]}
            service = str(attributes.get(names.SERVICE_NAME, ""))
            version = str(attributes.get(names.SERVICE_VERSION, ""))
            known = _Source(resource, dumps(described), service, version)
            if len(known.text) <= MAX_SHARED_CHARACTERS:
                self._sources[key] = known
        return known


def level_class(severity: int) -> int:
    """Which of LEVELS a severity number belongs to; those below debug are debug, too."""
    return min(max(severity - log_record.DEBUG, 0) // 4, len(LEVELS) - 1)


def event(record: LogRecord) -> str:
    """The event's name, else the message."""
    if record.event_name:
        return record.event_name
    body = record.body
    return body if isinstance(body, str) else "" if body is None else dumps(body)


def _data(record: LogRecord) -> dict[str, Any] | None:
    """What stands as JSON beside the columns; nothing that is empty."""
    found: dict[str, Any] = {}
    if record.attributes:
        found["attributes"] = record.attributes
    if record.event_name:
        found["named"] = 1
    body = record.body
    if body is not None and (not isinstance(body, str) or body != event(record)):
        found["body"] = body
    if record.trace_flags:
        found["flags"] = record.trace_flags
    if record.dropped_attributes:
        found["dropped"] = record.dropped_attributes
    return found or None


def words(record: LogRecord) -> str:
    """What a record is found by: its first 8,000 characters."""
    found = dict.fromkeys((event(record)[:MAX_WORD_CHARACTERS], record.scope_name))
    found.update((severity_word(at), None) for at in SEVERITY_WORDS if record.severity_number >= at)
    if isinstance(record.body, str):
        found[record.body[:MAX_WORD_CHARACTERS]] = None
    found.update(dict.fromkeys(_values(record.attributes)))
    return " ".join(found)[:MAX_FIND_CHARACTERS]


def service_word(service: str) -> str:
    """The word of all records of a service."""
    return f"service{text_id(service):x}"


def severity_word(number: int) -> str:
    """The word of all records from severity ``number`` on."""
    return f"severity{number}up"


def _values(attributes: Mapping[str, Any]) -> Iterator[str]:
    for key, value in attributes.items():
        if type(value) is str:
            if key != names.EXCEPTION_STACKTRACE:
                yield value[:MAX_WORD_CHARACTERS]
        elif type(value) is int and value.bit_length() < 200:
            yield str(value)
