"""Decides how much telemetry a process can afford: times in, a level of thrift out."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

WINDOW_S: Final = 10.0
SETTLE_S: Final = 3.0
"""So long a level is looked at before another one is taken."""
ROOM: Final = 0.6
"""More is recorded again below this part of the limit."""
FLOOR: Final = 0.01
"""Of one processor: telemetry that takes less is never too much, whatever its share."""
LONGEST_PATIENCE_S: Final = 300.0
LEAST_HELP: Final = 0.1
"""A step is worth it if telemetry's part of the work falls by this part of itself."""
TRY_AGAIN_S: Final = 600.0
"""After a step that wasn't."""

Change = Literal["reduced", "restored", "undone"]
"""``undone``: a step down that didn't help was taken back."""


@dataclass(frozen=True, slots=True)
class Level:
    """``detail``: spans of parts of a request, and lines of code; ``ratio``: whole traces."""

    detail: bool
    ratio: float


LEVELS: Final[Sequence[Level]] = (
    Level(detail=True, ratio=1.0),
    *(Level(detail=False, ratio=0.5**halvings) for halvings in range(9)),
)


@dataclass(frozen=True, slots=True)
class Look:
    """Processor time in seconds since the process began, as far as it is known at ``now_s``.

    ``own_s`` is that of the thread which sends; ``spent_s`` what telemetry took on other threads
    while that was looked at, of all that these took meanwhile, ``looked_at_s``.
    """

    now_s: float
    process_s: float
    own_s: float
    spent_s: float
    looked_at_s: float


class _Trial(NamedTuple):
    """The level before a step that has yet to help, and telemetry's part of the work there."""

    level: int
    part: float


class Governor:
    """Holds telemetry below the share ``limit`` of a processor, as far as thrift can.

    Where a process takes more than one processor, it is the share of what it takes. ``level`` is an
    index in LEVELS. ``share`` is what was found last, None while nothing is known.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self.forget()

    def forget(self) -> None:
        """Begin as in a new process."""
        self.level = 0
        self.share: float | None = None
        self._looks: deque[Look] = deque()
        self._began_s: float | None = None
        self._patience_s = WINDOW_S
        self._changed_s = self._restored_s = float("-inf")
        self._trial: _Trial | None = None
        self._useless_level = len(LEVELS)
        self._useless_until_s = float("inf")

    def look(self, look: Look) -> Change | None:
        """Take note of times, about once a second; how ``level`` has changed, if it has."""
        if self._began_s is None:
            self._began_s = look.now_s
        if look.now_s - self._began_s < WINDOW_S:  # modules are imported, connections are made
            self._looks = deque([look])
            return None
        looks = self._looks
        looks.append(look)
        while look.now_s - looks[0].now_s > WINDOW_S:
            looks.popleft()
        first = looks[0]
        passed_s = look.now_s - first.now_s
        telemetry_s = _telemetry_s(first, look)
        process_s = look.process_s - first.process_s
        if passed_s > 0:
            self.share = min(telemetry_s / max(process_s, passed_s), 1.0)
        if passed_s < SETTLE_S or self.share is None:
            return None
        if not self.level and not self._was_restored_lately(look.now_s):
            self._patience_s = WINDOW_S
        idle = telemetry_s < FLOOR * passed_s
        if self.share > self._limit and not idle:
            return self._lower(look, telemetry_s / process_s)
        if self.level and (idle or self._has_room(look.now_s)):
            return self._restore(look)
        return None

    def _lower(self, look: Look, part: float) -> Change | None:
        trial = self._trial
        if trial is None or trial.level == self.level or part <= (1 - LEAST_HELP) * trial.part:
            self._trial = _Trial(self.level, part)
        elif LEVELS[self.level].ratio < 1.0:  # what has no details to lose is helped by the next
            if look.now_s - self._changed_s < WINDOW_S:
                return None  # so short a look may be wrong
            return self._undo(look, trial.level)
        if self.level + 1 == self._end(look.now_s):
            return None
        if self._was_restored_lately(look.now_s):  # too soon
            self._patience_s = min(2 * self._patience_s, LONGEST_PATIENCE_S)
        self._change(look, self.level + 1)
        return "reduced"

    def _undo(self, look: Look, level: int) -> Change:
        """What is left is the fixed part, which nothing here makes smaller."""
        self._useless_level = level + 1
        self._useless_until_s = look.now_s + TRY_AGAIN_S
        self._change(look, level)
        return "undone"

    def _end(self, now_s: float) -> int:
        """The level that isn't taken."""
        return self._useless_level if now_s < self._useless_until_s else len(LEVELS)

    def _has_room(self, now_s: float) -> bool:
        waited_s = now_s - self._changed_s
        return self.share is not None and (
            self.share < ROOM * self._limit and waited_s >= self._patience_s
        )

    def _restore(self, look: Look) -> Change:
        self._change(look, self.level - 1)
        self._restored_s = look.now_s
        self._trial = None
        return "restored"

    def _was_restored_lately(self, now_s: float) -> bool:
        return now_s - self._restored_s < 2 * WINDOW_S

    def _change(self, look: Look, level: int) -> None:
        """What was before the change says nothing of what comes."""
        self.level = level
        self._changed_s = look.now_s
        self._looks = deque([look])


def _telemetry_s(first: Look, last: Look) -> float:
    own_s = last.own_s - first.own_s
    others_s = max(last.process_s - first.process_s - own_s, 0.0)
    looked_at_s = last.looked_at_s - first.looked_at_s
    part = (last.spent_s - first.spent_s) / looked_at_s if looked_at_s > 0 else 0.0
    return own_s + min(part, 1.0) * others_s
