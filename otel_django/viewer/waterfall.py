"""A trace as the rows of a waterfall: spans and log records in, rows in their order out.

Leaves alike are folded below one row. Before a task stands what it waited in the queue. Every span
is shown wherever it says it belongs: those whose parent is missing, or that are their own
ancestors, stand at the top level. Times are as they came, with a word where clocks differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any, Final, Literal

from otel_django import log_record, names
from otel_django.cli import log_words, task_words
from otel_django.cli.inert_text import inert
from otel_django.cli.span_words import code_line, exception_text, span_label
from otel_django.cli.trace_header import root_of
from otel_django.viewer.repeated import repeats
from otel_django.viewer.span_times import critical_path, end_ns, merged, own_ns
from otel_django.viewer.units import duration

if TYPE_CHECKING:
    from otel_django.contracts import LogRow, SpanRow

FOLDED: Final = 3
"""From how many leaves alike on they are folded."""
PARTS: Final = 300
"""Into how many parts of its length a bar can be seen to fall."""
CLOCKS_NS: Final = 100_000
"""Clocks that differ by less aren't worth a word."""
RETRIED: Final = "↻"
"""Before the reason why a task will be run again."""
Kind = Literal["span", "repeats", "wait", "fault", "log"]
Parts = tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Row:
    """One line. Times are absolute; ``below`` is how many rows after it belong to it.

    ``mark`` are the words after the name; ``tone`` is what they or the row are: empty, warn, bad.
    ``critical`` rows decided how long the trace took. ``parts`` are the times (start, duration)
    in which folded spans ran. ``span`` is the first of those, or the one that a record is of.
    """

    kind: Kind
    span: SpanRow
    label: str
    start_ns: int
    duration_ns: int = 0
    own_ns: int = 0
    hue: str = "code"
    depth: int = 0
    below: int = 0
    failed: bool = False
    critical: bool = False
    mark: str = ""
    tone: str = ""
    count: int = 1
    parts: Parts = ()


def hue_of(span: SpanRow) -> str:
    """What a span's own time is spent in; also the colour's name."""
    if names.DB_SYSTEM_NAME in span.attributes:
        return "database"
    if names.DJANGO_CACHE_ALIAS in span.attributes:
        return "cache"
    if span.name.startswith(f"{names.TEMPLATE_SPAN} "):
        return "template"
    if span.kind == "producer" or (span.kind == "consumer" and not task_words.runs_task(span)):
        return "messaging"
    return "http" if span.kind == "client" else "code"


