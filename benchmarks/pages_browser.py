"""How long a browser takes to open a trace of 20,000 spans.

``python -m benchmarks.pages_browser [--store PATH] [--rounds 7]``

In milliseconds since the address was asked for: until the answer begins, until something of it is
painted, until all is loaded. ``--store`` is one of ``benchmarks.pages``; without it one is made
that has the trace alone. The browser is the system's Chromium, the site Django's own server.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import pages_store, store
from otel_django.backends.embedded import EmbeddedReader
from otel_django.contracts import TraceQuery
from otel_django.store.writer import StoreWriter
from tests.browser.looking import chromium
from tests.browser.sites import site_over
from tests.store_spans import SpanSource

if TYPE_CHECKING:
    from tests.browser.looking import Browser

LOADED_MS = 1000.0
_TIMES = """
const page = performance.getEntriesByType("navigation")[0];
const painted = performance.getEntriesByName("first-contentful-paint")[0];
return page.loadEventEnd && painted
  ? {answered: page.responseStart, painted: painted.startTime, loaded: page.loadEventEnd}
  : null;
"""


def one_trace(path: Path) -> None:
    """A store that has it alone."""
    writer = StoreWriter(path, retention_hours=24, max_mb=1024, drops=store.NoLosses())
    pages_store._long_trace(writer, SpanSource(), time.time_ns())
    writer.close(time.monotonic() + 60)


def longest(path: Path) -> str:
    """The id of the trace that took longest."""
    reader = EmbeddedReader(path)
    (found,) = reader.list_traces(TraceQuery(slowest_first=True, limit=1)).traces
    return found.trace_id


def opened(browser: Browser, address: str) -> dict[str, float]:
    """What the browser measured."""
    browser.open("about:blank")
    browser.open(address)
    found: Any = browser.wait(lambda: browser.driver.execute_script(_TIMES))
    return {name: float(each) for name, each in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--store", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="otel-django-pages-") as folder:
        path = options.store or Path(folder) / "store.sqlite3"
        if options.store is None:
            one_trace(path)
        with site_over(path) as site, chromium() as browser:
            browser.begin()
            address = f"{site.address}traces/{longest(path)}/?range=7d"
            times = [opened(browser, address) for _ in range(options.rounds + 1)][1:]
    for name in times[0]:
        found = sorted(each[name] for each in times)
        print(f"{name:9} {statistics.median(found):6.0f} ms median, {found[-1]:6.0f} ms most")
    if statistics.median(each["loaded"] for each in times) > LOADED_MS:
        print(f"over the budget of {LOADED_MS:.0f} ms")


if __name__ == "__main__":
    main()
