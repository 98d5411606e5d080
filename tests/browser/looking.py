"""A headless Chromium: the system's own, driven by Selenium."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

AXE = Path(__file__).with_name("axe.min.js")
WAIT_S = 20.0
_WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(event.violatedDirective + " " + event.blockedURI + " " + event.sample);
});
"""
_OVERLAPS = """
const faults = new Set(), range = document.createRange();
const inside = "main :is(td, th, h1, h2, p, li, dt, dd), .frame a";
const aside = ".hidden, details:not([open]) > :not(summary), .u-legend, svg, .dots, pre";
const cuts = (element) => getComputedStyle(element).overflowX !== "visible";
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const text = walker.currentNode, cell = text.parentElement.closest(inside);
  if (!cell || !cell.checkVisibility() || text.parentElement.closest(aside)) continue;
  let clips = text.parentElement;
  while (clips !== cell && !cuts(clips)) clips = clips.parentElement;
  if (cuts(clips)) continue;
  range.selectNodeContents(text);
  const box = cell.getBoundingClientRect();
  for (const { width, left, right } of range.getClientRects()) {
    if (width && (right > box.right + 1 || left < box.left - 1)) {
      faults.add(cell.tagName + " " + cell.className + ": " + text.data.slice(0, 60));
    }
  }
}
return [...faults];
"""
_NOBODY = frozenset({"data", "about", "chrome", "blob"})
"""Schemes of addresses that no host is asked for."""
_RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}


