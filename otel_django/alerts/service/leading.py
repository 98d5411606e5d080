"""Which process of a deployment evaluates: the one that holds the lease in the site's database.

Of a host's processes only one asks for it: who holds the lock in the run folder. While the database
is away who led goes on, and so do those who have not heard of another one for ``TAKE_OVER_S``: an
alert that is told twice, with the same key, is better than one that is never told.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Final

from otel_django import guard
from otel_django.alerts.liveness import LEASE, LEASE_S
from otel_django.observers.board import BoardAway

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_django.clock import Clock
    from otel_django.observers.board import Board

_logger = logging.getLogger(guard.LOGGER_NAME)
CLAIM_S: Final = 5.0
"""How often the lease is renewed, or asked for."""
AWAY_S: Final = 12.0
"""A database that hasn't answered for so long is away."""
TAKE_OVER_S: Final = 30.0
START_S: Final = 5.0
"""How long the first answer is waited for."""


class Leading:
    """``claim`` asks, and may hang; ``leads`` only looks. ``open_host`` gives the host's board."""

    def __init__(
        self,
        database: Board,
        open_host: Callable[[], Board | None],
        *,
        owner: str,
        clock: Clock,
    ) -> None:
        self.owner = owner
        self._database = database
        self._open_host = open_host
        self._clock = clock
        self._asked_s: float | None = None
        self._alone = True
        self._alone_until_s: float | None = None
        self._held_until_s = 0.0
        self._answered_s: float | None = None
        self._failed = False
        self._left = ""
        self._led = False

    # --- may hang

    def claim_host(self) -> bool:
        """Be the one of this host's processes, by its run folder; whether it is so from now on."""
        was_alone = self._alone
        try:
            host = self._open_host()
            until_s = self._clock.monotonic_s() + LEASE_S
            self._alone = host is None or host.claim(LEASE, self.owner, LEASE_S)
            self._alone_until_s = until_s
        except BoardAway:
            self._alone, self._alone_until_s = True, None
        return self._alone and not was_alone

    def claim(self) -> None:
        """Renew the lease, or ask for it."""
        if not self.stands_by():
            self._asked_s = self._answered_s = None  # what was known is too old later
            self._held_until_s = 0.0
            return
        asked_s = self._clock.monotonic_s()
        if self._asked_s is None:
            self._asked_s = asked_s
        try:
            held = self._database.claim(LEASE, self.owner, LEASE_S)
        except BoardAway as error:
            self._say_away(error)
            return
        if self._answered_s is not None and asked_s < self._answered_s:
            return  # it hung; another call was answered meanwhile
        self._failed = False
        self._held_until_s = asked_s + LEASE_S if held else 0.0
        self._answered_s = asked_s
        if held:
            self._put()

    def _put(self) -> None:
        text, self._left = self._left, ""
        if not text:
            return
        try:
            self._database.put(LEASE, self.owner, text)
        except BoardAway as error:
            self._say_away(error)

    def _say_away(self, error: BoardAway) -> None:
        if not self._failed:
            _logger.warning(
                "Who evaluates alerts can't be settled in the database (%s): this process goes on "
                "with a journal of its own.",
                error,
            )
        self._failed = True

    def leave(self, text: str) -> None:
        """What was done last: for the host's processes at once, for others with the next claim."""
        with contextlib.suppress(BoardAway):
            host = self._open_host()
            if host is not None:
                host.post(LEASE, self.owner, text)
        self._left = text

    def lose(self) -> None:
        """The database says that another one has the lease."""
        self._held_until_s = 0.0

    def release(self) -> None:
        """Let another one go on at once, and know what was done last."""
        self._held_until_s = 0.0
        if not self.is_away():
            self._put()
        for board in (self._open_host(), None if self.is_away() else self._database):
            with contextlib.suppress(BoardAway):  # it runs out by itself
                if board is not None:
                    board.release(LEASE, self.owner)

    # --- only look

    def stands_by(self) -> bool:
        """Whether this process may have to go on at any moment: it is the one of its host."""
        until_s = self._alone_until_s
        return self._alone and (until_s is None or self._clock.monotonic_s() < until_s)

    def is_away(self) -> bool:
        """Whether the database doesn't answer."""
        now_s = self._clock.monotonic_s()
        if self._asked_s is None:
            return False
        if self._answered_s is None:
            return self._failed or now_s - self._asked_s >= START_S
        return self._failed or now_s - self._answered_s >= AWAY_S

    def leads(self) -> bool:
        """Whether this process evaluates now."""
        now_s = self._clock.monotonic_s()
        leads = self.stands_by() and (
            now_s < self._held_until_s or (self.is_away() and self._stands_in(now_s))
        )
        if leads != self._led:
            self._led = leads
            words = "evaluates alerts from now on" if leads else "doesn't evaluate alerts any more"
            _logger.info("This process %s.", words)
        return leads

    def _stands_in(self, now_s: float) -> bool:
        if self._answered_s is None or self._held_until_s:
            return True
        return now_s - self._answered_s >= TAKE_OVER_S
