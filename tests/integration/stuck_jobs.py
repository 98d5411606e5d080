"""The app of ``jobs`` with tasks that take long, and one that stops its worker's loop."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from celery.signals import task_received

from tests.integration.jobs import app

app.conf.beat_schedule = json.loads(os.environ.get("TESTS_SCHEDULE", "{}"))


@app.task
def linger(seconds: float) -> None:
    """Says so, and takes its time."""
    print("lingering")
    time.sleep(seconds)


@app.task
def stop_loop() -> None:
    """Its receipt is what takes long."""


@task_received.connect
def receive(request: Any = None, **_: Any) -> None:
    """In the worker's main process."""
    if request.name.endswith("stop_loop"):
        time.sleep(12)
