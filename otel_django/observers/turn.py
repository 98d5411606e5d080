"""One observer's turns in this process: when, whether it is this process's, what came of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from otel_django import guard
from otel_django.observation import Observation
from otel_django.observers.board import Board, BoardAway

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_django.clock import Clock
    from otel_django.observation import Observer
    from otel_django.observers.places import Places

_logger = logging.getLogger(guard.LOGGER_NAME)
LOOK_S: Final = 5.0
"""How often a process looks whether it is to observe from now on, or still is."""
HOST_TTL_S: Final = 20.0
"""After how long of a host's processes another one observes, if the one that did was stopped."""
FRESH_INTERVALS: Final = 3
SLOWEST: Final = 4
"""After failures in a row: intervals between two attempts, at most."""


class Turn:
    """``owner`` names this process. ``failed(observer, kind)`` counts a look that failed."""

    def __init__(
        self,
        observer: Observer,
        places: Places,
        *,
        owner: Callable[[], str],
        clock: Clock,
        failed: Callable[[str, str], object],
    ) -> None:
        self.observer = observer
        self._places = places
        self._owner = owner
        self._clock = clock
        self._count_failure = failed
        self._begin()

    def _begin(self) -> None:
        self.due_s = 0.0
        self._name = ""
        self._board: Board | None = None
        self._seen: tuple[Observation, ...] = ()
        self._seen_s = 0.0
        self._failures = 0

    def shown(self) -> tuple[Observation, ...]:
        """What this process has seen and is still to tell; on any thread."""
        age_s = self._clock.monotonic_s() - self._seen_s
        return self._seen if age_s <= FRESH_INTERVALS * self.observer.interval_s else ()

    def wanted(self) -> bool:
        """Whether this process is, or may be, the one of the host that observes."""
        if not self.observer.is_possible():
            return False
        host = self._places.host
        return self.observer.scope == "process" or host is None or self._stands(host)

    def _stands(self, host: Any) -> bool:
        """Of a host's processes one asks the deployment's board: who holds the lock."""
        try:
            return bool(host.claim(f"host/{self.observer.name}", self._owner(), HOST_TTL_S))
        except BoardAway:
            return self._board is not None

    # --- on the observers' thread

    def step(self) -> float:
        """Do what is due; how many seconds until the next step."""
        now_s = self._clock.monotonic_s()
        wanted = self.wanted()
        if self._board is not None and not wanted:
            self.end()
        if now_s >= self.due_s:
            self.due_s = now_s + (self._turn(now_s) if wanted else LOOK_S)
        return self.due_s - self._clock.monotonic_s()

    def _turn(self, now_s: float) -> float:
        observer = self.observer
        board = self._where(now_s)
        if board is None:
            return observer.interval_s
        wait_s = None
        try:
            if observer.scope != "process":
                wait_s = self._wait_s(board)
            if wait_s is None:
                self._look(board, now_s)
            self._places.worked(board)
        except BoardAway as error:
            self._places.failed(board, error, now_s)
        if wait_s is not None:
            return wait_s
        return float(observer.interval_s * min(2**self._failures, SLOWEST))

    def _where(self, now_s: float) -> Board | None:
        if self.observer.scope == "host":
            return self._places.host
        board = self._places.deployment(now_s)
        if board is not self._board:
            self._board = None
        return board

    def _wait_s(self, board: Board) -> float | None:
        """How long to leave it to another process; None: it is for this one, and due."""
        observer = self.observer
        ttl_s = 2 * observer.interval_s + observer.timeout_s
        held = self._board is board
        if not board.claim(observer.name, self._owner(), ttl_s):
            self._board, self._seen = None, ()
            return self._pass_on(board)
        self._board = board
        last = None if held else board.get(observer.name)
        if last is None or last.age_s >= observer.interval_s:
            return None
        return observer.interval_s - last.age_s

    def _pass_on(self, board: Board) -> float:
        """Another host observes: the processes of this one read it in their folder.

        Returns in how many seconds to look for something newer.
        """
        interval_s, host = self.observer.interval_s, self._places.host
        last = board.get(self.observer.name)
        if last is None or last.age_s >= FRESH_INTERVALS * interval_s:
            return min(LOOK_S, interval_s)
        if host is not None and host is not board:
            host.post(self.observer.name, self._owner(), last.text, last.age_s)
        return min(interval_s, max(LOOK_S, interval_s - last.age_s))

    def _look(self, board: Board, now_s: float) -> None:
        observer = self.observer
        try:
            seen = tuple(observer.observe())
        except Exception as error:
            self._has_failed(type(error).__name__)
            if isinstance(error, BoardAway):
                raise
            return
        self._board = board
        self._leave(board, seen)
        self._seen, self._seen_s = seen, self._clock.monotonic_s()
        if self._seen_s - now_s > observer.timeout_s:
            self._has_failed("timeout")
        else:
            self._failures = 0

    def _has_failed(self, kind: str) -> None:
        """Its text may hold a password: only the kind is told."""
        name = self.observer.name
        self._failures += 1
        self._count_failure(name, kind)
        if self._failures == 1:
            _logger.warning("%s can't be observed (%s); otel_django goes on trying.", name, kind)

    def _leave(self, board: Board, seen: Iterable[Observation]) -> None:
        text = json.dumps([[one.name, one.value, dict(one.attributes)] for one in seen])
        if self.observer.scope == "process":
            self._name = self.observer.name
            board.post(self._name, self._owner(), text)
            return
        board.put(self.observer.name, self._owner(), text)
        host = self._places.host
        if host is not None and host is not board:
            host.post(self.observer.name, self._owner(), text)

    def end(self) -> None:
        """The process ends in good order: another one may go on at once."""
        board = self._board
        self._board = None
        self._seen = ()
        try:
            if self.observer.scope == "process":
                if self._name and board is not None:
                    board.remove(self._name, self._owner())
            elif board is not None:
                board.release(self.observer.name, self._owner())
        except BoardAway:
            return  # it runs out by itself

    def after_fork(self) -> None:
        """In a forked child: nothing is its own yet."""
        self._begin()


def read(text: str) -> tuple[Observation, ...]:
    """What was left on a board."""
    return tuple(Observation(name, value, attributes) for name, value, attributes in _rows(text))


def _rows(text: str) -> list[Any]:
    try:
        rows = json.loads(text)
    except ValueError:
        return []
    return rows if isinstance(rows, list) else []
