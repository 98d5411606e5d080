"""Exceptions, grouped, from the embedded store."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from otel_django import log_record, names
from otel_django.backends.embedded_logs import EmbeddedLogReader
from otel_django.backends.embedded_session import TIMEOUT_S
from otel_django.contracts import LogQuery, LogRow
from otel_django.roll_ups import ErrorDetail, ErrorGroup, ErrorPage
from otel_django.store.fingerprint import Kind, kind_of, text_of

MINUTE_NS: Final = 60_000_000_000


@dataclass
class _Found:
    kind: Kind
    rows: list[LogRow] = field(default_factory=list)
    minutes: dict[int, int] = field(default_factory=dict)

    def group(self) -> ErrorGroup:
        last, first = self.rows[0], self.rows[-1]
        versions = [str(row.resource.get(names.SERVICE_VERSION, "")) for row in self.rows[::-1]]
        where = last.attributes.get(names.HTTP_ROUTE) or last.attributes.get(names.CELERY_TASK_NAME)
        return ErrorGroup(
            text_of(self.kind.fingerprint),
            self.kind.type,
            self.kind.message,
            self.kind.place,
            last.service,
            len(self.rows),
            first.time_ns,
            last.time_ns,
            tuple(version for version in dict.fromkeys(versions) if version),
            last.trace_id,
            str(where or ""),
            self.minutes,
        )


class EmbeddedErrorReader:
    """An ``ErrorReader`` of the store at ``path``; cheap to make."""

    def __init__(self, path: Path, timeout_s: float = TIMEOUT_S) -> None:
        self.path = path
        self._logs = EmbeddedLogReader(path, timeout_s)

    def groups(
        self, since_ns: int, until_ns: int, service: str | None = None, limit: int = 200
    ) -> ErrorPage:
        """Out of the newest records."""
        found = self._found(since_ns, until_ns, service)
        groups = sorted((each.group() for each in found.values()), key=lambda group: -group.last_ns)
        return ErrorPage(tuple(groups[:limit]), len(groups))

    def group(self, fingerprint: str, since_ns: int, until_ns: int) -> ErrorDetail | None:
        """With its last twenty samples."""
        one = self._found(since_ns, until_ns).get(fingerprint)
        if one is None:
            return None
        return ErrorDetail(
            one.group(),
            str(one.rows[0].attributes.get(names.EXCEPTION_STACKTRACE, "")),
            tuple(dict.fromkeys(row.trace_id for row in one.rows if row.trace_id))[:20],
            tuple(row.key for row in one.rows)[:20],
        )

    def _found(self, since_ns: int, until_ns: int, service: str | None = None) -> dict[str, _Found]:
        found: dict[str, _Found] = {}
        query = LogQuery(since_ns, until_ns, service, log_record.WARN, limit=1000)
        for row in self._logs.list_logs(query).rows:
            type_name = row.attributes.get(names.EXCEPTION_TYPE)
            if not isinstance(type_name, str):
                continue
            message = str(row.attributes.get(names.EXCEPTION_MESSAGE, ""))
            stacktrace = str(row.attributes.get(names.EXCEPTION_STACKTRACE, ""))
            kind = kind_of(type_name, message, stacktrace)
            one = found.setdefault(text_of(kind.fingerprint), _Found(kind))
            one.rows.append(row)
            minute = row.time_ns // MINUTE_NS
            one.minutes[minute] = one.minutes.get(minute, 0) + 1
        return found
