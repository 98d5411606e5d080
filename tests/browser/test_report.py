"""The report's HTML, as a browser and a mail program show it."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import call_command

from tests.browser.looking import Browser
from tests.browser.stores import write_full
from tests.endpoints_kit import ours


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> str:
    """Of a report on a store with more of everything than it shows."""
    folder = tmp_path_factory.mktemp("report")
    write_full(folder / "store.sqlite3")
    with ours(STORE=str(folder / "store.sqlite3"), ALERTS_SITE_URL="https://shop.example/m/"):
        call_command("otel", "report", "--html", str(folder / "report.html"))
    return f"file://{folder / 'report.html'}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault(scheme: str, address: str, browser: Browser) -> None:
    browser.scheme(scheme)
    browser.open(address)
    assert browser.one("h1").is_displayed()
    assert browser.faults_of_accessibility() == []


def test_it_fits_a_phone(address: str, browser: Browser) -> None:
    browser.size(390, 844)
    browser.open(address)
    browser.one("h1")
    assert browser.width() <= 390
