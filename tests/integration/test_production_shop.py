"""The shop as the compose file runs it, on PostgreSQL and Redis."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from tests.integration.servers import Server
from tests.integration.shop_kit import GOOD_CARD, Visitor, shop, wait_for

SETTINGS = "shop.production"
TOKEN = "a-token-of-the-tests"


@pytest.fixture
def production(postgresql: Server, redis: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the settings."""
    address = f"host={postgresql.host} port={postgresql.port} user=postgres"
    with psycopg.connect(f"{address} dbname=postgres", autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS shop_production")
        connection.execute("CREATE DATABASE shop_production")
    where = f"{postgresql.host}:{postgresql.port}"
    monkeypatch.setenv("SHOP_SECRET_KEY", "a key of the tests")
    monkeypatch.setenv("SHOP_DATABASE_URL", f"postgresql://postgres@{where}/shop_production")
    monkeypatch.setenv("SHOP_REDIS_URL", f"redis://{redis.host}:{redis.port}/7")
    monkeypatch.setenv("SHOP_HOSTS", "127.0.0.1,localhost")


@pytest.mark.usefixtures("production")
def test_it_serves_sells_and_tells_with_debug_off(tmp_path: Path) -> None:
    with shop(tmp_path, "--workers", "2", settings=SETTINGS) as running:
        wait_for(lambda: running.server.get("/readyz").status == 200)
        style = re.search(rb'href="(/static/[^"]+\.css)"', running.server.get("/admin/login/").body)
        assert style is not None
        assert running.server.get(style[1].decode()).status == 200
        assert running.server.get("/nowhere").status == 404
        visitor = Visitor(running.server.port)
        visitor.buy(GOOD_CARD)
        assert visitor.counts["/checkout/", "302"] == 1
        wait_for(lambda: running.lines("order paid"))
        traces = {
            span["trace_id"]: span["name"]
            for span in running.collector.spans()
            if span["name"] == "POST /checkout/"
        }
        assert traces
        wait_for(
            lambda: any(
                span["trace_id"] in traces and "send_receipt" in span["name"]
                for span in running.collector.spans()
            )
        )
