"""What the other tests rely on: whatever goes wrong on a page fails the test that opened it."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.looking import Browser

STRICT = "default-src 'none'; script-src 'self'"
PAGES = {
    "/well": ("", "<h1>Well</h1>", ""),
    "/throws": ("", "<script>throw new Error('broken');</script>", "broken"),
    "/rejects": ("", "<script>Promise.reject(new Error('broken'));</script>", "broken"),
    "/says": ("", "<script>console.error('broken');</script>", "broken"),
    "/missing": ("", "<img src='/nothing.png' alt=''>", "404"),
    "/inline": (STRICT, "<script>document.title = 'inline';</script>", "script-src"),
    "/styled": (STRICT, "<p style='color: red'>red</p>", "style-src"),
    "/handled": (STRICT, "<img src='data:,' onerror='alert(1)' alt=''>", "script-src-attr"),
    "/stranger": ("", "<img src='http://localhost:{port}/well' alt=''>", "localhost"),
    "/overlaps": (
        "",
        "<main><table width=90><td width=30>" + "long" * 9 + "<td>b</table></main>",
        "",
    ),
    "/socket": ("", "<script>new WebSocket('ws://localhost:{port}/');</script>", "localhost"),
}
"""Path → policy, body, and what is said of it."""


class _Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        policy, body, _ = PAGES.get(self.path, ("", "", ""))
        self.send_response(200 if self.path in PAGES else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        if policy:
            self.send_header("Content-Security-Policy", policy)
        self.end_headers()
        port = self.connection.getsockname()[1]
        icon = "<!doctype html><link rel='icon' href='data:,'>"
        self.wfile.write((icon + body.replace("{port}", str(port))).encode())

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def pages() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Pages) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


def test_nothing_is_found_on_a_page_that_is_well(pages: str, browser: Browser) -> None:
    browser.open(f"{pages}/well")
    browser.assert_nothing_went_wrong()


@pytest.mark.parametrize("path", [path for path, (*_, said) in PAGES.items() if said])
def test_what_goes_wrong_is_found(path: str, pages: str, browser: Browser) -> None:
    browser.open(pages + path)
    browser.expected = ["WebSocket"]
    with pytest.raises(AssertionError, match=PAGES[path][-1]):
        browser.wait(browser.assert_nothing_went_wrong, 3)
    browser.begin()


def test_what_went_wrong_is_found_on_a_later_page(pages: str, browser: Browser) -> None:
    browser.open(f"{pages}/inline")
    browser.open(f"{pages}/well")
    with pytest.raises(AssertionError, match="script-src"):
        browser.assert_nothing_went_wrong()
    browser.begin()


def test_a_text_over_its_neighbours_is_found(pages: str, browser: Browser) -> None:
    browser.open(f"{pages}/overlaps")
    browser.driver.execute_script("document.querySelector('table').style.tableLayout = 'fixed';")
    assert len(browser.faults_of_layout()) == 1
