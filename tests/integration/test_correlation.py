"""What a task logs carries the trace and the request id of the request that caused it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.shop_kit import GOOD_CARD, Visitor, shop, wait_for

SERVERS: dict[str, Any] = {
    "threads": {"options": ("--workers", "2", "--threads", "4")},
    "asgi": {"asgi": True},
}


@pytest.mark.parametrize("kind", list(SERVERS))
def test_lines_of_tasks_are_of_the_trace_and_request_that_sent_them(
    tmp_path: Path, kind: str
) -> None:
    chosen = dict(SERVERS[kind])
    with shop(tmp_path, *chosen.pop("options", ()), **chosen) as running:
        for _ in range(2):
            Visitor(running.server.port).buy(GOOD_CARD)
        wait_for(lambda: len(running.lines("order paid")) == 2, 90)
        placed = {
            line["trace_id"]: line["request_id"]
            for line in running.lines("request.finished")
            if (line["http.route"], line["http.request.method"], line["url.path"])
            == ("/checkout/", "POST", "/checkout/")
        }
        assert len(placed) == 2
        paid = running.lines("order paid")
        assert {line["trace_id"]: line["request_id"] for line in paid} == placed
        assert {line["task"] for line in paid} == {"shop.tasks.confirm"}
        logged = [line for line in running.lines_of("orders.views") if "placed" in line["event"]]
        assert {line["trace_id"]: line["request_id"] for line in logged} == placed
        wait_for(lambda: len(running.lines("task.succeeded")) == 6, 90)
        ended = running.lines("task.succeeded")
        assert {(line["trace_id"], line["request_id"]) for line in ended} == set(placed.items())


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_task_sent_by_an_async_view_is_logged_as_part_of_its_request(
    tmp_path: Path, pool: str
) -> None:
    settings = "tests.integration.async_shop.settings"
    with shop(tmp_path, asgi=True, settings=settings, pool=pool) as running:
        asked = {
            running.server.get("/restock/", X_Request_ID=f"visitor-{number}").headers[
                "X-Request-ID"
            ]
            for number in range(3)
        }
        assert len(asked) == 3
        wait_for(lambda: len(running.lines("products restocked")) >= 3, 90)
        said = running.lines("restocking asked for")
        assert {line["request_id"] for line in said} == asked
        traces = {line["trace_id"]: line["request_id"] for line in said}
        restocked = running.lines("products restocked")
        assert {
            line["trace_id"]: line["request_id"] for line in restocked if "request_id" in line
        } == traces
