"""Exceptions, grouped, from the embedded store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_django import names
from otel_django.backends.embedded_roll_ups import (
    LATE,
    MINUTE_NS,
    older,
    sums,
    texts,
    with_roll_ups,
)
from otel_django.backends.embedded_session import Session, StoreReader
from otel_django.roll_ups import ErrorDetail, ErrorGroup, ErrorPage
from otel_django.store.fingerprint import number_of, text_of
from otel_django.store.json_text import dumps, loads
from otel_django.store.roll_up_schema import ERROR_COUNT
from otel_django.store.texts import text_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otel_django.store.slices import Slice

MAX_GROUPS: Final = 500
MAX_SAMPLES: Final = 20
OLDER: Final = "exceptions that an older version wrote aren't grouped: look at its log records"


class _Sample(NamedTuple):
    time_ns: int
    trace_id: str
    slice: int
    log: int | None
    span: int | None


@dataclass
class _Group:
    """Texts are ids. ``told`` is service, type, message, place, origin of the last one."""

    minutes: dict[int, int] = field(default_factory=dict)
    told: tuple[int, ...] = ()
    first_ns: int = 0
    last_ns: int = 0
    versions: dict[int, int] = field(default_factory=dict)
    """And when each was first seen."""
    samples: list[_Sample] = field(default_factory=list)

    def tell(self, row: tuple[int, ...]) -> None:
        """A row of ``error_7`` after its fingerprint."""
        service, version, *told, first_ns, last_ns = row
        self.versions[version] = min(self.versions.get(version, first_ns), first_ns)
        self.first_ns = min(self.first_ns or first_ns, first_ns)
        if last_ns >= self.last_ns:
            self.last_ns = last_ns
            self.told = (service, *told)

    def answer(self, fingerprint: int, named: Mapping[int, str]) -> ErrorGroup:
        """As the contract has it."""
        service, type_name, message, place, origin = (named.get(each, "") for each in self.told)
        releases = sorted(self.versions, key=lambda version: self.versions[version])
        return ErrorGroup(
            text_of(fingerprint),
            type_name,
            message,
            place,
            service,
            sum(self.minutes.values()),
            self.first_ns,
            self.last_ns,
            tuple(named[version] for version in releases if named.get(version)),
            next((sample.trace_id for sample in self.samples if sample.trace_id), ""),
            origin,
            self.minutes,
        )


class EmbeddedErrorReader(StoreReader):
    """An ``ErrorReader`` of the store at ``path``; cheap to make.

    In ranges of hours, ``minutes`` may count half hours by their first.
    """

    def groups(
        self, since_ns: int, until_ns: int, service: str | None = None, limit: int = 200
    ) -> ErrorPage:
        """At most 500."""
        found: dict[int, _Group] = {}
        with self._session() as read:
            note = OLDER if older(read, since_ns) else ""
            where: str = "true"
            arguments: tuple[Any, ...] = ()
            if service is not None:
                where, arguments = "service = ?", (text_id(service),)
            try:
                _count(read, found, (since_ns, until_ns), where, arguments)
            except TimeoutError:
                if not found:
                    raise
                note = LATE
                read.extend(1)
            newest = sorted(found, key=lambda fingerprint: -max(found[fingerprint].minutes))
            shown = {each: found[each] for each in newest[: min(limit, MAX_GROUPS)]}
            named = _tell(read, shown, where, arguments)
        groups = [group.answer(each, named) for each, group in shown.items() if group.told]
        groups.sort(key=lambda group: -group.last_ns)
        return ErrorPage(tuple(groups), len(found), note)

    def group(self, fingerprint: str, since_ns: int, until_ns: int) -> ErrorDetail | None:
        """With its last twenty samples."""
        number = number_of(fingerprint)
        if number is None:
            return None
        group = _Group()
        with self._session() as read:
            _count(read, {number: group}, (since_ns, until_ns), "fingerprint = ?", (number,))
            named = _tell(read, {number: group})
            if not group.told:
                return None
            samples = group.samples[:MAX_SAMPLES]
            stacktrace = next(filter(None, (_stacktrace(read, each) for each in samples)), "")
        traces = dict.fromkeys(sample.trace_id for sample in samples if sample.trace_id)
        keys = tuple(f"{each.slice}:{each.log}" for each in samples if each.log is not None)
        return ErrorDetail(group.answer(number, named), stacktrace, tuple(traces), keys)


def _count(
    read: Session,
    found: dict[int, _Group],
    times: tuple[int, int],
    where: str,
    arguments: tuple[Any, ...],
) -> None:
    """Fill ``minutes``."""
    minutes = (times[0] // MINUTE_NS, times[1] // MINUTE_NS)
    for part in with_roll_ups(read):
        for fingerprint, minute, count in sums(
            read,
            part,
            ERROR_COUNT,
            "fingerprint, minute",
            minutes,
            where=where,
            arguments=arguments,
        ):
            group = found.setdefault(fingerprint, _Group())
            group.minutes[minute] = group.minutes.get(minute, 0) + count


def _tell(
    read: Session,
    found: Mapping[int, _Group],
    where: str = "true",
    arguments: tuple[Any, ...] = (),
) -> dict[int, str]:
    """Fill in the rest; the texts."""
    ids = dumps(list(found))
    chosen = "fingerprint IN (SELECT value FROM json_each(?))"
    for part in with_roll_ups(read):
        for row in read.run(
            "SELECT fingerprint, service, version, type, message, place, origin, first_ns, last_ns "
            f"FROM error_{part.id} WHERE {chosen} AND {where}",
            (ids, *arguments),
        ):
            found[row[0]].tell(row[1:])
        for fingerprint, *sample in _samples(read, part, chosen, ids):
            found[fingerprint].samples.append(_Sample(*sample))
    for group in found.values():
        group.samples.sort(key=lambda sample: -sample.time_ns)
    return texts(
        read, {each for group in found.values() for each in (*group.told, *group.versions)}
    )


def _samples(read: Session, part: Slice, chosen: str, ids: str) -> Iterable[tuple[Any, ...]]:
    return read.run(
        f"SELECT fingerprint, time_ns, trace_id, {part.id}, log, span FROM sample_{part.id} "
        f"WHERE {chosen}",
        (ids,),
    )


def _stacktrace(read: Session, sample: _Sample) -> str:
    table, row = ("span", sample.span) if sample.log is None else ("log", sample.log)
    found = read.run(f"SELECT data FROM {table}_{sample.slice} WHERE id = ?", (row,))
    data = loads(found[0][0]) if found and found[0][0] else {}
    events = [event for event in data.get("events", ()) if event["name"] == names.EXCEPTION_EVENT]
    for told in (data, *events):
        text = told.get("attributes", {}).get(names.EXCEPTION_STACKTRACE)
        if isinstance(text, str) and text:
            return text
    return ""
