"""A Celery app with a task for every way a task can go; ``TESTS_CELERY`` is its configuration."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from celery import Celery
from celery.exceptions import Ignore, Reject
from celery.signals import worker_ready
from kombu import Exchange, Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

app = Celery("jobs", set_as_current=True)
app.conf.update(
    task_default_queue="jobs",
    task_queues=[
        Queue("jobs"),
        Queue("urgent", max_priority=9),
        Queue("reports", Exchange("reports", type="topic"), routing_key="report.#"),
    ],
    result_expires=600,
    worker_enable_remote_control=False,
    **json.loads(os.environ.get("TESTS_CELERY", "{}")),
)


@worker_ready.connect
def say_so(**_: Any) -> None:
    """For those who wait, whatever the log's level."""
    print("The worker is ready.")


@app.task
def add(a: int, b: int) -> int:
    return a + b


@app.task
def total(values: list[int]) -> int:
    return sum(values)


@app.task
def query(*_: Any) -> int:
    """One statement."""
    from tests.site.models import Author

    count: int = Author.objects.count()
    return count


@app.task
def ask_redis() -> None:
    """A command of the site's own to the server that is also the broker."""
    import redis

    with redis.Redis.from_url(app.conf.broker_url) as client:
        client.get("prices")


@app.task
def fail() -> None:
    raise ValueError("no such order")


@app.task(bind=True, max_retries=1, default_retry_delay=0)
def retry(self: Any) -> str:
    """Succeeds the second time."""
    if self.request.retries:
        return "done"
    raise self.retry(exc=ConnectionError("gateway away"))


@app.task
def nested() -> None:
    """A statement, then a task, then a statement."""
    query.run()
    query.delay()
    query.run()


@app.task
def reject() -> None:
    raise Reject("not mine", requeue=False)


@app.task
def ignore() -> None:
    raise Ignore


@app.task(soft_time_limit=1)
def too_long() -> None:
    """Longer than its soft limit, where the pool has one."""
    time.sleep(3)


@app.task(bind=True)
def headers(self: Any) -> dict[str, Any]:
    """The headers this run's message came with."""
    return dict(self.request.headers or {})
