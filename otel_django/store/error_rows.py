"""Exceptions of a batch as rows, each counted once although records and spans tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_django import log_record, names
from otel_django.store.error_schema import SLOTS
from otel_django.store.fingerprint import Kind, kind_of
from otel_django.store.json_text import dumps
from otel_django.store.sums import Sums

if TYPE_CHECKING:
    from otel_django.store.texts import Texts

MAX_SEEN: Final = 20_000
MINUTE_NS: Final = 60_000_000_000
SECOND_NS: Final = 1_000_000_000


class Sighting(NamedTuple):
    """Where an exception was told of: in a log record, or (``span_id`` None) in a span's event."""

    time_ns: int
    trace_id: int
    span_id: int | None
    position: int
    """Of the record or span in its batch."""


@dataclass
class _Seen:
    """Of one kind in one trace."""

    spans: set[int] = field(default_factory=set)
    by_event: bool = False


class SeenExceptions:
    """Which exceptions this process has counted; shared by the writers of spans and of records.

    A record counts once a span. A span's event counts where its trace had none of the kind yet; a
    record that comes after it stands for the same one. ``begin`` takes back what wasn't kept.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[int, int], _Seen] = {}
        self._before: dict[tuple[int, int], _Seen | None] = {}

    def begin(self) -> None:
        """The next batch, or the last one again."""
        for key, before in self._before.items():
            if before is None:
                self._seen.pop(key, None)
            else:
                self._seen[key] = before
        self.keep()

    def keep(self) -> None:
        """The batch is in the store."""
        self._before.clear()
        if len(self._seen) > MAX_SEEN:
            for key in list(islice(self._seen, MAX_SEEN // 2)):
                del self._seen[key]

    def counts(self, fingerprint: int, sighting: Sighting) -> int | None:
        """1 for another one than those before, None for one that is known.

        0 is for the record of one that only an event has told of: it tells more.
        """
        if not sighting.trace_id:
            return 1
        key = (sighting.trace_id, fingerprint)
        seen = self._seen.get(key)
        if key not in self._before:
            copy = None if seen is None else _Seen(set(seen.spans), seen.by_event)
            self._before[key] = copy
        if seen is None:
            spans = set() if sighting.span_id is None else {sighting.span_id}
            self._seen[key] = _Seen(spans, sighting.span_id is None)
            return 1
        if sighting.span_id is None or sighting.span_id in seen.spans:
            return None
        seen.spans.add(sighting.span_id)
        stands_for_event, seen.by_event = seen.by_event, False
        return 0 if stands_for_event else 1


class _Group(NamedTuple):
    """What the last exception of a group said: type, message, place, origin."""

    told: tuple[str, str, str, str]
    first_ns: int
    last_ns: int


class Errors:
    """What a batch adds to the groups of exceptions."""

    def __init__(self, texts: Texts, seen: SeenExceptions) -> None:
        self._texts = texts
        self._seen = seen
        self._groups: dict[tuple[int, int, int], _Group] = {}
        self._counts = Sums()
        self._samples: dict[tuple[int, int], tuple[int, str, int]] = {}
        seen.begin()

    def add(
        self,
        attributes: Mapping[str, Any],
        resource: Mapping[str, Any],
        origin: object,
        sighting: Sighting,
    ) -> None:
        """Count an exception by its ``exception.*``, if it is one; ``origin``: route or task."""
        kind = _kind(attributes)
        if kind is None:
            return
        count = self._seen.counts(kind.fingerprint, sighting)
        if count is None:
            return
        text = self._texts.id
        service = text(str(resource.get(names.SERVICE_NAME, "")))
        version = text(str(resource.get(names.SERVICE_VERSION, "")))
        time_ns = sighting.time_ns
        key = (kind.fingerprint, service, version)
        earlier = self._groups.get(key)
        first, last = (time_ns, time_ns) if earlier is None else (earlier.first_ns, earlier.last_ns)
        told = (kind.type, kind.message, kind.place, str(origin or ""))
        self._groups[key] = _Group(told, min(first, time_ns), max(last, time_ns))
        if count:
            self._counts.add((time_ns // MINUTE_NS, kind.fingerprint, service), count)
        slot = time_ns // SECOND_NS % SLOTS
        trace_id = format(sighting.trace_id, "032x") if sighting.trace_id else ""
        self._samples[kind.fingerprint, slot] = (time_ns, trace_id, sighting.position)

    def rows(self) -> str | None:
        """As ``error_schema.add`` takes them; before the texts' own."""
        if not self._groups:
            return None
        text = self._texts.id
        return dumps(
            {
                "groups": [
                    [*key, *map(text, group.told), group.first_ns, group.last_ns]
                    for key, group in self._groups.items()
                ],
                "counts": self._counts.rows(),
                "samples": [[*key, *row] for key, row in self._samples.items()],
            }
        )


def origin_of(attributes: Mapping[str, Any]) -> Any:
    """Where it was: a route or a task."""
    for name in (names.HTTP_ROUTE, names.CELERY_TASK_NAME, names.DJANGO_TASK_NAME):
        if name in attributes:
            return attributes[name]
    return ""


def is_refusal(attributes: Mapping[str, Any], severity_number: int) -> bool:
    """Whether Django tells of a 4xx by which it answered an exception, such as PermissionDenied."""
    status = str(attributes.get("status_code", ""))
    return severity_number < log_record.ERROR and len(status) == 3 and status.startswith("4")


def _kind(attributes: Mapping[str, Any]) -> Kind | None:
    found = (
        attributes.get(names.EXCEPTION_TYPE),
        attributes.get(names.EXCEPTION_MESSAGE),
        attributes.get(names.EXCEPTION_STACKTRACE),
    )
    type_name, message, stacktrace = (each if isinstance(each, str) else "" for each in found)
    if not (type_name or message):
        return None
    return kind_of(type_name or "Error", message, stacktrace)
