"""Tasks that handle secrets clumsily, and messages that nobody can read."""

from __future__ import annotations

from typing import Any

from celery import chain
from celery.exceptions import Reject, Retry

from tests.integration.jobs import app


@app.task
def give_back(*args: Any, **kwargs: Any) -> Any:
    """Its arguments as its result."""
    return {"args": args, "kwargs": kwargs}


@app.task
def refuse(secret: str) -> None:
    try:
        raise KeyError(f"Authorization: Bearer {secret}")
    except KeyError as exc:
        raise RuntimeError(f"password={secret} token: '{secret}'") from exc


@app.task
def quote_a_url(secret: str) -> None:
    raise ConnectionError(f"https://user:{secret}@example.com/x?key={secret} refused")


@app.task
def quote_a_row(secret: str) -> None:
    from django.db import IntegrityError

    raise IntegrityError(f"Key (email)=({secret}) already exists.")


@app.task
def run_a_statement(secret: str) -> None:
    from django.db import connection

    from tests.site.models import Author

    list(Author.objects.filter(name=secret))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT '{secret}' FROM no_such_table")


@app.task(bind=True, max_retries=1, default_retry_delay=0)
def retry_for_a_row(self: Any, secret: str) -> None:
    from django.db import IntegrityError

    raise self.retry(exc=IntegrityError(f"Key (email)=({secret}) already exists."))


@app.task(bind=True, max_retries=1, default_retry_delay=0)
def retry_with_a_reason(self: Any, secret: str) -> None:
    if self.request.retries:
        return
    raise Retry(f"refused with api_key={secret}")


@app.task
def reject(secret: str) -> None:
    raise Reject(f"not mine, token={secret}", requeue=False)


class Unpicklable(Exception):
    def __init__(self, secret: str, reason: str) -> None:
        super().__init__(f"session={secret}")


@app.task
def fail_with_what_cannot_be_pickled(secret: str) -> None:
    raise Unpicklable(secret, "")


TASKS = [
    refuse,
    quote_a_url,
    quote_a_row,
    run_a_statement,
    retry_for_a_row,
    retry_with_a_reason,
    reject,
    fail_with_what_cannot_be_pickled,
]


def send_all(secret: str) -> None:
    """Each task; messages no worker can run; tasks of Django's framework."""
    from tests.site import django_tasks

    headers = {"authorization": secret, "tenant": secret, "x-token": f"token={secret}"}
    give_back.apply_async((secret,), {"password": secret, secret: 1}, headers=headers)
    chain(give_back.s(secret), give_back.s(secret)).delay()
    for task in TASKS:
        task.apply_async((secret,), headers=headers)
    app.send_task("tests.integration.gone", (secret,), {"password": secret}, headers=headers)
    with app.producer_pool.acquire() as producer:
        for body in ({"password": secret}, "{secret"):
            producer.publish(
                body if isinstance(body, dict) else f"{body} {secret}",
                routing_key="jobs",
                headers=headers,
                content_type=None if isinstance(body, dict) else "application/json",
                content_encoding=None if isinstance(body, dict) else "utf-8",
            )
    django_tasks.greet.enqueue(secret)
    django_tasks.fail.enqueue(secret)
