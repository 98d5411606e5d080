"""What is known of the instrumentors that packages offer, by their entry points' names.

Names are compared in lower case with underscores: ``aiohttp-client`` is ``aiohttp_client``.
"""

from __future__ import annotations

from typing import Final

NEVER: Final = frozenset(
    {
        "celery",
        "django",
        "exceptions",
        "logging",
        "mysql",
        "mysqlclient",
        "psycopg",
        "psycopg2",
        "pymysql",
        "sqlite3",
        "structlog",
        "system_metrics",
    }
)
"""What this package observes itself, or what would report the same a second time."""

INSIDE: Final = {"boto3": "botocore"}
"""Left out where the other one is on: both would tell the same call."""

MODULES: Final = {
    "aio_pika": "aio_pika",
    "aiobotocore": "aiobotocore",
    "aiohttp_client": "aiohttp",
    "aiohttp_server": "aiohttp.web",
    "aiokafka": "aiokafka",
    "aiopg": "aiopg",
    "anthropic": "anthropic",
    "asyncclick": "asyncclick",
    "asyncpg": "asyncpg",
    "boto3": "boto3",
    "botocore": "botocore.client",
    "cassandra": "cassandra",
    "click": "click",
    "confluent_kafka": "confluent_kafka",
    "elasticsearch": "elasticsearch",
    "falcon": "falcon",
    "fastapi": "fastapi",
    "flask": "flask",
    "google_genai": "google.genai",
    "grpc_aio_client": "grpc",
    "grpc_aio_server": "grpc",
    "grpc_client": "grpc",
    "grpc_server": "grpc",
    "httpx": "httpx",
    "httpx2": "httpx2",
    "jinja2": "jinja2",
    "kafka": "kafka",
    "langchain": "langchain_core",
    "openai": "openai",
    "openai_agents": "agents",
    "pika": "pika",
    "pymemcache": "pymemcache",
    "pymongo": "pymongo",
    "pymssql": "pymssql",
    "pyramid": "pyramid",
    "redis": "redis",
    "remoulade": "remoulade",
    "requests": "requests",
    "sqlalchemy": "sqlalchemy",
    "starlette": "starlette",
    "tornado": "tornado",
    "tortoiseorm": "tortoise",
    "urllib": "urllib.request",
    "urllib3": "urllib3",
    "vertexai": "vertexai",
}
"""The module whose import an instrumentor waits for. One that isn't here is loaded at once."""


def plain(name: str) -> str:
    """An entry point's name as it stands here."""
    return name.lower().replace("-", "_")
