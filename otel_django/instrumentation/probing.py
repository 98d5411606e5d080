"""How much processor time telemetry takes on the site's own threads, by looking now and then.

While it looks, what instrumentations call for themselves alone is timed on the thread that calls
it. Only values of modules and attributes of objects are replaced meanwhile: replacing methods of
classes would cost the interpreter its caches.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from time import process_time_ns, thread_time_ns
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from otel_django.tracing.provider import TracerProvider

_OURS: Final = "otel_django.instrumentation."
_MOST_CALLS: Final = 100_000
"""While the thread that looks waits for the network, it may be long until it closes."""
_FUNCTIONS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("http_server", ("begin",)),
    ("http_server_asgi", ("_begin",)),
    ("database", ("_executed",)),
    ("database_fetch", ("end_fetching",)),
)
_CLASSES: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("http_request", "ServedRequest", ("answered", "raised", "close")),
    ("cache", "_Running", ("__init__", "end", "fail")),
    ("detail", "_Inside", ("__enter__", "__exit__")),
)
_OBJECTS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("database", "_recorder", ("begin_alike", "begin", "end", "fail")),
    ("database", "_recorder.metrics", ("ran",)),
    ("celery_execution", "_executions", ("begin", "end")),
    ("celery_publish", "_publishing", ("begin", "describe", "end")),
)
_OF_TRACER: Final = ("start_span", "begin", "begin_alike", "begin_local_root", "emit")
_OF_JOURNAL: Final = ("write", "tell", "emit", "hand_on")


class Probe:
    """``spent_s`` is what telemetry took while it was looked at, of ``looked_at_s`` in all.

    Not for threads that share one of the system's, as gevent's do.
    """

    def __init__(self, provider: TracerProvider, journal: Callable[[], Any]) -> None:
        self._provider = provider
        self._journal = journal
        self._timed_classes: dict[str, type] = {}
        self._replaced: list[tuple[Any, str, Any, bool]] = []
        self._spent_ns: deque[int] = deque(maxlen=_MOST_CALLS)
        self._on = threading.local()
        self._began_ns = 0
        self.spent_s = 0.0
        self.looked_at_s = 0.0

    def open(self) -> None:
        """Look from now on; on the thread that sends, whose own time is known anyway."""
        self._on.timed = True  # what this thread calls isn't looked at
        for owner, name, replacement in self._seams():
            self._replaced.append((owner, name, vars(owner).get(name), name in vars(owner)))
            setattr(owner, name, replacement)
        self._began_ns = process_time_ns() - thread_time_ns()

    def close(self) -> None:
        """Look no longer, and add up. On the thread that has opened it."""
        passed_ns = process_time_ns() - thread_time_ns() - self._began_ns
        self.put_back()
        self.looked_at_s += passed_ns / 1e9
        spent = self._spent_ns
        self.spent_s += sum([spent.popleft() for _ in range(len(spent))]) / 1e9

    def put_back(self) -> None:
        """Leave everything as it was."""
        while self._replaced:
            owner, name, original, was_own = self._replaced.pop()
            if was_own:
                setattr(owner, name, original)
            else:
                delattr(owner, name)

    def after_fork(self) -> None:
        """In a forked child: what was looked at is the parent's."""
        self.put_back()
        self._on = threading.local()
        self._timed_classes = {}
        self._spent_ns.clear()
        self.spent_s = self.looked_at_s = 0.0

    def _seams(self) -> Iterator[tuple[Any, str, Any]]:
        for module_name, functions in _FUNCTIONS:
            module = sys.modules.get(_OURS + module_name)
            if module is not None:
                for name in functions:
                    yield module, name, self._timed(getattr(module, name))
        for module_name, class_name, methods in _CLASSES:
            module = sys.modules.get(_OURS + module_name)
            if module is not None:
                yield module, class_name, self._timed_class(getattr(module, class_name), methods)
        for module_name, object_name, methods in _OBJECTS:
            owner: Any = sys.modules.get(_OURS + module_name)
            for name in object_name.split("."):
                owner = getattr(owner, name, None)
            yield from self._of_object(owner, methods)
        yield from self._of_object(self._journal(), _OF_JOURNAL)
        for tracer in list(self._provider._tracers.values()):
            yield from self._of_object(tracer, _OF_TRACER)

    def _of_object(self, owner: Any, methods: tuple[str, ...]) -> Iterator[tuple[Any, str, Any]]:
        if owner is not None:
            for name in methods:
                yield owner, name, self._timed(getattr(owner, name))

    def _timed_class(self, cls: type, methods: tuple[str, ...]) -> type:
        known = self._timed_classes.get(cls.__name__)
        if known is None:
            own: dict[str, Any] = {name: self._timed(getattr(cls, name)) for name in methods}
            own["__slots__"] = ()
            known = self._timed_classes[cls.__name__] = type(cls.__name__, (cls,), own)
        return known

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        on = self._on
        add = self._spent_ns.append

        def timed(*args: Any, **kwargs: Any) -> Any:
            if getattr(on, "timed", False):
                return function(*args, **kwargs)
            on.timed = True
            start_ns = thread_time_ns()
            try:
                return function(*args, **kwargs)
            finally:
                add(thread_time_ns() - start_ns)
                on.timed = False

        return timed
