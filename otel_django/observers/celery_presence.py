"""What a worker's main process tells of itself: that it is there, what it has in hand.

Celery's heartbeats say that the loop which takes messages goes round; this thread goes on even
where that is stuck. Nobody asks a worker anything, so none is woken. One that shuts down takes back
what it told before it waits for its tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from time import time
from typing import TYPE_CHECKING, Any, Final, Literal

from otel_django import guard, names
from otel_django import metric_definitions as metrics
from otel_django.instrumentation.celery_message import SENT_AT, custom_headers
from otel_django.instrumentation.on_import import when_imported
from otel_django.observation import Observation
from otel_django.observers import celery_app

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.tracing.tracer import Tracer

PREFIX: Final = "celery.worker/"
HEARTBEAT_AGE: Final = "heartbeat_age"
BUSY: Final = "busy"
"""For how many seconds all of the worker's pool has been taken without a task coming to its end."""
QUEUE: Final = "queue"
"""What other processes read of a worker and isn't shown as a metric."""
LONGEST_S: Final = 10.0
LONGEST_NAME: Final = 180
_UID: Final = "otel_django-presence"


class CeleryPresence:
    """An instrumentation, which listens to a worker, and the observer that tells what it heard.

    ``heard`` is called at the first heartbeat, ``leaving`` when the worker begins to shut down.
    """

    scope: Literal["process"] = "process"

    def __init__(
        self,
        interval_s: float,
        timeout_s: float,
        *,
        heard: Callable[[], object],
        leaving: Callable[[], object],
    ) -> None:
        self.interval_s = min(interval_s, LONGEST_S)
        self.timeout_s = timeout_s
        self._heard = heard
        self._leave = leaving
        self._undo: list[Callable[[], object]] = []
        self._worker = ""
        self._consumer: Any = None
        self._leaves = False
        self._heard_s = 0.0
        self._idle_since_s: float | None = None
        self._response_s: float | None = None

    @property
    def name(self) -> str:
        """The worker's node name, among those of others."""
        return PREFIX + self._worker

    # --- listening, on the worker's main thread

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Listen once Celery is imported; a second call changes nothing."""
        if not self._undo:
            self._undo.append(when_imported("celery.signals", self._listen))

    def uninstall(self) -> None:
        """Hear nothing more."""
        while self._undo:
            self._undo.pop()()

    def _listen(self) -> None:
        """Before a worker starts: it sends no heartbeats of which nobody wants to hear."""
        from celery import signals

        for signal, receiver in (
            (signals.heartbeat_sent, self._heartbeat),
            (signals.worker_ready, self._ready),
            (signals.worker_shutting_down, self._shutting_down),
        ):
            signal.connect(receiver, weak=False, dispatch_uid=_UID)
            self._undo.append(partial(signal.disconnect, dispatch_uid=_UID))
        self._undo.append(lambda: signals.task_received.disconnect(dispatch_uid=_UID))

    def _ready(self, sender: Any = None, **_: Any) -> None:
        self._consumer, self._leaves = sender, False

    def _shutting_down(self, **_: Any) -> None:
        """In the signal's handler."""
        with guard.guarded("celery.leaving"):
            self._leaves = True
            self._leave()

    def _heartbeat(self, sender: Any = None, **_: Any) -> None:
        with guard.guarded("celery.heartbeat"):
            first = not self._worker
            self._worker = str(sender.eventer.hostname)[:LONGEST_NAME]
            self._heard_s = time()
            self._look_whether_idle()
            if first:
                self._heard()

    def _look_whether_idle(self) -> None:
        """Only an idle worker listens for tasks, so that a busy one pays nothing."""
        from celery.signals import task_received
        from celery.worker import state

        if state.active_requests or state.reserved_requests:
            self._idle_since_s = None
        elif self._idle_since_s is None:
            self._idle_since_s = time()
            task_received.connect(self._received, weak=False, dispatch_uid=_UID)

    def _received(self, request: Any = None, **_: Any) -> None:
        """The first task after a time with nothing to do: it had to wait for nobody."""
        from celery.signals import task_received

        with guard.guarded("celery.response_time"):
            now_s, idle_since_s = time(), self._idle_since_s
            self._idle_since_s = None
            task_received.disconnect(dispatch_uid=_UID)
            sent_s = custom_headers(request.request_dict).get(SENT_AT)
            if idle_since_s is None or not isinstance(sent_s, int | float) or request.eta:
                return
            if sent_s >= idle_since_s:
                self._response_s = max(0.0, now_s - sent_s)

    # --- telling, on the observers' thread

    def is_possible(self) -> bool:
        """This is a worker's main process that sends heartbeats and doesn't shut down."""
        return bool(self._worker) and not self._is_leaving() and celery_app.current() is not None

    def _is_leaving(self) -> bool:
        """Whoever told it to: a signal, a remote command."""
        if self._leaves or self._consumer is None:
            return self._leaves
        return bool(self._consumer.controller.blueprint.human_state() != "running")

    def observe(self) -> Iterator[Observation]:
        """What the worker has in hand, and for the others when it was heard of."""
        from celery.worker import state

        running = _running()
        yield Observation(BUSY, self._busy_s(running))
        yield Observation(HEARTBEAT_AGE, self._heartbeat_age_s(running))
        for queue in _queues_taken_from():
            yield Observation(QUEUE, 1, {QUEUE: queue})
        worker = {names.CELERY_WORKER: self._worker}
        active, reserved = len(running), len(state.reserved_requests)
        counts = {"active": active, "reserved": max(0, reserved - active)}
        scheduled = getattr(state, "scheduled_requests", None)
        if scheduled is not None:  # not in Celery before 5.7
            counts["scheduled"] = len(scheduled)
        for what, count in counts.items():
            attributes = {**worker, names.CELERY_WORKER_TASK_STATE: what}
            yield Observation(metrics.CELERY_WORKER_TASKS.name, count, attributes)
        if self._response_s is not None:
            yield Observation(metrics.CELERY_WORKER_RESPONSE_TIME.name, self._response_s, worker)

    def _heartbeat_age_s(self, running: list[Any]) -> float:
        """0 while a task runs in the loop's own thread, where heartbeats wait for its end."""
        from celery.concurrency import solo

        if running and isinstance(self._pool(), solo.TaskPool):
            return 0.0
        return max(0.0, time() - self._heard_s)

    def _busy_s(self, running: list[Any]) -> float:
        """While no process of the pool is free, a task begins only where one has ended."""
        pool = self._pool()
        if pool is None or not running or len(running) < pool.num_processes:
            return 0.0
        return max(0.0, time() - max(request.time_start or 0.0 for request in running))

    def _pool(self) -> Any:
        return None if self._consumer is None else self._consumer.controller.pool


def _running() -> list[Any]:
    """The requests that are being executed; the loop may change the set meanwhile."""
    from celery.worker import state

    active: Any = state.active_requests
    references = tuple(active.data)
    return [request for reference in references if (request := reference()) is not None]


def _queues_taken_from() -> list[str]:
    app = celery_app.current()
    taken = {} if app is None else app.amqp.queues.consume_from
    return [str(queue.name) for queue in list(taken.values())]
