"""How often one may ask for pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client, override_settings

from otel_django.viewer import page
from otel_django.web.rate_limit import RateLimit
from tests.endpoints_kit import STRANGER, SlowClock, by_token, ours

USUAL = page._rate


@pytest.fixture(autouse=True)
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowClock]:
    """A site with tokens and without a store, that lets eight pages through at once."""
    clock = SlowClock()
    monkeypatch.setattr(page, "_rate", RateLimit(clock, most_at_once=8, a_minute=240))
    with (
        ours(TOKENS=["sesame", "another"], STORE="off"),
        override_settings(ROOT_URLCONF="otel_django.viewer.urls"),
    ):
        yield clock


def until_refused(client: Client, path: str = "/traces/") -> int:
    for number in range(1, 20):
        if client.get(path).status_code == 429:
            return number
    raise AssertionError("nobody was refused")


def test_a_loop_is_told_when_to_come_back_on_a_page_with_a_frame(clock: SlowClock) -> None:
    assert until_refused(by_token()) == 9

    refused = by_token().get("/logs/?service=shop")
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers["Cache-Control"] == "no-store"
    assert "<h1>Too many requests</h1>" in refused.content.decode()
    assert 'aria-label="Pages"' in refused.content.decode()

    clock.now_s += 1
    assert by_token().get("/traces/").status_code == 200
    assert until_refused(by_token()) == 4


def test_a_part_of_a_page_is_told_without_a_frame() -> None:
    until_refused(by_token())
    refused = by_token(HTTP_HX_REQUEST="true").get("/traces/?live=1")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert refused.headers["Content-Type"].startswith("text/plain")
    assert b"<" not in refused.content


def test_tabs_that_go_on_by_themselves_are_never_refused_and_hundreds_a_second_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SlowClock()
    monkeypatch.setattr(USUAL, "_clock", clock)
    for _ in range(3600):
        assert not any(USUAL.wait_s("ten tabs") for _ in range(10))
        clock.now_s += 1
    refused = 0
    for _ in range(2000):
        refused += USUAL.wait_s("a loop") > 0
        clock.now_s += 1 / 200
    assert refused > 1400


def test_one_who_asks_too_often_keeps_nobody_else_away() -> None:
    until_refused(by_token())
    another = Client(REMOTE_ADDR=STRANGER, HTTP_AUTHORIZATION="Bearer another")
    assert another.get("/traces/").status_code == 200
    with override_settings(DEBUG=True):
        assert Client(HTTP_HOST="localhost").get("/traces/").status_code == 200


def test_in_debug_a_loop_of_this_machine_is_refused_too() -> None:
    with override_settings(DEBUG=True):
        assert until_refused(Client(HTTP_HOST="localhost")) == 9


def test_strangers_and_probes_are_not_counted_and_scripts_always_come() -> None:
    until_refused(by_token())
    stranger = Client(REMOTE_ADDR=STRANGER)
    assert {stranger.get("/traces/").status_code for _ in range(20)} <= {302, 403}
    assert by_token().get("/static/viewer.css").status_code == 200
