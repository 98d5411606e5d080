"""Exceptions, grouped, from the log records that Loki keeps of them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from otel_django import names
from otel_django.backends.embedded_roll_ups import MINUTE_NS
from otel_django.backends.loki_query import logql
from otel_django.contracts import LogQuery
from otel_django.metrics.prometheus_names import label_name
from otel_django.roll_ups import ErrorDetail, ErrorGroup, ErrorPage
from otel_django.store.error_rows import is_refusal, origin_of
from otel_django.store.fingerprint import Kind, kind_of, text_of

if TYPE_CHECKING:
    from otel_django.backends.loki import LokiReader
    from otel_django.contracts import LogRow

MOST: Final = 5_000
SAMPLES: Final = 10
DAY_NS: Final = 86_400 * 10**9
MANY: Final = f"of so many exceptions only the newest {MOST:,} are counted: ask for a shorter range"
_EXCEPTIONS: Final = f' | {label_name(names.EXCEPTION_TYPE)} != ""'


@dataclass
class _Group:
    kind: Kind
    rows: list[LogRow] = field(default_factory=list)
    """Newest first."""


class LokiErrorReader:
    """An ``ErrorReader``. Groups are known from a day before the range on."""

    def __init__(self, reader: LokiReader) -> None:
        self._reader = reader

    def groups(
        self, since_ns: int, until_ns: int, service: str | None = None, limit: int = 200
    ) -> ErrorPage:
        """Of the newest 5,000 exceptions of the range."""
        found, note = self._found(since_ns, until_ns, service)
        earlier = self._first_seen(since_ns, service) if found else {}
        groups = [_told(each, earlier.get(key)) for key, each in found.items()]
        groups.sort(key=lambda group: group.last_ns, reverse=True)
        return ErrorPage(tuple(groups[:limit]), len(groups), note)

    def group(self, fingerprint: str, since_ns: int, until_ns: int) -> ErrorDetail | None:
        """One of them."""
        found, _ = self._found(since_ns, until_ns, None)
        same = {key: each for key, each in found.items() if key[0] == fingerprint}
        if not same:
            return None
        key, group = next(iter(same.items()))
        rows = [row for each in same.values() for row in each.rows][:SAMPLES]
        trace_ids = dict.fromkeys(row.trace_id for row in rows if row.trace_id)
        return ErrorDetail(
            _told(group, self._first_seen(since_ns, None).get(key)),
            str(rows[0].attributes.get(names.EXCEPTION_STACKTRACE, "")),
            tuple(trace_ids),
            tuple(row.key for row in rows),
        )

    def _first_seen(self, until_ns: int, service: str | None) -> dict[tuple[str, str], int]:
        """When groups were seen in the day before."""
        found, _ = self._found(until_ns - DAY_NS, until_ns - 1, service)
        return {key: each.rows[-1].time_ns for key, each in found.items()}

    def _found(
        self, since_ns: int, until_ns: int, service: str | None
    ) -> tuple[dict[tuple[str, str], _Group], str]:
        """By fingerprint and service."""
        query = logql(LogQuery(service=service), _EXCEPTIONS)
        until_ns = min(until_ns, time.time_ns() + MINUTE_NS)
        entries = self._reader.entries(query, since_ns, until_ns, MOST)
        found: dict[tuple[str, str], _Group] = {}
        seen: set[tuple[str, str, str]] = set()
        for row in (entry.row for entry in entries):
            if is_refusal(row.attributes, row.severity_number):
                continue
            kind = _kind(row)
            fingerprint = text_of(kind.fingerprint)
            once = (fingerprint, row.trace_id, row.span_id)
            if row.trace_id and once in seen:
                continue
            seen.add(once)
            found.setdefault((fingerprint, row.service), _Group(kind)).rows.append(row)
        return found, MANY if len(entries) == MOST else ""


def _kind(row: LogRow) -> Kind:
    told = (names.EXCEPTION_TYPE, names.EXCEPTION_MESSAGE, names.EXCEPTION_STACKTRACE)
    type_name, message, stacktrace = (str(row.attributes.get(name, "")) for name in told)
    return kind_of(type_name, message, stacktrace)


def _told(group: _Group, earlier_ns: int | None) -> ErrorGroup:
    rows, kind = group.rows, group.kind
    releases = dict.fromkeys(
        version
        for row in reversed(rows)
        if (version := str(row.resource.get(names.SERVICE_VERSION, "")))
    )
    minutes: dict[int, int] = {}
    for row in rows:
        minute = row.time_ns // MINUTE_NS
        minutes[minute] = minutes.get(minute, 0) + 1
    return ErrorGroup(
        text_of(kind.fingerprint),
        kind.type,
        kind.message,
        kind.place,
        rows[0].service,
        len(rows),
        rows[-1].time_ns if earlier_ns is None else earlier_ns,
        rows[0].time_ns,
        tuple(releases),
        next((row.trace_id for row in rows if row.trace_id), ""),
        str(origin_of(rows[0].attributes) or ""),
        minutes,
    )
