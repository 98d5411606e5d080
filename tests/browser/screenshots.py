"""Pictures of every page, and of every state of pages: light, dark, and as wide as a phone.

``python -m tests.browser.screenshots`` writes all of them to ``.screenshots``, and the docs' to
``docs/images``; with ``--docs`` only those.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from otel_django.viewer.frame import NAVIGATION
from otel_django.viewer.paths import PATHS
from tests.browser.admin_site import admin_site, firing
from tests.browser.conftest import running_demo
from tests.browser.looking import Browser, chromium
from tests.browser.sites import Site, State, site_in
from tests.browser.stores import MANY_SERIES
from tests.browser.test_system_health import PATH as HEALTH

PROJECT: Final = Path(__file__).resolve().parents[2]
ALL: Final = PROJECT / ".screenshots"
DOCS: Final = PROJECT / "docs" / "images"
OF_DOCS: Final = ("overview", "traces", "trace", "logs", "endpoints", "services-dark")
SOME_TRAFFIC_S: Final = 90
LOOKS: Final = (("", "light", 1280), ("-dark", "dark", 1280), ("-phone", "light", 390))
STATES: Final[dict[State, dict[str, str]]] = {
    "empty": {f"empty-{name}": PATHS[name] for name, _ in NAVIGATION},
    "bare": {"nothing-kept": ""},
    "full": {
        "too-much-traces": "traces/",
        "too-much-endpoints": "endpoints/",
        "too-much-errors": "errors/",
        "too-much-series": f"metrics/explore/?metric={MANY_SERIES}",
        "mistake": "traces/?q=duration>fast+status:500",
        "unknown-trace": f"traces/{'a' * 32}/",
        "old": "traces/?range=7d",
        "older": "traces/?from=1000000000000&to=1000000600000",
    },
    "partly damaged": {"part": "", "part-logs": "logs/"},
    "damaged": {"damaged": "traces/"},
}
"""State of a site → names of pictures and what they show."""
RANGE: Final = "range=15m"
THEMES: Final = ("admin", "unfold")


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", action="store_true", help="only the pictures of the docs")
    only_docs = parser.parse_args().docs
    ALL.mkdir(exist_ok=True)
    DOCS.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_demo(Path(folder)) as site,
        chromium() as browser,
    ):
        time.sleep(SOME_TRAFFIC_S)
        addresses = _addresses(browser, site)
        for suffix in _looks(browser):
            for name, address in addresses.items():
                if only_docs and f"{name}{suffix}" not in OF_DOCS:
                    continue
                browser.open(address)
                time.sleep(1)
                browser.picture(ALL / f"{name}{suffix}.png")
        if not only_docs:
            _states(browser, Path(folder))
            _admin(browser, Path(folder))
    for name in OF_DOCS:
        shutil.copy(ALL / f"{name}.png", DOCS / f"{name}.png")


def _looks(browser: Browser) -> Iterator[str]:
    """What a picture's name ends with, once the browser looks so."""
    for suffix, scheme, width in LOOKS:
        browser.begin()
        browser.scheme(scheme)
        browser.size(width, 860)
        yield suffix


def _states(browser: Browser, folder: Path) -> None:
    for state, addresses in STATES.items():
        with site_in(state, folder) as site:
            for suffix in _looks(browser):
                for name, address in addresses.items():
                    browser.open(site.address + address)
                    time.sleep(0.5)
                    browser.picture(ALL / f"state-{name}{suffix}.png")
                if state == "full":
                    _slow_and_away(browser, site, suffix)


def _slow_and_away(browser: Browser, site: Site, suffix: str) -> None:
    browser.open(f"{site.address}logs/")
    with site.silent():
        browser.one(".line summary").click()
        browser.wait_for_text("Loading", "#loading")
        browser.picture(ALL / f"state-loading{suffix}.png")
    browser.open(f"{site.address}traces/?live=1")
    site.end()
    browser.wait_for_text("doesn't answer", "#offline")
    browser.picture(ALL / f"state-offline{suffix}.png")
    site.begin()


def _admin(browser: Browser, folder: Path) -> None:
    """What only those who are logged in see: buttons, and the admin's page."""
    for theme in THEMES:
        (folder / theme).mkdir()
        with admin_site(folder / theme, theme) as site, firing(site, folder / theme):
            for suffix in _looks(browser):
                site.log_in(browser, "root", HEALTH)
                browser.one("#otel-board table")
                browser.picture(ALL / f"admin-{theme}{suffix}.png")
                if theme == THEMES[0]:
                    browser.open(f"{site.address}alerts/")
                    browser.link("HighErrorRate").click()
                    time.sleep(1)
                    browser.picture(ALL / f"alert-to-acknowledge{suffix}.png")


def _addresses(browser: Browser, site: str) -> dict[str, str]:
    """Each page, and one thing of each list."""
    found = {name: f"{site}{PATHS[name]}?{RANGE}" for name, _ in NAVIGATION}
    found |= {name: site + PATHS[name] for name in ("silences", "rules")}
    found["rule"] = f"{site}alerts/rules/HighErrorRate/"
    found["history"] = f"{site}alerts/?state=history"
    for part in ("site", "celery", "host", "alerts"):
        found[f"dashboard-{part}"] = f"{site}dashboard/{part}/?range=1h"
    for name, address, link in (
        ("trace", f"{site}traces/?{RANGE}&q=confirm", "POST /checkout/"),
        ("n-plus-one", f"{site}traces/?{RANGE}&q=n%2B1:yes", "GET /"),
        ("endpoint", found["endpoints"], "GET /search/"),
        ("metric", found["metrics"], "http.server.request.duration"),
        ("error", found["errors"], "PaymentRefused"),
    ):
        browser.open(address)
        browser.link(link).click()
        time.sleep(1)
        found[name] = browser.address
    return found


if __name__ == "__main__":
    main()
