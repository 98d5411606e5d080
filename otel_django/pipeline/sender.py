"""Sends finished telemetry by OTLP and keeps on disk what can't be sent yet.

While the receiver answers promptly, a batch is encoded and sent from memory. As soon as a send
fails, or takes longer than a quarter of a second, the batch in flight goes to the backlog (the
spool on disk), everything that follows goes behind it, and sending goes on from the backlog's head,
slowly at first, until it is empty. While it waits for the network the sender calls ``on_wait``
about every 0.2 s; the worker drains its queue there and calls ``accept`` again, which then only
appends to the backlog: so nothing stays in memory alone for longer than a second.

Delivery is at least once: a request whose answer was lost is sent again.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from otel_django import guard, names
from otel_django.errors import TransportError
from otel_django.pipeline.backlog import Backlog, NotKeptError, Waiting
from otel_django.pipeline.batches import Batches, parts
from otel_django.pipeline.otlp_split import Chunk
from otel_django.pipeline.receiver import Receiver, Transport
from otel_django.pipeline.retry import Outcome, Random, Verdict
from otel_django.pipeline.slow_start import OUTAGE_S, SLICE_S, SlowStart
from otel_django.pipeline.tally import Tally
from otel_django.pipeline.waiting import FIRST_SLICE_S

if TYPE_CHECKING:
    from otel_django.clock import Clock
    from otel_django.conf import OtlpSettings
    from otel_django.pipeline.drops import Drops
    from otel_django.pipeline.spool import Spool

MAX_ITEMS: Final = 512
MAX_REQUEST_BYTES: Final = 4_000_000
"""Below the 4 MiB at which gRPC servers refuse a message by default."""
MIN_REQUEST_BYTES: Final = 64 << 10
MERGED_BYTES: Final = 1 << 20
"""Small requests of the backlog are joined up to this: cheap, and quick to send again."""
MEMORY_BYTES: Final = 16 << 20
STUCK_S: Final = 0.1
ADOPT_EVERY_S: Final = 5.0
EARLY_SHARE: Final = 0.2
ADOPT_AT_ONCE: Final = 16
"""Directories taken over in one go: processes that live for one task leave many small ones."""


@dataclass(frozen=True)
class SenderStatus:
    """The sender's own description, without secrets; ages in seconds, None for never.

    ``direct``: batches are sent from memory, nothing waits. ``spool_bytes`` are all processes'.
    """

    destination: str
    direct: bool
    last_success_age_s: float | None
    last_error: str
    last_error_age_s: float | None
    backlog_items: int
    spool_bytes: int
    spool_error: str


class _ProcessEndsError(TransportError):
    """The worker wants its thread back; the batch is in the backlog."""


class OtlpSender:
    """A ``Sink``. All methods but ``spill``, ``hold`` and ``status`` run on the worker thread.

    ``encode`` turns items into an encoded export request and may be called on any thread.
    What processes that are gone have left on disk is looked for after ``adopt_first_s`` (None: some
    time within ``adopt_every_s``) and every ``adopt_every_s`` from then on.
    ``on_wait`` is set by the worker; when it returns True, a send that is waiting is given up (its
    batch is in the backlog by then), so that a process can end while the receiver hangs.
    """

    def __init__(
        self,
        settings: OtlpSettings,
        *,
        transport: Transport,
        spool: Spool,
        encode: Callable[[Sequence[Any]], bytes],
        drops: Drops,
        clock: Clock,
        rng: Random,
        signal: str = "traces",
        max_items: int = MAX_ITEMS,
        max_memory_bytes: int = MEMORY_BYTES,
        adopt_every_s: float = ADOPT_EVERY_S,
        adopt_first_s: float | None = None,
    ) -> None:
        self.on_wait: Callable[[], object] = _nothing
        self._timeout_s = settings.timeout_s
        self._receiver = Receiver(transport, clock, rng, settings.headers)
        self._backlog = Backlog(spool, clock, max_memory_bytes)
        self._batches = Batches(encode, drops, signal, max_items, self.count_items)
        self._drops = drops
        self._clock = clock
        self._rng = rng
        self._signal = signal
        self._max_items = max_items
        self._max_bytes = MAX_REQUEST_BYTES
        self._adopt_every_s = adopt_every_s
        self._adopt_first_s = adopt_first_s
        spool.on_lost = lambda count: drops.add(signal, "spool_error", count)
        self._reset()

    @staticmethod
    def count_items(batch: Sequence[Any]) -> int:
        """How many items a batch has, for the counts of what is lost."""
        return len(batch)

    def _reset(self) -> None:
        self.tally = Tally()
        self._fresh: deque[Chunk] = deque()  # of the batch that is being sent from memory
        self._kept: Waiting | None = None  # its first, once that is in the backlog too,
        self._not_kept = ""  # or why it isn't
        self._hand = threading.RLock()  # over these three
        self._sending = False
        self._holding = False
        self._closing = self._closed = False
        self._deadline_s: float | None = None  # of a flush, or of the end
        first_s = self._adopt_first_s
        if first_s is None:  # not all of a host's workers at the same moment
            first_s = self._rng.uniform(0.0, self._adopt_every_s)
        self._next_adoption_s = self._clock.monotonic_s() + first_s
        self._slow_start = SlowStart()

    # --- Sink

    def accept(self, batch: Sequence[Any]) -> None:
        """Send the batch, or keep it where sending must wait."""
        try:
            chunks = self._batches.chunks(batch, self._max_bytes)
            if self._sending or self._holding or not self._is_direct:
                self._keep(chunks)
            else:
                self._send_fresh(chunks)
        except Exception:
            guard.caught("sender.accept")

    def spill(self, batch: Sequence[Any]) -> None:
        """Keep the batch without any network: for a request's thread when the queue is full."""
        try:
            self._keep(self._batches.chunks(batch, self._max_bytes))
        except Exception:
            guard.caught("sender.spill")

    def hold(self) -> None:
        """Put the batch in flight on disk too, and until the next ``poll`` all that comes."""
        try:
            self._holding = True
            self._keep_fresh()
        except Exception:
            guard.caught("sender.hold")

    def poll(self, now_s: float) -> float | None:
        """Replay and adopt what is due; seconds until there is more to do."""
        try:
            return self._poll(now_s)
        except Exception:
            guard.caught("sender.poll")
            return 1.0

    def flush(self, deadline_s: float) -> bool:
        """Try once to send all that waits, whatever the back-off says; True if nothing is left."""
        try:
            self._deadline_s = deadline_s
            self._replay(deadline_s, at_once=True)
        except Exception:
            guard.caught("sender.flush")
        finally:
            self._deadline_s = None
        return self._backlog.is_empty

    def close(self, deadline_s: float) -> None:
        """Send what waits while the receiver answers, else leave it on disk at once."""
        self._closing = True
        self._deadline_s = deadline_s
        try:
            if not self._receiver.failing:
                self._replay(deadline_s)
        except Exception:
            guard.caught("sender.close")
        finally:
            self._closed = True
            self._drops.add(self._signal, "shutdown", self._backlog.close())
            self._receiver.transport.close()

    def after_fork(self) -> None:
        """In a forked child: connection, files and backlog are the parent's."""
        self._rng.seed()  # or all children would try again at the same moments
        self._receiver.after_fork()
        self._backlog.after_fork()
        self._reset()

    def status(self) -> SenderStatus:
        """How delivery goes; any thread may ask."""
        receiver, now_s = self._receiver, self._clock.monotonic_s()
        success_s, error_s = receiver.last_success_s, receiver.last_error_s
        return SenderStatus(
            destination=receiver.transport.destination,
            direct=self._is_direct,
            last_success_age_s=None if success_s is None else now_s - success_s,
            last_error=receiver.last_error,
            last_error_age_s=None if error_s is None else now_s - error_s,
            backlog_items=self._backlog.items,
            spool_bytes=self._backlog.spool.size_bytes,
            spool_error=self._backlog.failure,
        )

    @property
    def waiting_items(self) -> int:
        """How many were taken and are neither delivered nor lost; any thread may ask."""
        with self._hand:
            return self._backlog.items + sum(chunk.items for chunk in self._fresh)

    # --- keeping

    @property
    def _is_direct(self) -> bool:
        return self._backlog.is_empty and not self._receiver.wait_s and not self._closed

    def _keep(self, chunks: Sequence[Chunk]) -> None:
        """Put requests behind the others, or count them as dropped."""
        for chunk in chunks:
            if self._closed:
                self._drops.add(self._signal, "shutdown", chunk.items)
                continue
            try:
                self._backlog.put(chunk)
            except NotKeptError as error:
                self._drops.add(self._signal, error.cause, chunk.items)
                self._receiver.say(names.TELEMETRY_DROPPED, f"{error}; what comes now is lost")

    def _keep_fresh(self) -> None:
        """The batch in flight takes too long: put it into the backlog, the first one included."""
        with self._hand:
            if not self._fresh:
                return
            first = self._fresh.popleft()
            try:
                self._kept = self._backlog.put(first)
            except NotKeptError as error:
                self._not_kept = error.cause  # counted only if it isn't delivered after all
            self._keep_rest()

    def _keep_rest(self) -> None:
        with self._hand:
            rest = list(self._fresh)
            self._fresh.clear()
            self._keep(rest)

    # --- sending

    def _send_fresh(self, chunks: list[Chunk]) -> None:
        started_s = self._clock.monotonic_s()
        self._fresh.extend(chunks)
        try:
            for chunk in chunks:
                if self._clock.monotonic_s() - started_s > FIRST_SLICE_S or not self._fresh:
                    break
                settled = self._submit(chunk)
                with self._hand:
                    if not self._fresh:
                        self._finish_kept(chunk, settled=settled)
                    elif settled:
                        self._fresh.popleft()
                    else:
                        break
        finally:
            self._keep_rest()

    def _finish_kept(self, chunk: Chunk, *, settled: bool) -> None:
        """The answer to a request that went to the backlog meanwhile."""
        if settled and self._kept is not None:
            self._backlog.done([self._kept])
        elif not settled and self._not_kept:
            self._drops.add(self._signal, self._not_kept, chunk.items)
        self._kept, self._not_kept = None, ""

    def _poll(self, now_s: float) -> float | None:
        receiver, backlog, start = self._receiver, self._backlog, self._slow_start
        self._holding = False
        receiver.prepare()
        # Early where the thread is awake for something else: that spares it waking up for this.
        due_s = self._next_adoption_s - self._adopt_every_s * EARLY_SHARE
        if now_s >= due_s and not (receiver.wait_s or backlog.spool.has_adopted):
            full = backlog.spool.adopt_orphans(ADOPT_AT_ONCE) == ADOPT_AT_ONCE
            self._next_adoption_s = now_s + (0.0 if full else self._adopt_every_s)
        now_s = self._clock.monotonic_s()
        advanced = True
        if not (backlog.is_empty or receiver.wait_s or start.wait_s(now_s)):
            if receiver.away_s > OUTAGE_S:
                start.reset()
            advanced = self._replay(now_s + SLICE_S, start.take(now_s))
        now_s = self._clock.monotonic_s()
        if backlog.is_empty:
            start.reset()
            return max(self._next_adoption_s - now_s, 0.0)
        return max(receiver.wait_s, start.wait_s(now_s), 0.0 if advanced else STUCK_S)

    def _replay(self, until_s: float, items: float = math.inf, *, at_once: bool = False) -> bool:
        """Send from the head of the backlog until it is empty, a send fails, or ``until_s``.

        No more than ``items``, but one request at least. Returns whether the backlog became
        shorter.
        """
        advanced, left = False, items
        while (at_once or not self._receiver.wait_s) and self._clock.monotonic_s() < until_s:
            at_once = False
            most = int(min(left, self._max_items))
            waiting = self._backlog.head(most, min(MERGED_BYTES, self._max_bytes))
            if not waiting or not self._send_waiting(waiting):
                break
            advanced = True
            left -= sum(one.items for one in waiting)
            if left <= 0:
                break
        return advanced

    def _send_waiting(self, waiting: list[Waiting]) -> bool:
        """Send some of the backlog as one request; whether nothing more can be done for them."""
        if len(waiting) == 1:
            settled = self._submit(Chunk(waiting[0].body, waiting[0].items))
        else:
            verdict = self._post(b"".join([one.body for one in waiting]))
            if verdict.outcome in (Outcome.TOO_LARGE, Outcome.REJECTED):
                # One of them may be at fault: the others mustn't be lost with it.
                return all(self._send_waiting([one]) for one in waiting)
            self._account(verdict, sum(one.items for one in waiting))
            settled = verdict.settled
        if settled:
            self._backlog.done(waiting)
        return settled

    def _submit(self, chunk: Chunk) -> bool:
        """Send one request, halved as often as the receiver finds it too large.

        False when it must be sent again later (as a whole).
        """
        verdict = self._post(chunk.body)
        if verdict.outcome is Outcome.TOO_LARGE:
            half = len(chunk.body) // 2 + 1
            self._max_bytes = min(self._max_bytes, max(half, MIN_REQUEST_BYTES))
            halves = parts(chunk, half)
            if len(halves) > 1:
                return all(self._submit(one) for one in halves)
            verdict = Verdict(Outcome.REJECTED, verdict.message)
        self._account(verdict, chunk.items)
        return verdict.settled

    def _account(self, verdict: Verdict, items: int) -> None:
        lost = items if verdict.outcome is Outcome.REJECTED else verdict.rejected
        if verdict.outcome is Outcome.DELIVERED:
            self.tally.delivered += items - lost
        if lost:
            self._drops.add(self._signal, "rejected", lost)
        if lost or (verdict.outcome is Outcome.DELIVERED and verdict.message):
            text = f"{lost} items of {self._signal}: {verdict.message}"
            self._receiver.say(names.TELEMETRY_REJECTED, text)

    def _post(self, body: bytes) -> Verdict:
        started_s = self._clock.monotonic_s()
        deadline_s = started_s + self._timeout_s
        if self._deadline_s is not None:
            deadline_s = min(deadline_s, self._deadline_s)
        self._sending = True
        try:
            verdict = self._receiver.post(body, deadline_s, self._slice)
        finally:
            self._sending = False
        delivered = verdict.outcome is Outcome.DELIVERED
        self.tally.operations.append(
            (
                self._clock.monotonic_s() - started_s,
                None if delivered else verdict.outcome.name.lower(),
            )
        )
        return verdict

    def _slice(self) -> None:
        """The transport waits: nothing may stay in memory only."""
        self._keep_fresh()
        give_up: object = False
        try:
            give_up = self.on_wait()
        except Exception:
            guard.caught("sender.on_wait")
        if give_up is True and not self._closing:
            raise _ProcessEndsError("the process ends while the receiver doesn't answer")


def _nothing() -> None:
    return
