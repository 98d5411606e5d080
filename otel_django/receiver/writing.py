"""From decoded requests to the store: one at a time, and the store's housekeeping between them."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from otel_django import guard, own_thread
from otel_django.pipeline.drops import Drops
from otel_django.receiver.answers import Refused
from otel_django.receiver.decoding_deltas import DeltaSums
from otel_django.store.repeats import without_repeats
from otel_django.store.sinks import sinks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from otel_django.conf import Settings
    from otel_django.receiver.decoded import Decoded

ITEMS_AT_ONCE: Final = 2_048
_IDLE_S: Final = 1.0
_FLUSH_S: Final = 1.0
_AWAY: Final = "The store can't be written just now."


class Writing:
    """Owns the store's sinks, and the thread that looks after it.

    Raises:
        Refused: (all methods that write) come again.
    """

    def __init__(self, path: Path, settings: Settings, waiting_s: float) -> None:
        self._drops = Drops()
        self._sinks = {
            signal: made[0]
            for signal, made in sinks(path, settings, self._drops, lambda: time.sleep(0)).items()
        }
        self._deltas = DeltaSums()
        self._waiting_s = waiting_s
        self._turn = threading.Lock()
        self._ended = threading.Event()

    def start(self) -> None:
        """Look after the store from now on."""
        own_thread.start(self._keep_house, "otel_django-store")

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Around all that takes the processor and memory for one request's body."""
        if not self._turn.acquire(timeout=self._waiting_s):
            raise Refused(503, "Too much is being received at once.", Retry_After="5")
        try:
            if self._ended.is_set():
                raise Refused(503, "The receiver is being stopped.", Retry_After="5")
            yield
        finally:
            self._turn.release()

    def write(self, decoded: Decoded) -> int:
        """Inside of a ``turn``: when it returns, all is in the store but as many as it returns.

        Spans that are there already are left out: a sender repeats what it got no answer to.

        Where others lock the file meanwhile, some of it waits in memory.
        """
        lost = sum(self._drops.snapshot().values())
        for signal, items in (("traces", decoded.spans), ("logs", decoded.records)):
            for begin in range(0, len(items), ITEMS_AT_ONCE):
                sink, batch = self._ready(signal), items[begin : begin + ITEMS_AT_ONCE]
                sink.accept(without_repeats(sink.file, batch) if signal == "traces" else batch)
        if decoded.points:
            self._write_points(decoded.points)
        for sink in self._sinks.values():
            sink.flush(time.monotonic() + _FLUSH_S)
        return sum(self._drops.snapshot().values()) - lost

    def _write_points(self, points: Sequence[Any]) -> None:
        self._ready("metrics").take(self._deltas.cumulative(points))

    def _ready(self, signal: str) -> Any:
        """Its sink, where nothing waits in it: whoever sends keeps what can't be written."""
        sink = self._sinks[signal]
        if sink.file.problem is not None or not sink.flush(time.monotonic()):
            raise Refused(503, _AWAY, Retry_After="5")
        return sink

    def close(self, timeout_s: float) -> None:
        """Write what waits, and let go of the file."""
        self._ended.set()
        deadline_s = time.monotonic() + timeout_s
        if self._turn.acquire(timeout=timeout_s):
            for sink in self._sinks.values():
                with guard.guarded("receiver.close"):
                    sink.close(deadline_s)
            self._drops.report(float("inf"))

    # --- on its thread

    def _keep_house(self) -> None:
        wait_s = _IDLE_S
        while not self._ended.wait(wait_s):
            with self._turn:
                if not self._ended.is_set():
                    with guard.guarded("receiver.store"):
                        wait_s = self._poll()

    def _poll(self) -> float:
        now_s = time.monotonic()
        self._drops.report(now_s)
        wishes = [sink.poll(now_s) for sink in self._sinks.values()]
        return max(min((wish for wish in wishes if wish is not None), default=_IDLE_S), 0.01)
