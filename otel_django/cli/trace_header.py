"""The first lines of a trace: what it is, how it ended, where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from otel_django import names
from otel_django.cli import task_words
from otel_django.cli.inert_text import cells, fit, inert
from otel_django.cli.look import AMBER, BOLD, CYAN, DIM, GREEN, RED
from otel_django.cli.span_words import duration

if TYPE_CHECKING:
    from otel_django.cli.look import Look
    from otel_django.contracts import SpanRow

MIN_TITLE_CELLS: Final = 16
TRACE_ID_DIGITS: Final = 16


def root_of(spans: Sequence[SpanRow]) -> SpanRow:
    """The span a trace is named after: without a parent, else a local root, else the first."""
    return min(
        spans, key=lambda span: (span.parent_id is not None, not span.local_root, span.start_ns)
    )


def header(root: SpanRow, spans: Sequence[SpanRow], look: Look) -> str:
    """Time, name, status, duration, queries and trace id, as far as there is room."""
    when = datetime.fromtimestamp(_seconds(root.start_ns), look.zone)
    status, color = _status(root)
    title = _title(root)
    queries = [span for span in spans if names.DB_QUERY_TEXT in span.attributes]
    told = ""
    if queries:
        spent = duration(sum(span.duration_ns for span in queries))
        told = f"{len(queries)} {'query' if len(queries) == 1 else 'queries'} ({spent})"
    taken = _taken(root, spans)
    fixed = [when.strftime("%H:%M:%S"), status, taken, told]
    room = look.width - sum(len(part) + 2 for part in fixed if part)
    if room < MIN_TITLE_CELLS:
        room += len(told) + 2
        told = ""
    title = fit(title, max(room, MIN_TITLE_CELLS))
    parts = [
        look.paint(fixed[0], DIM),
        look.paint(title, BOLD),
        look.paint(status, color, BOLD),
        taken,
        look.paint(told, DIM),
    ]
    line = "  ".join(part for part in parts if part)
    trace_id = root.trace_id[:TRACE_ID_DIGITS]
    gap = room - cells(title) - len(trace_id)
    return f"{line}{' ' * gap}{look.paint(trace_id, DIM)}" if gap >= 2 else line


def _taken(root: SpanRow, spans: Sequence[SpanRow]) -> str:
    """The root's duration, and until when the tasks ran that came of it."""
    taken = duration(root.duration_ns)
    ends = [each.start_ns + each.duration_ns for each in spans if task_words.runs_task(each)]
    last = max(ends, default=0)
    if last > root.start_ns + root.duration_ns:
        taken += f", {duration(last - root.start_ns)} with tasks"
    return taken


def origin(root: SpanRow, begun_by: str) -> str:
    """What a task that is a trace's root, or that of a later part, has to do with other traces."""
    if not task_words.runs_task(root):
        return ""
    told = []
    begun = f", begun by {inert(begun_by)}" if begun_by else ""
    entry = root.attributes.get(names.CELERY_BEAT_ENTRY)
    if root.parent_id is not None:
        told.append(f"of trace {root.trace_id[:TRACE_ID_DIGITS]}{begun}")
    elif root.links:
        linked = f"trace {inert(root.links[0].trace_id[:TRACE_ID_DIGITS])}"
        beat = f"beat's {inert(entry[:80])}, " if isinstance(entry, str) else ""
        told.append(f"from {beat}{linked}{'' if beat else begun}")
    wait_ns = task_words.queue_wait_ns(root)
    if wait_ns:
        told.append(f"waited {duration(wait_ns)}")
    told += filter(None, (task_words.attempt(root), task_words.worker(root)))
    return "; ".join(told)


def _title(root: SpanRow) -> str:
    """The root's name; with the path where no route was found."""
    method = root.attributes.get(names.HTTP_REQUEST_METHOD)
    path = root.attributes.get(names.URL_PATH)
    if isinstance(path, str) and names.HTTP_ROUTE not in root.attributes and root.name == method:
        return inert(f"{root.name} {path}")
    return inert(root.name) or "(no name)"


def _status(root: SpanRow) -> tuple[str, str]:
    code = root.attributes.get(names.HTTP_RESPONSE_STATUS_CODE)
    if isinstance(code, int) and 0 < code < 1000:
        return str(code), {2: GREEN, 3: CYAN, 4: AMBER}.get(code // 100, RED)
    failed = root.status == "error"
    state = task_words.state(root)
    if state:
        return state, RED if failed else AMBER
    exit_code = root.attributes.get(names.PROCESS_EXIT_CODE)
    if isinstance(exit_code, int) and exit_code:
        return f"exit {exit_code}", RED
    if failed:
        return "failed", RED
    return ("", "") if root.local_root else ("(no root yet)", AMBER)


def _seconds(time_ns: int) -> float:
    """Within what a date can show."""
    return min(max(time_ns, 0), 250_000_000_000 * 1_000_000_000) / 1e9
