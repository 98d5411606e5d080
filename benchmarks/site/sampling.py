"""Which lines of this package the serving thread is on, by a timer, without tracing calls.

A tracing profiler charges each call and so makes small functions look expensive. Here a timer
interrupts the thread some thousand times a second and the stack is noted.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.contestants import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

INTERVAL_S = 0.0005
BURST = 100
_PACKAGE = str(ROOT / "otel_django") + "/"


class Samples:
    """Counts a line: with the line itself on top of the stack, or with what it called."""

    def __init__(self) -> None:
        self.total = 0
        self.own: Counter[str] = Counter()
        self.called: Counter[str] = Counter()
        self.functions: Counter[str] = Counter()

    def take(self, _signum: int, frame: FrameType | None) -> None:
        self.total += 1
        top = frame
        while frame is not None:
            if frame.f_code.co_filename.startswith(_PACKAGE):
                if frame is top:
                    self.own[_place(frame)] += 1
                    self.functions[_function(frame)] += 1
                else:
                    self.called[_place(frame)] += 1
                return
            frame = frame.f_back


def _place(frame: FrameType) -> str:
    name = Path(frame.f_code.co_filename).relative_to(ROOT)
    return f"{name}:{frame.f_lineno} {frame.f_code.co_name}"


def _function(frame: FrameType) -> str:
    name = Path(frame.f_code.co_filename).relative_to(ROOT)
    return f"{name}:{frame.f_code.co_firstlineno} {frame.f_code.co_name}"


def sampled(
    serve: Callable[[], None], flush: Callable[[], None], *, seconds: float
) -> dict[str, Any]:
    """Serve for ``seconds``; the timer is off while what was recorded is sent."""
    samples = Samples()
    requests = 0
    served_s = 0.0
    previous = signal.signal(signal.SIGALRM, samples.take)
    try:
        while served_s < seconds:
            signal.setitimer(signal.ITIMER_REAL, INTERVAL_S, INTERVAL_S)
            began = time.thread_time()
            for _ in range(BURST):
                serve()
            signal.setitimer(signal.ITIMER_REAL, 0)
            served_s += time.thread_time() - began
            requests += BURST
            flush()
    finally:
        signal.signal(signal.SIGALRM, previous)
    request_us = served_s / requests * 1e6
    return {
        "request_us": request_us,
        "samples": samples.total,
        "functions": _as_us(samples.functions, samples.total, request_us),
        "own": _as_us(samples.own, samples.total, request_us),
        "called": _as_us(samples.called, samples.total, request_us),
    }


def _as_us(counts: Counter[str], total: int, request_us: float) -> list[tuple[str, float]]:
    return [(place, count / (total or 1) * request_us) for place, count in counts.most_common(40)]
