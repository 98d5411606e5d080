"""One page for each kind of call; the first that needs a library imports it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

REDIS = os.environ["TESTS_REDIS"]
PEER = os.environ["TESTS_PEER"]
SECRET = f"{PEER}/?token=s3cret"

Call = Callable[[], object]


def livez(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


def with_requests() -> None:
    import requests

    requests.get(SECRET, timeout=10)


def with_failing_requests() -> None:
    import requests

    with contextlib.suppress(requests.ConnectionError):
        requests.get("http://127.0.0.1:1/?token=s3cret", timeout=10)


def with_urllib3() -> None:
    import urllib3

    urllib3.PoolManager().request("GET", SECRET)


def with_urllib() -> None:
    from urllib.request import urlopen

    urlopen(SECRET, timeout=10).read()


def with_httpx() -> None:
    import httpx

    httpx.get(SECRET, trust_env=False)


def with_aiohttp() -> None:
    import aiohttp

    async def call() -> None:
        async with aiohttp.ClientSession() as session, session.get(SECRET) as answer:
            await answer.read()

    asyncio.run(call())


def with_grpc() -> None:
    import grpc

    with grpc.insecure_channel(os.environ["TESTS_GRPC"]) as channel:
        count: Any = channel.unary_unary("/shop.Stock/Count")
        count(b"", timeout=10)


def _aws(service: str) -> Any:
    import boto3

    return boto3.client(
        service,
        endpoint_url=PEER,
        region_name="eu-central-1",
        aws_access_key_id="id",
        aws_secret_access_key="s3cret",
    )


def with_dynamodb() -> None:
    _aws("dynamodb").list_tables()


def with_sqs() -> None:
    _aws("sqs").send_message(QueueUrl=f"{PEER}/1/queue", MessageBody="s3cret")


def with_sqlalchemy() -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as shop:
        shop.execute(sqlalchemy.text("SELECT 's3cret'"))


def with_sqlite3() -> None:
    import sqlite3

    sqlite3.connect(":memory:").execute("SELECT 1")


def with_jinja2() -> None:
    import jinja2

    jinja2.Template("{{ a }}").render(a="s3cret")


def with_redis() -> object:
    import redis

    return redis.Redis.from_url(REDIS).get("s3cret")


def with_redis_pipeline() -> None:
    import redis

    with redis.Redis.from_url(REDIS).pipeline() as pipeline:
        pipeline.set("a", "s3cret")
        pipeline.get("a")
        pipeline.execute()


def with_async_redis() -> None:
    import redis.asyncio

    async def call() -> None:
        async with redis.asyncio.Redis.from_url(REDIS) as client:
            await client.get("a")

    asyncio.run(call())


def with_memcached() -> None:
    from pymemcache.client.base import Client

    Client(("127.0.0.1", int(os.environ["TESTS_MEMCACHED"]))).get("a")


def with_a_thread() -> None:
    from threading import Thread

    thread = Thread(target=with_redis)
    thread.start()
    thread.join()


def with_a_query() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def with_the_cache(alias: str) -> Call:
    return lambda: caches[alias].set("key", "s3cret")


def with_many_keys(alias: str) -> Call:
    return lambda: caches[alias].set_many({"a": 1, "b": 2})


def with_a_default_of_its_own() -> None:
    cache = caches["redis"]
    cache.delete("made")
    cache.get_or_set("made", lambda: with_redis() or 1)


def with_a_task() -> None:
    from tests.integration.neighbours.tasks import remember

    remember.delay("key")


def with_a_chord() -> None:
    from tests.integration.neighbours.tasks import remember_all

    assert remember_all(["a", "b"]) == 2


CALLS = {
    **{name[5:]: call for name, call in globals().items() if name.startswith("with_")},
    **{f"cache-{alias}": with_the_cache(alias) for alias in settings.CACHES},
    **{f"many-{alias}": with_many_keys(alias) for alias in settings.CACHES},
}
for factory in ("the_cache", "many_keys"):
    del CALLS[factory]


def page(call: Call) -> Callable[[HttpRequest], HttpResponse]:
    def view(request: HttpRequest) -> HttpResponse:
        call()
        return HttpResponse("ok")

    return view


urlpatterns = [
    path("livez", livez),
    *(path(f"{name}/", page(call)) for name, call in CALLS.items()),
]
