"""Pages that are empty, slow, in part, away, wrong, too full, or too late for what is asked."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from otel_django.viewer.frame import NAVIGATION
from otel_django.viewer.paths import PATHS
from tests.browser.looking import Browser
from tests.browser.sites import Site, State, site_in
from tests.browser.stores import FAULTS, MANY_SERIES

PAGES = [name for name, _ in NAVIGATION]
SiteIn = Callable[[State], Site]
REFUSED = "the server responded with a status of"
AWAY = ("net::ERR_", "htmx:sendError", "htmx:afterRequest")


@pytest.fixture(scope="module")
def site_in_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteIn]:
    """The site in a state, which goes on from its first test to the last."""
    folder = tmp_path_factory.mktemp("states")
    known: dict[State, Site] = {}
    with contextlib.ExitStack() as running:

        def given(state: State) -> Site:
            if state not in known:
                known[state] = running.enter_context(site_in(state, folder))
            return known[state]

        yield given


def assert_it_stands(browser: Browser) -> None:
    """In both schemes everybody can use it, and it fits a phone."""
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        assert browser.faults_of_accessibility() == []
    assert_it_fits_a_phone(browser)


def assert_it_fits_a_phone(browser: Browser) -> None:
    browser.size(390, 844)
    # Charts are drawn anew a moment later.
    browser.wait(lambda: browser.width() <= 390, 3)
    assert browser.faults_of_layout() == []


# --- empty


OF_NO_STORE = {"alerts", "dashboard", "health"}
"""What they show isn't the store's."""


@pytest.mark.parametrize("name", [name for name in PAGES if name not in OF_NO_STORE])
def test_an_empty_page_says_what_to_do(name: str, site_in_state: SiteIn, browser: Browser) -> None:
    browser.open(site_in_state("empty").address + PATHS[name])
    assert re.search(r"[Oo]pen a page|come|Send one|is grouped here", browser.text(".state"))
    assert_it_stands(browser)


def test_alerts_without_tables_say_what_makes_them(site_in_state: SiteIn, browser: Browser) -> None:
    browser.open(site_in_state("empty").address + PATHS["alerts"])
    assert "manage.py migrate otel_django" in browser.text("main")
    assert_it_stands(browser)


def test_a_site_that_keeps_nothing_says_how_to_keep_it(
    site_in_state: SiteIn, browser: Browser
) -> None:
    browser.open(site_in_state("bare").address)
    assert "OTEL_DJANGO_STORE=on" in browser.text(".state")
    assert_it_stands(browser)


# --- loading


def test_a_page_that_takes_long_says_that_it_loads(site_in_state: SiteIn, browser: Browser) -> None:
    site = site_in_state("full")
    browser.open(f"{site.address}traces/")
    browser.driver.execute_script(
        """
        const seen = (when) => sessionStorage.setItem(when, JSON.stringify(
          [document.getElementById("loading").hidden, document.getElementById("main").ariaBusy]));
        document.querySelector("td.main a").addEventListener("click", () => {
          setTimeout(() => seen("at once"), 50);
          setTimeout(() => seen("later"), 900);
        });
        """
    )
    with site.silent():
        release = threading.Timer(1.5, site.speak)
        release.start()
        browser.one("td.main a").click()
        browser.one("#waterfall")
        release.join()
    seen = browser.driver.execute_script("return {...sessionStorage};")
    assert seen["at once"] == "[true,null]"
    assert seen["later"] == '[false,"true"]'
    assert not browser.one("#loading").is_displayed()


def test_a_part_that_takes_long_says_that_it_loads(site_in_state: SiteIn, browser: Browser) -> None:
    site = site_in_state("full")
    browser.open(f"{site.address}logs/")
    with site.silent():
        browser.one(".line summary").click()
        browser.wait_for_text("Loading", "#loading")
        assert browser.faults_of_accessibility() == []
    browser.wait_for_text("JSON", ".line[data-row] .detail")
    assert not browser.one("#loading").is_displayed()


# --- in part


@pytest.mark.parametrize(("path", "stands"), [("", ".chart canvas"), ("traces/", "#waterfall")])
def test_a_part_that_cannot_be_read_is_named_and_the_others_stand(
    path: str, stands: str, site_in_state: SiteIn, browser: Browser
) -> None:
    browser.open(site_in_state("partly damaged").address + path)
    if path == "traces/":
        browser.one("td.main a").click()
    assert browser.one(stands).is_displayed()
    note = browser.text(".partial")
    assert "can't be read: database disk image is malformed" in note
    assert "Try again" in note
    assert_it_stands(browser)


# --- away


def test_a_live_page_whose_site_is_away_says_so_asks_less_often_and_recovers(
    site_in_state: SiteIn, browser: Browser
) -> None:
    browser.expected = list(AWAY)
    site = site_in_state("full")
    browser.open(f"{site.address}traces/?live=1")
    browser.one("#newer")
    site.end()
    browser.wait_for_text("The site doesn't answer. What is shown is", "#offline")
    browser.wait(lambda: re.search(r"again in [4-8] s", browser.text("#offline")))
    assert browser.one("td.main a").is_displayed()
    assert_it_stands(browser)
    site.begin()
    browser.wait(lambda: not browser.one("#offline").is_displayed())


def test_a_live_page_whose_reader_may_no_longer_look_says_so(
    site_in_state: SiteIn, browser: Browser
) -> None:
    browser.expected = [REFUSED, "htmx:responseError", "Response Status Error Code"]
    browser.open(f"{site_in_state('full').address}traces/?live=1")
    # As after a log-out: the next question comes through a proxy that is not trusted.
    browser.driver.execute_script(
        "document.addEventListener('htmx:configRequest', (event) => {"
        " event.detail.headers['X-Forwarded-For'] = '192.0.2.1'; });"
    )
    browser.wait_for_text("You may no longer look at this", "#offline")


# --- wrong


def test_a_mistake_in_a_search_is_told_beside_what_was_found(
    site_in_state: SiteIn, browser: Browser
) -> None:
    browser.open(f"{site_in_state('full').address}traces/?q=duration>fast+status:500")
    assert "a time such as 200ms, 1.5s or 2min is wanted" in browser.text(".mistake")
    assert browser.one("td.main a").is_displayed()
    assert_it_stands(browser)


def test_a_trace_that_is_not_kept_says_so_and_leads_back(
    site_in_state: SiteIn, browser: Browser
) -> None:
    browser.expected = [REFUSED]
    browser.open(f"{site_in_state('full').address}traces/{'a' * 32}/")
    assert "No such trace is kept" in browser.text(".state")
    assert_it_stands(browser)
    browser.one(".state .links a:last-child").click()
    browser.one("td.main a")


def test_a_damaged_store_is_named_with_what_becomes_of_it(
    site_in_state: SiteIn, browser: Browser
) -> None:
    browser.expected = [REFUSED]
    browser.open(f"{site_in_state('damaged').address}traces/")
    assert "store.sqlite3 can't be read: file is not a database" in browser.text(".state")
    assert "It will be put aside" in browser.text(".state")
    assert_it_stands(browser)


# --- too much


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("traces/", "There are more than fit here: narrow them"),
        ("logs/", "Older lines"),
        ("endpoints/", "narrow them by a part of the name"),
        ("errors/", f"Of {FAULTS} kinds these are the 500 seen last"),
        (f"metrics/explore/?metric={MANY_SERIES}", "others"),
    ],
)
def test_a_list_that_is_too_long_says_how_to_narrow_it(
    path: str, says: str, site_in_state: SiteIn, browser: Browser
) -> None:
    browser.open(site_in_state("full").address + path)
    assert says in browser.text("main")
    assert_it_fits_a_phone(browser)


# --- old


def test_a_range_that_begins_before_what_is_kept_says_since_when_it_is(
    site_in_state: SiteIn, browser: Browser
) -> None:
    browser.open(f"{site_in_state('full').address}traces/?range=7d")
    assert "OTEL_DJANGO_STORE_RETENTION_HOURS" in browser.text(".kept")
    assert_it_stands(browser)
    browser.size(1440, 1000)
    browser.one(".kept a").click()
    browser.wait(lambda: "from=" in browser.address)
    assert browser.all(".kept") == []


def test_a_range_before_what_is_kept_says_that_nothing_of_it_is(
    site_in_state: SiteIn, browser: Browser
) -> None:
    site = site_in_state("full").address
    browser.open(f"{site}traces/?from=1000000000000&to=1000000600000")
    assert "Nothing of this range is kept any more" in browser.text(".kept")
    assert "No traces yet" not in browser.text("main")
    assert_it_stands(browser)


# --- for everybody


def test_what_the_keyboard_is_on_is_seen(site_in_state: SiteIn, browser: Browser) -> None:
    browser.open(f"{site_in_state('full').address}traces/")
    seen: list[Any] = []
    for _ in range(30):
        browser.press_tab()
        seen.append(browser.outline())
    assert {name for name, width in seen if width < 2} == set()
    assert {"A", "SELECT", "BUTTON", "INPUT"} <= {name for name, _ in seen}


@pytest.mark.parametrize("path", ["traces/?live=1", "logs/?live=1", ""])
def test_nothing_moves_for_those_who_want_no_motion(
    path: str, site_in_state: SiteIn, browser: Browser
) -> None:
    browser.scheme("light", motion="reduce")
    browser.open(site_in_state("full").address + path)
    moving = browser.driver.execute_script(
        "return [...document.querySelectorAll('*')].filter((each) => {"
        " const style = getComputedStyle(each);"
        " return style.transitionProperty !== 'none' || style.animationName !== 'none';"
        "}).map((each) => each.outerHTML.slice(0, 80));"
    )
    assert moving == []
