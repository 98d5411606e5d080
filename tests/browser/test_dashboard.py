"""The dashboard in a browser: it goes on by itself, says when it can't, and fits a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_django.viewer.board.parts import PARTS
from tests.browser.looking import Browser
from tests.browser.sites import Site, site_in
from tests.browser.test_states import AWAY, assert_it_stands

PATH = "dashboard/"
NAMES = [*(part.name for part in PARTS), "alerts"]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site_in("full", tmp_path_factory.mktemp("dashboard")) as site:
        yield site


def as_of(browser: Browser, where: str = "#now") -> str:
    found = re.search(r"[Aa]s of ([\d:.]+)", browser.text(where))
    return found.group(1) if found else ""


def test_it_goes_on_by_itself_and_every_part_has_its_row(full: Site, browser: Browser) -> None:
    browser.open(full.address + PATH)
    assert [each.text for each in browser.all(".board tbody th a")] == [
        *(part.title for part in PARTS),
        "Alerts",
    ]
    first = as_of(browser)
    browser.wait(lambda: as_of(browser) not in {"", first})
    assert_it_stands(browser)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_behind_a_row_is_for_everybody(name: str, full: Site, browser: Browser) -> None:
    browser.open(f"{full.address}{PATH}{name}/?live=0")
    assert browser.text("h1")
    assert_it_stands(browser)


def test_a_row_leads_behind_it_and_back(full: Site, browser: Browser) -> None:
    browser.open(f"{full.address}{PATH}?live=0")
    browser.one(".board tr:nth-child(2) th a").click()
    browser.wait(lambda: browser.text("h1").startswith("Database"))
    browser.one(".back a").click()
    browser.one(".board")


def test_it_says_that_its_site_is_away_keeps_the_last_figures_and_recovers(
    tmp_path: Path, browser: Browser
) -> None:
    browser.expected = list(AWAY)
    with site_in("full", tmp_path) as site:
        browser.open(site.address + PATH)
        before = as_of(browser)
        site.end()
        browser.wait_for_text("The site doesn't answer. What is shown is", "#offline")
        browser.wait(lambda: re.search(r"\d s old\. .* again in [4-8] s", browser.text("#offline")))
        assert len(browser.all(".board tbody tr")) == len(NAMES)
        site.begin()
        browser.wait(lambda: not browser.one("#offline").is_displayed(), 60)
        browser.wait(lambda: as_of(browser) not in {"", before}, 60)


def test_without_a_store_it_stands_and_says_what_is_missing(
    tmp_path: Path, browser: Browser
) -> None:
    with site_in("bare", tmp_path) as site:
        browser.open(f"{site.address}{PATH}?live=0")
        assert "OTEL_DJANGO_STORE=on" in browser.text(".partial")
        assert_it_stands(browser)
        browser.open(f"{site.address}{PATH}host/?live=0")
        assert_it_stands(browser)
