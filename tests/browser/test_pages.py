"""Every page, light and dark, wide and narrow: it stands, and everybody can use it."""

from __future__ import annotations

import pytest

from otel_django.viewer.frame import NAVIGATION
from otel_django.viewer.paths import PATHS
from tests.browser.looking import Browser

PAGES = [*(name for name, _ in NAVIGATION), "silences", "rules"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_fault_on_a_page(name: str, scheme: str, site: str, browser: Browser) -> None:
    browser.scheme(scheme)
    browser.open(site + PATHS[name])
    assert browser.one("main h1").is_displayed()
    assert browser.faults_of_accessibility() == []
    assert browser.faults_of_layout() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault_on_a_trace(scheme: str, site: str, browser: Browser) -> None:
    browser.scheme(scheme)
    browser.open(f"{site}traces/?q=checkout")
    browser.one("td.main a").click()
    browser.one(".waterfall, [role=treegrid], #waterfall")
    assert browser.faults_of_accessibility() == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_a_phone(name: str, site: str, browser: Browser) -> None:
    browser.size(390, 844)
    browser.open(site + PATHS[name])
    browser.one("main h1")
    assert browser.width() <= 390
    assert browser.one(".frame").size["height"] < 110  # what it shows, ranges, pages: three rows
    assert browser.faults_of_layout() == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_read_without_scripts(name: str, site: str, browser: Browser) -> None:
    browser.scripts(on=False)
    browser.open(site + PATHS[name])
    assert browser.text("main h1")
    browser.scripts(on=True)
