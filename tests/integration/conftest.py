"""One server of each kind a run; ``TESTS_POSTGRESQL_DRIVER=psycopg2`` hides psycopg 3."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator

import pytest

from tests.integration import servers
from tests.integration.servers import Server

if os.environ.get("TESTS_POSTGRESQL_DRIVER") == "psycopg2":
    sys.modules["psycopg"] = None  # type: ignore[assignment]  # as if not installed


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server; a process started by ``run_again`` uses its parent's."""
    running = os.environ.get("TESTS_POSTGRESQL")
    if running:
        yield Server.parse(running)
        return
    with servers.postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    """A MariaDB server."""
    with servers.mariadb() as server:
        yield server


@pytest.fixture(scope="session")
def redis() -> Iterator[Server]:
    """A Redis server."""
    with servers.redis() as server:
        yield server


@pytest.fixture(scope="session")
def memcached() -> Iterator[Server]:
    """A Memcached server."""
    with servers.memcached() as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[Server]:
    """A RabbitMQ node."""
    with servers.rabbitmq() as server:
        yield server


@pytest.fixture
def mysql_driver() -> None:
    """PyMySQL standing in for mysqlclient where that isn't."""
    try:
        importlib.import_module("MySQLdb")
    except ImportError:
        import pymysql

        pymysql.version_info = (2, 2, 8, "final", 0)  # what Django asks of mysqlclient
        pymysql.install_as_MySQLdb()
