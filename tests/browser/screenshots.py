"""Pictures of every page of the demonstration: light, dark, and as wide as a phone.

``python -m tests.browser.screenshots`` writes all of them to ``.screenshots``, and the docs' to
``docs/images``.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

from otel_django.viewer.frame import NAVIGATION
from otel_django.viewer.paths import PATHS
from tests.browser.conftest import running_demo
from tests.browser.looking import Browser, chromium

PROJECT: Final = Path(__file__).resolve().parents[2]
ALL: Final = PROJECT / ".screenshots"
DOCS: Final = PROJECT / "docs" / "images"
OF_DOCS: Final = ("overview", "traces", "trace", "logs", "endpoints", "services-dark")
SOME_TRAFFIC_S: Final = 90
LOOKS: Final = (("", "light", 1280), ("-dark", "dark", 1280), ("-phone", "light", 390))
RANGE: Final = "range=15m"


def main() -> None:
    """Take them."""
    ALL.mkdir(exist_ok=True)
    DOCS.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_demo(Path(folder)) as site,
        chromium() as browser,
    ):
        time.sleep(SOME_TRAFFIC_S)
        addresses = _addresses(browser, site)
        for suffix, scheme, width in (
            ("", "light", 1280),
            ("-dark", "dark", 1280),
            ("-phone", "light", 390),
        ):
            browser.begin()
            browser.scheme(scheme)
            browser.size(width, 860)
            for name, address in addresses.items():
                browser.open(address)
                time.sleep(1)
                browser.picture(ALL / f"{name}{suffix}.png")
    for name in OF_DOCS:
        shutil.copy(ALL / f"{name}.png", DOCS / f"{name}.png")


def _addresses(browser: Browser, site: str) -> dict[str, str]:
    """Each page, and one thing of each list."""
    found = {name: f"{site}{PATHS[name]}?{RANGE}" for name, _ in NAVIGATION}
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
