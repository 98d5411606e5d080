"""The shop as the compose file runs it, on PostgreSQL and Redis."""

from __future__ import annotations

import re
from pathlib import Path

from tests.integration.servers import Server
from tests.integration.shop_kit import GOOD_CARD, Visitor, production_environment, shop, wait_for

SETTINGS = "shop.production"


def test_it_serves_sells_and_tells_with_debug_off(
    tmp_path: Path, postgresql: Server, redis: Server
) -> None:
    env = production_environment(postgresql, redis)
    with shop(tmp_path, "--workers", "2", settings=SETTINGS, more_env=env) as running:
        wait_for(lambda: running.server.get("/readyz").status == 200)
        style = re.search(rb'href="(/static/[^"]+\.css)"', running.server.get("/admin/login/").body)
        assert style is not None
        assert running.server.get(style[1].decode()).status == 200
        assert running.server.get("/nowhere").status == 404
        assert b'href="/product/' in running.server.get("/search/?q=teapot").body
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
