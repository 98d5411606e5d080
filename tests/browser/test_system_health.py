"""*System health* in the admin, Django's own and Unfold's: for whom it is, and that it goes on."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.browser.admin_site import AdminSite, admin_site
from tests.browser.looking import Browser
from tests.browser.test_dashboard import as_of
from tests.browser.test_states import REFUSED

PATH = "admin/otel_django/systemhealth/"
AWAY = "net::ERR_"


@pytest.fixture(scope="module", params=["admin", "unfold"])
def shop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AdminSite]:
    with admin_site(tmp_path_factory.mktemp(request.param), request.param) as site:
        yield site


def test_it_goes_on_says_when_its_site_is_away_and_recovers(
    shop: AdminSite, browser: Browser
) -> None:
    browser.expected = [AWAY]
    shop.log_in(browser, "root", PATH)
    shown = ".answer"
    first = as_of(browser, shown)
    browser.wait(lambda: as_of(browser, shown) not in {"", first})

    shop.end()
    browser.wait_for_text("The site doesn't answer.", "#otel-offline")
    browser.wait(lambda: re.search(r"What is shown is \d+ s old", browser.text("#otel-offline")))
    last = as_of(browser, shown)
    assert len(browser.all("#otel-board tbody tr")) == 7
    assert browser.faults_of_accessibility("#otel-offline, #otel-board") == []

    shop.begin()
    browser.wait(lambda: not browser.one("#otel-offline").is_displayed(), 60)
    browser.wait(lambda: as_of(browser, shown) not in {"", last}, 60)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_it(scheme: str, shop: AdminSite, browser: Browser) -> None:
    browser.scheme(scheme)
    shop.log_in(browser, "root", PATH)
    assert browser.one("#otel-board table").is_displayed()
    assert browser.faults_of_accessibility("#otel-board") == []


def test_it_fits_a_phone(shop: AdminSite, browser: Browser) -> None:
    shop.log_in(browser, "root", PATH)
    browser.size(390, 844)
    browser.one("#otel-board table")
    assert browser.width() <= 390
    board = browser.one("#otel-board .scrolls")
    inner = browser.driver.execute_script("return arguments[0].scrollWidth;", board)
    assert inner <= board.size["width"] + 1


def test_staff_without_the_right_is_refused(shop: AdminSite, browser: Browser) -> None:
    browser.expected = [REFUSED]
    shop.log_in(browser, "bob", PATH)
    assert "403" in browser.text("body")
    assert browser.all("#otel-board") == []
