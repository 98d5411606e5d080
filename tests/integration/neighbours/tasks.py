"""The site's Celery and its tasks."""

from __future__ import annotations

import os

import redis
from celery import Celery, chord

app = Celery("neighbours")
app.config_from_object("django.conf:settings", namespace="CELERY")


@app.task(name="remember")
def remember(key: str) -> bool:
    """One command of the site's own."""
    return bool(redis.Redis.from_url(os.environ["TESTS_REDIS"]).set(key, 1))


@app.task(name="count")
def count(values: list[bool]) -> int:
    return len(values)


def remember_all(keys: list[str]) -> int:
    """A chord: the result store counts how many of its tasks are done."""
    done = chord([remember.s(key) for key in keys])(count.s())
    return int(done.get(timeout=30))
