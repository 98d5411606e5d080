"""What people come for, from the first look to the line that is to blame."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest

from tests.browser.looking import Browser


def test_a_checkout_is_found_with_its_task_and_what_the_worker_logged(
    site: str, browser: Browser
) -> None:
    browser.open(site)
    browser.link("Traces").click()
    browser.type("#q", "confirm route:/checkout/")
    browser.link("POST /checkout/").click()
    browser.wait_for_text("send shop.tasks.confirm")
    browser.wait_for_text("process shop.tasks.confirm")
    browser.wait_for_text("worker@shop")
    browser.wait_for_text("order paid")


def test_a_dot_of_the_chart_opens_its_trace(site: str, browser: Browser) -> None:
    browser.open(site)
    dot = browser.one("a.exemplar")
    where = urlsplit(dot.get_attribute("href") or "").path
    browser.driver.execute_script("arguments[0].click();", dot)
    browser.wait(lambda: urlsplit(browser.address).path == where)
    assert "/traces/" in where
    assert browser.one("main h1").is_displayed()


def test_live_logs_show_a_new_line_within_two_seconds(site: str, browser: Browser) -> None:
    browser.open(f"{site}logs/?live=1")
    browser.one("main h1")
    missing = f"/nothing-{time.time_ns()}/"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(site.replace("/monitoring/", missing), timeout=10)
    # Half a second until it is stored, two until the page asks; the rest is the machine's.
    browser.wait_for_text(missing, "main", 6)


def test_filters_survive_reloading_and_going_back(site: str, browser: Browser) -> None:
    browser.open(f"{site}traces/?range=24h")
    browser.type("#q", "status:5xx")
    browser.wait(lambda: "status" in urlsplit(browser.address).query)
    filtered = browser.address
    assert "range=24h" in filtered
    shown = browser.text("h1")
    browser.driver.refresh()
    assert browser.one("#q").get_attribute("value") == "status:5xx"
    browser.one("td.main a").click()
    browser.wait(lambda: browser.address != filtered)
    browser.driver.back()
    browser.wait(lambda: browser.address == filtered)
    assert browser.one("#q").get_attribute("value") == "status:5xx"
    assert shown.split(",")[0] == browser.text("h1").split(",")[0]


def test_the_keyboard_reaches_search_rows_and_pages(site: str, browser: Browser) -> None:
    browser.open(f"{site}traces/")
    browser.one("td.main a")
    browser.press("j", "j")
    assert len(browser.all("tr.at")) == 1
    browser.press("/")
    assert browser.driver.switch_to.active_element.get_attribute("id") == "q"
    browser.driver.execute_script("document.activeElement.blur();")
    browser.press("?")
    assert browser.one("dialog#keys").is_displayed()
    browser.one("dialog#keys button").click()
    browser.press("g", "e")
    browser.wait(lambda: urlsplit(browser.address).path.endswith("/endpoints/"))
