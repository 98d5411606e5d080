"""Alerts in a browser: one fires, somebody takes care of it, it is silenced; rules are written."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.browser.admin_site import AdminSite, admin_site, firing
from tests.browser.looking import Browser
from tests.browser.test_states import REFUSED, assert_it_stands

RULE = "HighErrorRate"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminSite]:
    """Its requests fail, and the service has found so."""
    folder = tmp_path_factory.mktemp("alerts")
    with admin_site(folder) as site, firing(site, folder):
        yield site


def open_the_alert(shop: AdminSite, browser: Browser, name: str) -> None:
    shop.log_in(browser, name, "monitoring/alerts/")
    browser.link(RULE).click()
    browser.one(".decision")


def test_an_alert_is_seen_acknowledged_and_silenced_and_who_did_so_stands_there(
    shop: AdminSite, browser: Browser
) -> None:
    shop.log_in(browser, "ada")
    number = '.frame a[data-page="alerts"] sup'
    for _ in range(10):  # it is counted every few seconds
        if browser.all(number):
            break
        time.sleep(1)
        browser.driver.refresh()
    assert int(browser.text(number).split()[0]) >= 1
    browser.link("Alerts").click()
    browser.wait_for_text("nobody takes care of", "h1")
    assert_it_stands(browser)
    browser.size(1440, 1000)

    browser.link(RULE).click()
    browser.wait_for_text("Nobody takes care of it yet.", ".decision")
    browser.one("#note").send_keys("rolling back")
    browser.one('button[value="acknowledge"]').click()
    browser.wait_for_text("ada takes care of it since just now: rolling back.", ".decision")
    browser.wait_for_text("acknowledged by ada", "main")
    assert_it_stands(browser)
    browser.size(1440, 1000)

    browser.one('button[value="silence"]').click()
    browser.wait_for_text("Silent, as ada wanted, until", ".decision")
    browser.link("Alerts").click()
    rows = [each.text for each in browser.all("table.alerts tbody tr")]
    [row] = [text for text in rows if RULE in text and "✓ ada" in text]
    assert "silent until" in row


def test_a_silence_is_made_and_ended(shop: AdminSite, browser: Browser) -> None:
    shop.log_in(browser, "ada", "monitoring/alerts/silences/")
    browser.one("#s-matchers").send_keys("alertname=HighCpu")
    browser.one("#s-comment").send_keys("load test")
    browser.one('button[value="silence"]').click()
    browser.wait_for_text("load test", "table")
    assert_it_stands(browser)
    browser.size(1440, 1000)
    rows = len(browser.all("table.alerts tbody tr"))
    of_it = "//tr[contains(., 'load test')]//button"
    browser.driver.find_element("xpath", of_it).click()
    browser.wait(lambda: len(browser.all("table.alerts tbody tr")) == rows - 1)
    browser.wait_for_text("silence ended by ada", "main")


def test_a_silence_that_cannot_be_understood_is_told_what_is_wrong(
    shop: AdminSite, browser: Browser
) -> None:
    browser.expected = [REFUSED]
    shop.log_in(browser, "ada", "monitoring/alerts/silences/")
    browser.one("#s-matchers").send_keys("nonsense")
    browser.one("#s-comment").send_keys("the disk is exchanged")
    browser.one('button[value="silence"]').click()
    browser.wait_for_text("Nothing was changed", "[role=alert]")
    assert "nonsense" in browser.text("[role=alert]")
    assert browser.one("#s-matchers").get_attribute("value") == "nonsense"
    assert browser.one("#s-comment").get_attribute("value") == "the disk is exchanged"
    assert_it_stands(browser)


def test_a_form_of_another_site_changes_nothing(shop: AdminSite, browser: Browser) -> None:
    browser.expected = [REFUSED]
    shop.log_in(browser, "ada", "monitoring/alerts/silences/")
    browser.driver.execute_script(
        "document.querySelectorAll('[name=csrfmiddlewaretoken]').forEach((each) => each.remove());"
    )
    browser.one("#s-matchers").send_keys("alertname=HighMemory")
    browser.one('button[value="silence"]').click()
    browser.wait_for_text("Nothing was changed", ".state")
    browser.open(f"{shop.address}alerts/silences/")
    assert "HighMemory" not in browser.text("main")


def test_who_has_no_permission_sees_alerts_and_no_buttons(
    shop: AdminSite, browser: Browser
) -> None:
    open_the_alert(shop, browser, "bob")
    assert "it takes a permission" in browser.text("main")
    assert browser.all("main button") == []


def test_a_rules_page_draws_its_value_and_tells_what_to_do(
    shop: AdminSite, browser: Browser
) -> None:
    shop.log_in(browser, "ada", f"monitoring/alerts/rules/{RULE}/")
    for _ in range(20):  # it is drawn up to the last whole step
        if browser.all(".chart"):
            break
        assert "Nothing can be drawn of it yet" in browser.text("main")
        time.sleep(1)
        browser.driver.refresh()
    assert browser.one(".chart canvas").is_displayed()
    assert "critical" in browser.text("h1")
    assert "Usual causes" in browser.text(".runbook")
    assert "http_server_request_duration" in browser.text("pre.sql")
    assert_it_stands(browser)


def test_a_rule_of_ones_own_is_told_what_is_wrong_and_then_stands_among_the_others(
    shop: AdminSite, browser: Browser
) -> None:
    shop.log_in(browser, "root", "admin/otel_django/alertrule/add/")
    browser.one("#id_name").send_keys("SlowSearch")
    wrong = '{"form": "mean", "metric": "http.server.request.duration", "wrning": 1}'
    browser.one("#id_definition").clear()
    browser.one("#id_definition").send_keys(wrong)
    browser.one("input[name=_save]").click()
    browser.wait_for_text("it has no", ".errorlist")
    assert "wrning" in browser.text(".errorlist")

    browser.one("#id_definition").clear()
    browser.one("#id_definition").send_keys(wrong.replace("wrning", "warning"))
    browser.one("input[name=_save]").click()
    browser.wait(lambda: "/add/" not in browser.address)
    browser.open(f"{shop.address}alerts/rules/?q=SlowSearch")
    assert "SlowSearch" in browser.text("table.rules tbody")
