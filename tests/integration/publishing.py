"""What a site's own process publishes: ``python -m tests.integration.publishing NAME``.

Each case is a trace of its own, below a span with the case's name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import django
from celery import chain, chord, group

from tests.integration.jobs import (
    add,
    app,
    ask_redis,
    fail,
    headers,
    ignore,
    nested,
    query,
    reject,
    retry,
    too_long,
    total,
)


@contextmanager
def case(name: str) -> Iterator[None]:
    from opentelemetry import trace

    with trace.get_tracer("tests").start_as_current_span(f"case {name}"):
        yield


def outcomes() -> None:
    """Every way a task can go."""
    cases: dict[str, Callable[[], Any]] = {
        "success": lambda: add.delay(1, 2),
        "failure": fail.delay,
        "retry": retry.delay,
        "chain": chain(add.s(1, 2), add.s(3), query.s()).delay,
        "group": group(add.s(number, 1) for number in range(3)).delay,
        "chord": chord([add.s(1, 2), add.s(3, 4)], total.s()).delay,
        "nested": nested.delay,
        "reject": reject.delay,
        "ignore": ignore.delay,
    }
    for name, publish in cases.items():
        with case(name):
            publish()


def success() -> None:
    with case("success"):
        add.delay(1, 2)


def later() -> None:
    with case("later"):
        add.apply_async((1, 2), countdown=2)


def soft_limit() -> None:
    with case("soft limit"):
        too_long.delay()


def routes() -> None:
    """Every option that says where and when."""
    with case("plain"):
        add.delay(1, 2)
    with case("queue"):
        add.apply_async((1, 2), queue="urgent", priority=5)
    with case("topic"):
        declared: dict[str, Any] = {"declare": [app.amqp.queues["reports"]]}
        add.apply_async((1, 2), exchange="reports", routing_key="report.daily", **declared)
    with case("topic by queue"):
        add.apply_async((1, 2), queue="reports")
    with case("countdown"):
        add.apply_async((1, 2), countdown=1, expires=60)
    with case("eta"):
        add.apply_async((1, 2), eta=datetime.now(timezone.utc) + timedelta(seconds=1))
    with case("headers"):
        headers.apply_async(headers={"tenant": "shop"})


def own_redis() -> None:
    with case("own redis"):
        ask_redis.delay()


def many(count: str) -> None:
    """So many tasks that make a query, each published outside of any span."""
    with app.producer_pool.acquire() as producer:
        for _ in range(int(count)):
            query.apply_async(producer=producer)


if __name__ == "__main__":
    django.setup()
    globals()[sys.argv[1]](*sys.argv[2:])