class Browser:
    """What tests do in it; ``driver`` is Selenium's."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self.expected: list[str] = []
        """Parts of console errors that a test brings about itself."""
        self._opened: set[str] = set()

    def begin(self) -> None:
        """A new test: light, wide, with scripts, nobody logged in."""
        self.driver.get("about:blank")
        self.expected = []
        self._opened = set()
        self.forget()
        self.scheme("light")
        self.size(1440, 1000)
        self.scripts(on=True)
        self.driver.get_log("browser")
        self.driver.get_log("performance")

    # --- going

    def open(self, address: str) -> None:
        """Go there."""
        self._opened.add(urlsplit(address).netloc)
        self.driver.get(address)

    def forget(self) -> None:
        """Who was logged in."""
        self._cdp("Network.clearBrowserCookies")

    def scheme(self, name: str, *, motion: str = "no-preference") -> None:
        """Light or dark, and how much may move, as the system would have it."""
        wished = {"prefers-color-scheme": name, "prefers-reduced-motion": motion}
        features = [{"name": key, "value": value} for key, value in wished.items()]
        self._cdp("Emulation.setEmulatedMedia", features=features)

    def size(self, width: int, height: int) -> None:
        """The page's size in pixels, which no window has to have."""
        self._cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def scripts(self, *, on: bool) -> None:
        """Whether pages may run theirs."""
        self._cdp("Emulation.setScriptExecutionDisabled", value=not on)

    def _cdp(self, command: str, **parameters: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, parameters)

    # --- looking

    def one(self, selector: str) -> WebElement:
        """The first such element, waited for."""
        found: list[WebElement] = self.wait(lambda: self.all(selector))
        return found[0]

    def all(self, selector: str) -> list[WebElement]:
        """All there are now."""
        found: list[WebElement] = self.driver.find_elements(By.CSS_SELECTOR, selector)
        return found

    def link(self, text: str) -> WebElement:
        """A visible link with this in its text, waited for."""
        found: WebElement = self.wait(
            lambda: next(
                (
                    each
                    for each in self.driver.find_elements(By.PARTIAL_LINK_TEXT, text)
                    if each.is_displayed()
                ),
                None,
            )
        )
        return found

    def text(self, selector: str = "body") -> str:
        """What is to be read there."""
        return self.one(selector).text

    def wait(self, found: Callable[[], Any], seconds: float = WAIT_S) -> Any:
        """Until there is something."""
        waiting = WebDriverWait(
            self.driver, seconds, 0.1, ignored_exceptions=[StaleElementReferenceException]
        )
        return waiting.until(lambda _: found())

    def wait_for_text(self, text: str, selector: str = "body", seconds: float = WAIT_S) -> None:
        """Until it is to be read there."""
        self.wait(lambda: text in self.text(selector), seconds)

    def type(self, selector: str, text: str) -> None:
        """Into a field, in place of what is there, and send it off."""
        field = self.one(selector)
        field.clear()
        field.send_keys(text, Keys.ENTER)

    def press(self, *keys: str) -> None:
        """Keys, on the page as a whole."""
        self.one("body").send_keys(*keys)

    def press_tab(self) -> None:
        """On to what the keyboard reaches next."""
        ActionChains(self.driver).send_keys(Keys.TAB).perform()

    @property
    def address(self) -> str:
        """Where we are."""
        address: str = self.driver.current_url
        return address

    def picture(self, path: Path) -> None:
        """The page as it looks now, as far as the window reaches."""
        path.write_bytes(self.driver.get_screenshot_as_png())

    # --- judging

    def faults_of_accessibility(self, within: str = "html") -> list[str]:
        """What axe-core has to say of this page, or of what is within a part of it."""
        self.driver.execute_script(AXE.read_text("utf-8"))
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "axe.run(arguments[0], arguments[1]).then((all) => done(all.violations), done);",
            within,
            _RULES,
        )
        return [
            f"{fault['id']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
            for fault in found
            for node in fault["nodes"]
        ]

    def width(self) -> int:
        """How wide all of the page is."""
        found: int = self.driver.execute_script("return document.documentElement.scrollWidth;")
        return found

    def faults_of_layout(self) -> list[str]:
        """Texts that reach out of their cells, and so over others."""
        found: list[str] = self.driver.execute_script(_OVERLAPS)
        return found

    def outline(self) -> tuple[str, float]:
        """What has the focus, and how thick the line around it is."""
        name, width = self.driver.execute_script(
            "const at = document.activeElement, style = getComputedStyle(at);"
            "const isThere = style.outlineStyle !== 'none';"
            "return [at.tagName, isThere ? parseFloat(style.outlineWidth) : 0];"
        )
        return name, width

    def violations(self) -> list[str]:
        """What the page's Content-Security-Policy refused."""
        found: list[str] = self.driver.execute_script("return window.violations || [];")
        return found

    def strangers(self) -> set[str]:
        """Who was asked since the test began, other than the sites it opened."""
        asked = set()
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            found = message["params"]
            if message["method"] == "Network.requestWillBeSent":
                asked.add(found["request"]["url"])
            elif message["method"] in {"Network.webSocketCreated", "Network.webTransportCreated"}:
                asked.add(found["url"])
        urls = (urlsplit(url) for url in asked)
        hosts = {url.netloc for url in urls if url.scheme not in _NOBODY}
        return hosts - self._opened

    def assert_nothing_went_wrong(self) -> None:
        """No error in the console, nothing refused by the policy, nobody else asked."""
        violations = self.violations()
        assert violations == [], violations
        errors = [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE"
            and not any(part in entry["message"] for part in self.expected)
        ]
        assert errors == [], errors
        strangers = self.strangers()
        assert strangers == set(), strangers


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Started and ended."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        if os.environ.get("CI") == "true":
            pytest.fail("chromium or its driver is missing")
        pytest.skip("Chromium and its driver aren't installed: apt-get install chromium-driver")
    options = Options()
    options.binary_location = program
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
    ):
        options.add_argument(argument)
    # Selenium's own manager would ask for drivers, and count who does.
    os.environ.update(SE_OFFLINE="true", SE_AVOID_STATS="true")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    made = webdriver.Chrome(options=options, service=Service(driver))
    try:
        made.set_script_timeout(60)
        made.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _WATCH})
        yield Browser(made)
    finally:
        made.quit()
