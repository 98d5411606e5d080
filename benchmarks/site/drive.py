"""Drives the site's WSGI handler in this process, as told on standard input.

One JSON object a line in, one out: ``{"do": "run", "page": "trivial", "requests": 400}`` answers
with the processor time of the burst, sending included, of which ``main_cpu_s`` was spent on the
thread that serves.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.contestants import TASK_PAGES
from benchmarks.site.observers import Observer, current
from benchmarks.site.wsgi_call import Application, environ_for, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

SETTLE_S = 0.01
"""After a flush, for what the sending thread still does once the answer is there."""
AFTER_PATCHING = 60
"""Requests until the interpreter's caches fit again."""


class Driver:
    """The commands."""

    def __init__(self, application: Application, observer: Observer) -> None:
        self._application = application
        self._observer = observer

    def pair(self, page: str, requests: int) -> dict[str, Any]:
        """A burst, and one with the observer taken off the site where that can be.

        Then there are two of each, off, on, on, off: what drifts meanwhile cancels out.

        What was there before is left out of garbage collection: to look through all of Django once
        takes as long as some hundred requests, and would hit a burst of one contestant by chance.
        """
        gc.collect()
        gc.freeze()
        if not self._observer.can_pause():
            return {"off": None, "on": self.run(page, requests), "requests": requests}
        self._observer.pause()
        self.run(page, AFTER_PATCHING)
        off = self.run(page, requests)
        self._observer.resume()
        self.run(page, AFTER_PATCHING)
        on = _mean(self.run(page, requests), self.run(page, requests))
        self._observer.pause()
        self.run(page, AFTER_PATCHING)
        off = _mean(off, self.run(page, requests))
        self._observer.resume()
        return {"off": off, "on": on, "requests": AFTER_PATCHING + 2 * requests}

    def run(self, page: str, requests: int) -> dict[str, Any]:
        """A burst: served, then flushed."""
        work = self._work(page, requests)
        latencies: list[int] = []
        clock = time.perf_counter_ns
        main, process = time.thread_time(), time.process_time()
        with _within_request() if page == "publish" else contextlib.nullcontext():
            for act in work:
                began = clock()
                act()
                latencies.append(clock() - began)
        served = time.thread_time()
        self._observer.flush()
        time.sleep(SETTLE_S)
        spent = time.process_time() - process
        latencies.sort()
        return {
            "cpu_s": spent,
            "main_cpu_s": served - main,
            "p50_s": latencies[len(latencies) // 2] / 1e9,
            "p99_s": latencies[len(latencies) * 99 // 100] / 1e9,
        }

    def sample(self, page: str, seconds: float) -> dict[str, Any]:
        """Which lines are on the stack while the page is served."""
        from benchmarks.site.sampling import sampled

        (act,) = self._work(page, 1)
        return sampled(act, self._observer.flush, seconds=seconds)

    def _work(self, page: str, count: int) -> Sequence[Callable[[], None]]:
        """What is to be done ``count`` times; what that needs first is done and sent."""
        if page in TASK_PAGES:
            from benchmarks.site import tasks

            tasks.taken()
            if page == "publish":
                return [tasks.publish] * count
            work = [functools.partial(tasks.run, message) for message in tasks.published(count)]
            self._observer.flush()
            time.sleep(SETTLE_S)
            return work
        if page == "record":
            return [functools.partial(serve, self._application, environ_for(f"/record/{count}/"))]
        return [functools.partial(serve, self._application, environ_for(f"/{page}/"))] * count

    def memory(self) -> dict[str, Any]:
        return {"rss_bytes": _memory_bytes("Rss"), "pss_bytes": _memory_bytes("Pss")}

    def finish(self) -> dict[str, Any]:
        self._observer.finish()
        return {"seen": self._observer.seen()}


def _within_request() -> AbstractContextManager[object]:
    """A span around the burst, for tasks are mostly published by requests and other tasks."""
    try:
        from opentelemetry import trace
    except ImportError:
        return contextlib.nullcontext()
    return trace.get_tracer("benchmark").start_as_current_span("request")


def _mean(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    return {name: (value + other[name]) / 2 for name, value in one.items()}


def _memory_bytes(kind: str) -> int:
    rollup = Path("/proc/self/smaps_rollup")
    if not rollup.exists():
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    for line in rollup.read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(kind)


def main() -> None:
    # Whatever the contestant prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.site.settings")
    from benchmarks.site.wsgi import application

    driver = Driver(application, current())
    answers.write('{"ready": true}\n')
    for line in sys.stdin:
        command = json.loads(line)
        answer: Callable[..., dict[str, Any]] = getattr(driver, command.pop("do"))
        answers.write(json.dumps(answer(**command)) + "\n")


if __name__ == "__main__":
    main()
