"""A Celery app on the test site's Django; ``CELERY_*`` variables say where its broker is.

python -m celery -A tests.celery_site.app worker
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from celery import Celery
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from celery.utils.log import get_task_logger

from otel_django import counter, get_logger, span

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

QUEUE = "tests"
_worked = counter("tests.worked")


def make_app(broker: str, backend: str, folder: Path) -> Celery:
    """The app; ``folder`` is for brokers and back-ends in the file system."""
    app = Celery("tests.celery_site", broker=broker, backend=backend, set_as_current=False)
    app.conf.update(
        task_default_queue=QUEUE,
        broker_connection_retry_on_startup=True,
        worker_lost_wait=1.0,  # until a killed child is told of; ten seconds otherwise
        broker_transport_options={
            "data_folder_in": str(folder / "messages"),
            "data_folder_out": str(folder / "messages"),
            "control_folder": str(folder / "control"),
            "store_processed": True,
            "processed_folder": str(folder / "processed"),
            "polling_interval": 0.1,
        }
        if broker.startswith("filesystem")
        else {},
    )
    return app


app = make_app(
    os.environ["CELERY_BROKER"], os.environ["CELERY_BACKEND"], Path(os.environ["CELERY_FOLDER"])
)


@app.task
def work(number: int = 0) -> int:
    """Does one thing, and counts it."""
    _worked.add(1)
    with span("step"):
        return number


@app.task
def tells(secret: str) -> str:
    """Logs in three ways; returns what nobody may see."""
    get_task_logger(__name__).debug("details of the task")
    get_task_logger(__name__).info("told by the task's logger")
    logging.getLogger("shop").warning("told by the task, token=%s", secret)
    get_logger("shop").warning("told by structlog", password=secret)
    return secret


@app.task
def linger(seconds: float, mark: str = "") -> None:
    """Does one thing, says so in a file, and takes its time."""
    with span("step"):
        pass
    if mark:
        Path(mark).touch()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.05)


@app.task(acks_late=True, reject_on_worker_lost=True)
def linger_acked_late(seconds: float, mark: str) -> None:
    """The same, acknowledged at its end; the second time it ends at once."""
    again = Path(mark).exists()
    linger(0.0 if again else seconds, mark)


@app.task(soft_time_limit=1)
def soft_limited() -> str:
    """Cleans up when its time is over."""
    with span("step"):
        pass
    try:
        time.sleep(20)
    except SoftTimeLimitExceeded:
        with span("clean up"):
            return "cleaned up"
    return "not in time"


@app.task(time_limit=1)
def hard_limited() -> None:
    """Is killed when its time is over."""
    with span("step"):
        pass
    with span("wait"):
        time.sleep(20)


@app.task(bind=True, max_retries=2, default_retry_delay=0)
def retried(self: Any) -> str:
    """Succeeds the third time."""
    with span("step"):
        pass
    if self.request.retries < 2:
        raise self.retry(exc=ConnectionError("not yet"))
    return "done"


@app.task
def rejected() -> None:
    """Doesn't want its message."""
    with span("step"):
        raise Reject("no", requeue=False)


@app.task
def ignored() -> None:
    """Has no result."""
    with span("step"):
        pass
    raise Ignore


@app.task
def failing() -> None:
    """Fails."""
    with span("step"):
        pass
    raise ValueError("no such order")


@app.task
def exiting() -> None:
    """Calls ``sys.exit``."""
    with span("step"):
        pass
    sys.exit(3)


@app.task
def killed(number: int = signal.SIGKILL) -> None:
    """Kills its process; what was recorded a second earlier must be there."""
    with span("step"):
        pass
    time.sleep(1.5)
    os.kill(os.getpid(), number)
    time.sleep(20)
