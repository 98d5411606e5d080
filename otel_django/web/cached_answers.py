"""Answers that are kept for a while, and dropping them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, Generic, TypedDict, TypeVar
from weakref import WeakSet

from otel_django.clock import SYSTEM_CLOCK
from otel_django.health import active
from otel_django.health.report_json import timestamp
from otel_django.web.json_endpoint import Asked, class_of, json_view, post

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_django.clock import Clock

Key = TypeVar("Key")
Made = TypeVar("Made")
MOST: Final = 16
STALE_S: Final = 30.0
"""Up to that age an answer is better than waiting for the next one."""
WAIT_S: Final = 5.0
"""Who waits longer for another's making makes it himself."""
_all: WeakSet[KeptAWhile[Any, Any]] = WeakSet()


class KeptAWhile(Generic[Key, Made]):
    """What takes long to make is made once for all who ask for it within ``kept_s``.

    While it is made anew, others get what was made before, if that isn't older than ``STALE_S``.
    Of more than ``MOST`` keys the one made longest ago goes.
    """

    def __init__(self, clock: Clock, kept_s: float) -> None:
        self._clock = clock
        self._kept_s = kept_s
        self._known: dict[Key, tuple[float, Made]] = {}
        self._locks: dict[Key, threading.Lock] = {}
        _all.add(self)

    def get(self, key: Key, make: Callable[[], Made]) -> Made:
        """What is known, or what ``make`` gives; its errors are the caller's."""
        found = self._fresh(key, self._kept_s)
        if found is not None:
            return found[0]
        making = self._locks.setdefault(key, threading.Lock())
        is_ours = making.acquire(blocking=False)
        if not is_ours:
            found = self._fresh(key, STALE_S)
            if found is not None:
                return found[0]
            is_ours = making.acquire(timeout=WAIT_S)
        try:
            found = self._fresh(key, self._kept_s)
            if found is not None:
                return found[0]
            return self._keep(key, make())
        finally:
            if is_ours:
                making.release()

    def forget(self) -> None:
        """All of it."""
        self._known.clear()

    def _fresh(self, key: Key, within_s: float) -> tuple[Made] | None:
        found = self._known.get(key)
        if found is None or self._clock.monotonic_s() - found[0] > within_s:
            return None
        return (found[1],)

    def _keep(self, key: Key, made: Made) -> Made:
        self._known.pop(key, None)
        self._known[key] = (self._clock.monotonic_s(), made)
        while len(self._known) > MOST:
            oldest = next(iter(self._known), None)
            if oldest is not None:
                self._known.pop(oldest, None)
                self._locks.pop(oldest, None)
        return made


class Cleared(TypedDict):
    """What was dropped."""

    timestamp: str
    cleared: list[str]


@post()
def _clear(asked: Asked) -> Cleared:
    """Drop what the health checks of this host found and what this process's dashboard shows, so
    that the next look asks again.
    """
    active.engine().forget()
    for each in _all:
        each.forget()
    return {"timestamp": timestamp(SYSTEM_CLOCK.now_ns()), "cleared": ["health", "dashboard"]}


clear_monitoring_cache = json_view("clear_monitoring_cache", _clear)
ClearMonitoringCacheView = class_of(clear_monitoring_cache)
