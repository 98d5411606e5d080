"""Whether telemetry was lost in the last five minutes, by any process of the host."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_django import metric_definitions as metrics
from otel_django import names
from otel_django.conf.settings import SIGNALS
from otel_django.errors import ReadError
from otel_django.health.check import Registered
from otel_django.health.judging import judged
from otel_django.health.results import CheckError, Result
from otel_django.metric_points import NumberPoint
from otel_django.metrics import active
from otel_django.observers.board import BoardAway
from otel_django.runtime_state import runtime_state

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.conf.limits import Limit
    from otel_django.metric_points import ResourceMetrics
    from otel_django.observers.folder_board import FolderBoard

WINDOW_S: Final = 300.0
EVERY_S: Final = 15.0
"""How often it is noted how many were lost until then."""
_NOTES: Final = "telemetry/dropped"

Counts = Mapping[str, float]
"""Lost so far, by ``signal.cause``."""


class Note(NamedTuple):
    """What was lost until then; ``time_s`` since the epoch, as several processes write them."""

    time_s: float
    lost: Counts


def checks(settings: Settings) -> Iterator[Registered]:
    """One check, an instance a signal; where this process's telemetry runs."""

    def open_board() -> FolderBoard | None:
        from otel_django.metrics.host_folder import usable_folder
        from otel_django.observers.folder_board import FolderBoard

        folder = usable_folder(settings.run_dir, settings.service_name, pause=lambda: None)
        return None if folder is None else FolderBoard(folder)

    check = TelemetryCheck(settings.health_limits["dropped"], open_board)
    yield Registered("telemetry", check.run, groups=frozenset(), is_possible=_runs)


class TelemetryCheck:
    """``limit`` is in spans, records or metrics, a signal's.

    The host's processes share the notes of what was lost when. Where metrics are off this process
    knows of itself only.
    """

    def __init__(
        self,
        limit: Limit,
        open_board: Callable[[], FolderBoard | None],
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._limit = limit
        self._open_board = open_board
        self._now_s = now_s
        self._opened = False
        self._shared: FolderBoard | None = None
        self._notes: list[Note] = []

    def run(self) -> list[Result]:
        """Compare with what had been lost five minutes ago."""
        now_s = self._now_s()
        lost, before = _counts(now_s - WINDOW_S)
        found = self._read()
        notes = _recent(found, now_s) or [Note(now_s, before)]
        if now_s - notes[-1].time_s >= EVERY_S:
            notes.append(Note(now_s, lost))
        if notes != found:
            self._write(notes)
        return [self._result(signal, _since(notes[0], lost, signal)) for signal in SIGNALS]

    def _read(self) -> list[Note]:
        board = self._board()
        if board is None:
            return self._notes
        try:
            left = board.get(_NOTES)
            return [] if left is None else [Note(*each) for each in json.loads(left.text)]
        except (BoardAway, ValueError, TypeError):
            return []

    def _write(self, notes: list[Note]) -> None:
        board = self._board()
        if board is None:
            self._notes = notes
            return
        with suppress(BoardAway):
            board.post(_NOTES, "", json.dumps(notes))

    def _board(self) -> FolderBoard | None:
        if active.host() is None:
            return None  # what only this process knows isn't for the others
        if not self._opened:
            self._shared, self._opened = self._open_board(), True
        return self._shared

    def _result(self, signal: str, lost: Mapping[str, int]) -> Result:
        total = sum(lost.values())
        status = judged(total, self._limit)
        causes = ", ".join(f"{cause} {count}" for cause, count in sorted(lost.items()))
        return Result(
            status,
            f"Lost in the last five minutes: {causes}." if status != "healthy" else "",
            {"dropped": total, **{f"dropped_{cause}": count for cause, count in lost.items()}},
            signal,
        )


def _runs() -> bool:
    return active.host() is not None or runtime_state() is not None


def _counts(since_s: float) -> tuple[Counts, Counts]:
    """What was lost so far, and how much of it is told by series that had begun by then."""
    host = active.host()
    if host is None:
        state = runtime_state()
        dropped = state["dropped"] if state else []
        return {f"{each['signal']}.{each['cause']}": each["count"] for each in dropped}, {}
    try:
        data = host.read()
    except ReadError as error:
        raise CheckError("The sums of the host's processes can't be read just now.") from error
    lost: dict[str, float] = {}
    before: dict[str, float] = {}
    for point in _points(data):
        attributes = dict(point.attributes)
        key = f"{attributes[names.OTEL_DJANGO_SIGNAL]}.{attributes[names.OTEL_DJANGO_CAUSE]}"
        lost[key] = lost.get(key, 0) + point.value
        if point.start_ns < since_s * 1e9:
            before[key] = before.get(key, 0) + point.value
    return lost, before


def _points(data: Iterable[ResourceMetrics]) -> Iterator[NumberPoint]:
    for resource in data:
        for metric in resource.metrics:
            if metric.name == metrics.OTEL_DJANGO_DROPPED.name:
                yield from (point for point in metric.points if isinstance(point, NumberPoint))


def _recent(notes: list[Note], now_s: float) -> list[Note]:
    """Those of the last five minutes, and the one before; none from before the clock was set."""
    past = [note for note in notes if note.time_s <= now_s]
    old = [note for note in past if now_s - note.time_s >= WINDOW_S]
    return past[max(0, len(old) - 1) :]


def _since(note: Note, lost: Counts, signal: str) -> dict[str, int]:
    """By cause. A sum that is smaller than it was has begun anew."""
    found: dict[str, int] = {}
    for key, count in lost.items():
        of, _, cause = key.partition(".")
        new = count - note.lost.get(key, 0)
        if of == signal and new:
            found[cause] = int(new if new > 0 else count)
    return found
