"""A Celery task that does next to nothing, published and run in this process.

The broker is kombu's in-memory one, so that what is measured is serialising, routing and Celery's
own bookkeeping; a run is what a worker does with a message: its main process makes the request of
it and announces it, the pool's process decodes and runs it.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.app.trace import trace_task_ret
from celery.concurrency.prefork import TaskPool
from celery.signals import task_received
from celery.worker.request import Request
from kombu.utils.uuid import uuid

app = Celery("bench", broker="memory://")
app.conf.update(task_ignore_result=True, task_default_queue="bench", result_backend=None)


@app.task(name="bench.nothing")
def nothing(number: int, text: str) -> int:
    return number


def publish() -> None:
    nothing.delay(7, "a text of a usual length")


def published(count: int) -> list[Any]:
    """As many messages as a worker would have read them."""
    for _ in range(count):
        publish()
    return taken()


def taken() -> list[Any]:
    """All messages that wait; the queue is empty then."""
    messages: list[Any] = []
    with app.connection_for_read() as connection, connection.SimpleQueue("bench") as queue:
        while queue.qsize():
            message = queue.get_nowait()
            message.ack()
            messages.append(message)
    return messages


class _NoProcesses:
    """The interface of billiard's pool, as far as starting asks for it."""

    apply_async = maintain_pool = terminate_job = grow = shrink = None

    def __init__(self, **_: object) -> None:
        pass


class _Pool(TaskPool):
    """The worker's main process believes that children run the tasks."""

    Pool = BlockingPool = _NoProcesses  # type: ignore[assignment]


_Pool(1, app=app).on_start()
HOSTNAME = f"bench@{uuid()}"


def run(message: Any) -> None:
    request = Request(message, app=app, hostname=HOSTNAME, task=nothing)
    task_received.send(sender=_Pool, request=request)
    trace_task_ret(
        request.type,
        request.id,
        request.request_dict,
        request.body,
        request.content_type,
        request.content_encoding,
        app=app,
    )
