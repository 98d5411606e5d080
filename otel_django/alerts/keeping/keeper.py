"""The ``Keeper``: the database, and the journal and this process's memory while that is away."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from otel_django import guard
from otel_django.alerts.keeping import documents
from otel_django.alerts.keeping.asking import Asker, DatabaseAwayError
from otel_django.alerts.keeping.contract import Changes, Entry, Known
from otel_django.alerts.keeping.merging import Backlog
from otel_django.alerts.keeping.outbox import MemoryOutbox

if TYPE_CHECKING:
    from otel_django.alerts.keeping.contract import Attempt, Fence, Outgoing
    from otel_django.alerts.keeping.database import AlertDatabase
    from otel_django.alerts.keeping.journal import Journal
    from otel_django.alerts.state import Key

_logger = logging.getLogger(guard.LOGGER_NAME)
KNOWN_MS: Final = 86_400_000
"""For how long memory has resolved alerts while nobody else can tell."""
COMPACT_BYTES: Final = 8 << 20
_AWAY: Final = "The database of alerts can't be used (%s): a journal stands in."
_NO_JOURNAL: Final = "There can be no journal of alerts (%s)."
_NOT_WRITTEN: Final = "The journal of alerts can't be written (%s): memory stands in."
_T = TypeVar("_T")


class AlertKeeper:
    """Any thread may call; no call waits much longer than the asker's patience."""

    def __init__(
        self, database: AlertDatabase, journal: Journal, asker: Asker | None = None
    ) -> None:
        self._database = database
        self._journal = journal
        self._asker = asker or Asker()
        self._lock = threading.RLock()
        self._catching_up = threading.Lock()
        self._known = Known()
        self._outbox = MemoryOutbox()
        self._backlog = Backlog()
        self._is_first = True
        self._has_journal = False
        self._is_closed = False
        self._is_behind = False
        self._written: Any = None
        self._said: set[str] = set()

    # --- Keeper

    def load(self, now_ms: int) -> Known:
        """What is known now."""
        try:
            self._ask(lambda: (self._database.load(now_ms), self._database.waiting()), self._learn)
        except DatabaseAwayError as error:
            return replace(self._known, away=str(error))
        return self._known

    def save(self, changes: Changes, fence: Fence) -> None:
        """All of it or nothing; raises NotLeaderError."""
        try:
            self._ask(lambda: self._database.save(changes, fence))
        except DatabaseAwayError:
            with self._lock:
                self._backlog.add(changes)
                self._apply(changes)
                self._jot(["save", documents.changes_document(changes)])
        else:
            with self._lock:
                self._apply(changes)
                if changes.outgoing:
                    self._known = replace(self._known, newest=changes.outgoing[-1].key)
                self._remember()

    def due(self, now_ms: int, fence: Fence, limit: int = 100) -> list[Outgoing]:
        """What is to be sent now; raises NotLeaderError."""
        try:
            found = self._ask(lambda: self._database.due(now_ms, fence, limit))
        except DatabaseAwayError:
            with self._lock:
                return self._outbox.due(now_ms, limit)
        with self._lock:
            self._outbox.taken(found, now_ms)
        return found

    def attempted(self, attempt: Attempt) -> None:
        """Keep what came of it: in the journal in any case, so that nobody sends it again."""
        with self._lock:
            self._open()
            self._outbox.attempted(attempt)
            self._backlog.attempted(attempt)
            self._jot(["attempt", attempt])
        with contextlib.suppress(DatabaseAwayError):
            self._ask(_nothing)

    def close(self) -> None:
        """Let another process have the journal; what comes later is for the database only."""
        with self._lock:
            self._journal.close()
            self._has_journal, self._is_closed = False, True

    # --- the database

    def _ask(self, work: Callable[[], _T], learn: Callable[[_T], None] | None = None) -> _T:
        """After it has been told what happened while it was away.

        Nobody tells it anything before ``learn`` is done with what it answered.
        """
        with self._catching_up:
            try:
                self._catch_up()
                found = self._asker.ask(work)
            except DatabaseAwayError as error:
                self._say(_AWAY, error)
                raise
            self._said.discard(_AWAY)
            if learn is not None:
                learn(found)
            return found

    def _catch_up(self) -> None:
        with self._lock:
            self._open()
            if not self._backlog:
                return
            backlog, self._backlog = self._backlog, Backlog()
        try:
            self._asker.ask(lambda: self._database.merge(backlog))
        except BaseException:
            with self._lock:
                backlog.absorb(self._backlog)
                self._backlog = backlog
            raise
        self._written = None  # what the journal has besides need not be told again

    # --- memory

    def _learn(self, answer: tuple[Known, list[Outgoing]]) -> None:
        """The database knows better what waits, but for attempts that it hasn't been told of."""
        known, waiting = answer
        with self._lock:
            self._is_first = False
            self._known = known
            self._outbox = MemoryOutbox()
            self._outbox.add(waiting)
            for attempt in self._backlog.attempts.values():
                self._outbox.attempted(attempt)
            self._remember()

    def _apply(self, changes: Changes) -> None:
        alerts: dict[Key, Entry] = dict(self._known.alerts)
        for entry in changes.gone:
            alerts.pop(entry.alert.key, None)
        for entry in changes.alerts:
            alerts[entry.alert.key] = entry
        newest_ms = max((entry.at_ms for entry in changes.alerts), default=0)
        kept = {
            key: entry
            for key, entry in alerts.items()
            if (entry.alert.resolved_ms or newest_ms) > newest_ms - KNOWN_MS
        }
        self._known = replace(self._known, alerts=kept)
        self._outbox.add(changes.outgoing)

    # --- the journal

    def _open(self) -> None:
        """Take it as soon as no other process has it, and read what one left."""
        if self._has_journal or self._is_closed:
            return
        try:
            records = self._journal.open()
        except OSError as error:
            self._say(_NO_JOURNAL, type(error).__name__)
            return
        if records is None:
            return
        self._has_journal = True
        for record in records:
            with guard.guarded("alerts.journal"):
                self._replay(*record)

    def _replay(self, kind: str, document: Any) -> None:
        if kind == "known" and self._is_first:
            self._known = documents.known_of(document["known"])
            self._outbox.add(documents.outgoing_of(one) for one in document["waiting"])
        elif kind == "save":
            changes = documents.changes_of(document)
            self._backlog.add(changes)
            self._apply(changes)
        elif kind == "attempt":
            attempt = documents.attempt_of(document)
            self._backlog.attempted(attempt)
            self._outbox.attempted(attempt)

    def _jot(self, record: object) -> None:
        """Add to the journal; all of it anew where something is missing there."""
        if self._is_behind or self._journal.size_bytes > COMPACT_BYTES:
            self._rewrite()
        elif self._has_journal:
            self._is_behind = not self._kept(lambda: self._journal.append(record))

    def _remember(self) -> None:
        """What was known last is in the journal, should the database go away."""
        known = self._known
        wanted = (
            [
                (entry.id, entry.alert.state, entry.alert.acknowledged, entry.told)
                for entry in known.alerts.values()
            ],
            known.silences,
            known.rules,
            known.newest,
            list(self._outbox.waiting),
        )
        if wanted != self._written and self._rewrite():
            self._written = wanted

    def _rewrite(self) -> bool:
        if self._has_journal:
            self._is_behind = not self._kept(lambda: self._journal.replace(self._records()))
        return self._has_journal and not self._is_behind

    def _records(self) -> Iterator[object]:
        waiting = [asdict(one) for one in self._outbox.waiting.values()]
        yield "known", {"known": documents.known_document(self._known), "waiting": waiting}
        if self._backlog:
            yield "save", documents.changes_document(self._backlog.changes())
            yield from (("attempt", one) for one in self._backlog.attempts.values())

    def _kept(self, write: Callable[[], None]) -> bool:
        """Whether it is on the disk, which may be full."""
        try:
            write()
        except OSError as error:
            self._say(_NOT_WRITTEN, error.strerror or type(error).__name__)
            return False
        self._said.discard(_NOT_WRITTEN)
        return True

    def _say(self, text: str, why: object) -> None:
        """Once, until all is well again."""
        if text not in self._said:
            self._said.add(text)
            _logger.warning(text, why)


def _nothing() -> None:
    """To have the database told what there is."""