class Waterfall:
    """Of the spans of one trace, at least one, and of its log records."""

    def __init__(self, spans: Sequence[SpanRow], logs: Sequence[LogRow] = ()) -> None:
        self.known = {span.span_id: span for span in spans}
        self.spans = sorted(self.known.values(), key=lambda span: span.start_ns)
        self.root = root_of(self.spans)
        self.start_ns = self.spans[0].start_ns
        self.length_ns = max(1, max(map(end_ns, self.spans)) - self.start_ns)
        self.children, self._top = self._families()
        self.path = critical_path(self.root, self.children)
        self.repeats = repeats(self.spans)
        self._repeated = {
            span_id: number
            for number, repeat in enumerate(self.repeats)
            for span_id in repeat.span_ids
        }
        self._faults = self._first_faults()
        self._logs = self._log_rows(logs)
        self._workers: dict[str, str] = {}
        self._words: dict[tuple[int, str, str], tuple[str, str, str]] = {}
        self._seen: set[str] = set()
        self._circular: set[str] = set()

    def own_ns(self, span: SpanRow) -> int:
        """A span's own time."""
        return own_ns(span, self.children.get(span.span_id, ()))

    def spent(self) -> list[tuple[str, int]]:
        """What the root's duration was spent in, most first; together that is all of it."""
        sums: dict[str, int] = defaultdict(int)
        for span_id, part in self.path.items():
            sums[hue_of(self.known[span_id])] += part
        return sorted(((hue, ns) for hue, ns in sums.items() if ns), key=lambda each: -each[1])

    @cached_property
    def rows(self) -> list[Row]:
        """All of them, in order."""
        rows: list[Row] = []
        self._seen = {span.span_id for span in self._top}
        stack = [row for span in self._top for row in self._block([span], 0)][::-1]
        for other in (None, *self.spans):
            if other is not None and other.span_id not in self._seen:
                self._seen.add(other.span_id)
                self._circular.add(other.span_id)
                stack = self._block([other], 0)[::-1]
            while stack:
                row = stack.pop()
                rows.append(row)
                if row.kind == "span":
                    stack += self._inside(row.span, row.depth + 1)[::-1]
        return _counted(rows)

    # --- what is below a row

    def _families(self) -> tuple[dict[str, list[SpanRow]], list[SpanRow]]:
        """Children by parent, by start, and those that have none here, the root first."""
        children: dict[str, list[SpanRow]] = defaultdict(list)
        top = [self.root]
        for span in self.spans:
            if span is not self.root:
                known = span.parent_id in self.known
                (children[span.parent_id or ""] if known else top).append(span)
        return dict(children), top

    def _inside(self, span: SpanRow, depth: int) -> list[Row]:
        """The level below a span, by time; what is in folded rows follows them."""
        found = self.children.get(span.span_id, ())
        if not found and span.span_id not in self._faults and span.span_id not in self._logs:
            return []
        below = [each for each in found if each.span_id not in self._seen]
        self._seen.update(each.span_id for each in below)
        blocks = [(group[0].start_ns, self._block(group, depth)) for group in self._alike(below)]
        for row in (*self._faults.get(span.span_id, ()), *self._logs.get(span.span_id, ())):
            row.depth = depth
            blocks.append((row.start_ns, [row]))
        blocks.sort(key=lambda block: block[0])
        return [row for _, rows in blocks for row in rows]

    def _alike(self, spans: Sequence[SpanRow]) -> Iterable[list[SpanRow]]:
        """Leaves that say the same, where they are many; all others alone."""
        if len(spans) < FOLDED:
            return ([span] for span in spans)
        groups: dict[Any, list[SpanRow]] = defaultdict(list)
        for span in spans:
            groups[self._said(span)].append(span)
        return chain.from_iterable(
            [group] if len(group) >= FOLDED else ([span] for span in group)
            for group in groups.values()
        )

    def _said(self, span: SpanRow) -> Any:
        """What leaves have in common that are alike; its own id for a span that stands alone."""
        span_id, attributes = span.span_id, span.attributes
        leaf = not (span_id in self.children or span_id in self._logs or span.events)
        if not leaf or span.status == "error" or task_words.queue_wait_ns(span):
            return span_id
        statement, host = attributes.get(names.DB_QUERY_TEXT), attributes.get(names.SERVER_ADDRESS)
        return span.name, str(statement), str(host), span.kind, span.service

    def _block(self, group: Sequence[SpanRow], depth: int) -> list[Row]:
        """A span with its wait in a queue, or leaves alike with the row that folds them."""
        rows = [self._span_row(span, depth + (len(group) > 1)) for span in group]
        if len(group) > 1:
            return [self._folded(rows, depth), *rows]
        span = group[0]
        wait_ns = task_words.queue_wait_ns(span)
        if wait_ns:
            begin = max(span.start_ns - wait_ns, self.start_ns)
            queue = inert(str(span.attributes.get(names.MESSAGING_DESTINATION_NAME) or "")[:80])
            label = f"waited {duration(wait_ns)} in queue {queue}".rstrip()
            until = max(span.start_ns - begin, 0)
            rows.insert(0, Row("wait", span, label, begin, until, depth=depth, hue="waiting"))
        return rows

    def _folded(self, rows: Sequence[Row], depth: int) -> Row:
        spans = [row.span for row in rows]
        number = self._repeated.get(spans[0].span_id)
        place = "" if number is None else self.repeats[number].place
        return Row(
            kind="repeats",
            span=spans[0],
            label=rows[0].label,
            start_ns=spans[0].start_ns,
            duration_ns=sum(span.duration_ns for span in spans),
            own_ns=sum(row.own_ns for row in rows),
            hue=rows[0].hue,
            depth=depth,
            critical=any(row.critical for row in rows),
            mark="" if number is None else f"N+1 {place}".rstrip(),
            tone="" if number is None else "warn",
            count=len(spans),
            parts=merged(spans, self.length_ns // PARTS),
        )

    def _span_row(self, span: SpanRow, depth: int) -> Row:
        label, hue, place = self._said_by(span)
        mark, tone = self._mark(span, place)
        return Row(
            kind="span",
            span=span,
            label=label,
            start_ns=span.start_ns,
            duration_ns=span.duration_ns,
            own_ns=self.own_ns(span),
            hue=hue,
            depth=depth,
            failed=span.status == "error",
            critical=span.span_id in self.path,
            mark=mark,
            tone=tone,
        )

    # --- words

    def _said_by(self, span: SpanRow) -> tuple[str, str, str]:
        """Label, hue and line of code; spans with the same attributes have the same."""
        key = (id(span.attributes), span.name, span.kind)
        known = self._words.get(key)
        if known is None:
            known = span_label(span), hue_of(span), code_line(span.attributes)
            self._words[key] = known
        return known

    def _mark(self, span: SpanRow, place: str) -> tuple[str, str]:
        """The words after a span's name, and their tone."""
        parent = self.known.get(span.parent_id or "")
        where, odd = self._where(span, parent), self._odd(span, parent)
        failed, is_run = span.status == "error", span.kind == "consumer"
        if not (where or odd or place or failed or is_run):  # as most, of very many
            return "", ""
        told = [*_task_told(span), where] if is_run else [where]
        retried = is_run and any(word.startswith(RETRIED) for word in told)
        if failed and span.span_id not in self._faults:
            told.insert(0, inert(str(span.attributes.get(names.ERROR_TYPE, ""))[:200]))
        if span.span_id in self._repeated:
            place = ""
        if place and names.DB_SYSTEM_NAME in span.attributes:
            place = f"slow {place}"
        tone = "bad" if failed else "warn" if odd or retried else ""
        return ", ".join(filter(None, (*told, odd, place))), tone

    def _where(self, span: SpanRow, parent: SpanRow | None) -> str:
        """Where it ran: service and worker, as far as they are others than its parent's."""
        above = self.root if parent is None else parent
        own = before = self._workers.get(above.span_id, "")
        if span.kind == "consumer":
            own = task_words.worker(span) or before
        if own:
            self._workers[span.span_id] = own
        if own == before and span.service == above.service:
            return ""
        service = inert(span.service[:80]) if span.service != above.service else ""
        return ", ".join(filter(None, (service, own if own != before else "")))

    def _odd(self, span: SpanRow, parent: SpanRow | None) -> str:
        """What doesn't fit: times or a parent."""
        if span is self.root or span.parent_id is None:
            return ""
        if parent is None:
            return "its caller isn't here"
        if span.span_id in self._circular:
            return "is its own ancestor"
        if span.resource is parent.resource:
            return ""
        early_ns = parent.start_ns - span.start_ns
        if early_ns > CLOCKS_NS:
            return f"clocks differ: {duration(early_ns)} before its caller"
        late_ns = span.start_ns - end_ns(parent)
        if span.kind == "server" and late_ns > CLOCKS_NS:
            return f"clocks differ: {duration(late_ns)} after its caller"
        return ""

    # --- records

    def _first_faults(self) -> dict[str, list[Row]]:
        """Exceptions by the span that told of each first: on its way up, others do, too."""
        events = (
            (event.time_ns, span, exception_text(event))
            for span in self.spans
            if span.events and not task_words.retry_reason(span)
            for event in span.events
        )
        found: dict[str, list[Row]] = defaultdict(list)
        told: set[str] = set()
        for time_ns, span, text in sorted(events, key=lambda each: each[0]):
            if text and text not in told:
                told.add(text)
                row = Row("fault", span, text, time_ns, hue="error", failed=True, tone="bad")
                found[span.span_id].append(row)
        return dict(found)

    def _log_rows(self, logs: Iterable[LogRow]) -> dict[str, list[Row]]:
        """Records by span, those in a row that are alike as one; not what spans say anyway."""
        records: dict[str, list[LogRow]] = defaultdict(list)
        for record in sorted(logs, key=lambda each: each.time_ns):
            if not log_words.restates(record):
                known = record.span_id in self.known
                records[record.span_id if known else self.root.span_id].append(record)
        told = {row.label for rows in self._faults.values() for row in rows}
        return {
            span_id: [
                _log_row(self.known[span_id], list(run), told)
                for _, run in groupby(found, key=lambda each: (each.event, each.level))
            ]
            for span_id, found in records.items()
        }


def _task_told(span: SpanRow) -> list[str]:
    """How a task ended, the how manieth run it was, why there will be another."""
    reason = task_words.retry_reason(span)
    told = [task_words.state(span), task_words.attempt(span), reason and f"{RETRIED} {reason}"]
    return list(filter(None, told))


def _log_row(span: SpanRow, alike: Sequence[LogRow], told: Collection[str]) -> Row:
    record = alike[0]
    worst = record.severity_number
    tone = "bad" if worst >= log_record.ERROR else "warn" if worst >= log_record.WARN else ""
    return Row(
        kind="log",
        span=span,
        label=log_words.label(record, len(alike), told).removeprefix("• "),
        start_ns=record.time_ns,
        hue={"bad": "error", "warn": "warning"}.get(tone, "quiet"),
        failed=tone == "bad",
        tone=tone,
        count=len(alike),
    )


def _counted(rows: list[Row]) -> list[Row]:
    """With ``below`` said."""
    for index in range(len(rows) - 1, -1, -1):
        row, after = rows[index], index + 1
        while after < len(rows) and rows[after].depth > row.depth:
            after += 1 + rows[after].below
        row.below = after - index - 1
    return rows
