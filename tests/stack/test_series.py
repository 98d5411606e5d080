"""A host makes so many series and no more, however many of its processes come and go.

TESTS_STACK_RECYCLED is how many processes end and are replaced: a fifth gunicorn's, whose start
takes longer, and the others Celery's.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from tests.integration.shop_kit import BAD_CARD, GOOD_CARD, SHOP, Shop, Visitor, shop
from tests.integration.test_demo_endpoints import ALL
from tests.stack.stack_kit import Stack, ask, exporting_to, wait_until

RECYCLED: Final = int(os.environ.get("TESTS_STACK_RECYCLED", "200"))
SERVICE: Final = "series"
WORKERS: Final = 4
REQUESTS_A_WORKER: Final = 4
INTERVALS_S: Final = 12.0
"""Two exports of metrics, and what the Collector makes of the spans."""

MOST_SERIES: Final = 8000
"""docs/sizing.md says so: of one host under the demo's traffic, span metrics included."""
MOST_FILES: Final = 120
ROLES: Final = 6
"""web, worker, beat, command, other (the monitoring service) and host."""
CHECKED: Final = "health_check_duration"
"""Each role that asks the checks has these; the web asks where what others found is too old."""
LATE: Final = RECYCLED * 3 // 4
"""So many may be new that no process is to blame for, such as those of a statement that is rare."""

PLACES: Final = (
    "/search/?q=teapot",
    "/cart/",
    "/orders/",
    "/accounts/login/",
    *(path for method, path in map(str.split, ALL) if method == "GET"),
)


class Kept(NamedTuple):
    """What all programs hold of the shop: what has gone stale, too."""

    series: frozenset[tuple[tuple[str, str], ...]]
    head: int
    streams: int
    operations: frozenset[str]
    lines: int
    files: int

    def instances(self) -> Counter[str]:
        named = (dict(labels).get("instance") for labels in self.series)
        return Counter(filter(None, named))

    def by_metric(self) -> Counter[str]:
        return Counter(dict(labels)["__name__"] for labels in self.series)


def kept(programs: Stack, site: Shop) -> Kept:
    found = programs.prometheus.query(f'last_over_time({{job=~"|{SERVICE}",__name__!=""}}[1h])')
    matching = urllib.parse.urlencode({"match[]": f'{{service_name="{SERVICE}"}}'})
    return Kept(
        frozenset(tuple(sorted(each["metric"].items())) for each in found),
        ask(f"{programs.prometheus.url}/api/v1/status/tsdb")["data"]["headStats"]["numSeries"],
        len(ask(f"{programs.loki.url}/loki/api/v1/series?{matching}")["data"]),
        frozenset(ask(f"{programs.jaeger.url}/api/services/{SERVICE}/operations")["data"]),
        len(site.server.get("/metrics").body.splitlines()),
        sum(1 for each in Path(site.env["DEMO_DIR"], "telemetry").rglob("*") if each.is_file()),
    )


def visit(port: int) -> None:
    """All that a visitor, a balancer and a curious one can ask for."""
    visitor = Visitor(port)
    visitor.look_around()
    for card in (GOOD_CARD, BAD_CARD):
        visitor.buy(card)
    for place in PLACES:
        visitor.ask(place)
    assert visitor.unanswered == 0


def recycle(site: Shop, number: int) -> None:
    """A fifth of them end after some requests, the others after a task."""
    served = number // 5
    ordered = f"from shop.tasks import reserve\nfor _ in range({number - served}): reserve.delay(1)"
    command = [sys.executable, "manage.py", "shell", "--verbosity", "0", "--command", ordered]
    subprocess.run(command, cwd=SHOP, env=dict(site.env), check=True, capture_output=True)

    def come(_: int) -> int:
        visitor = Visitor(site.server.port)
        for _ in range(REQUESTS_A_WORKER):
            visitor.ask("/cart/")
        return visitor.unanswered

    with ThreadPoolExecutor(WORKERS) as pool:
        assert sum(pool.map(come, range(served + WORKERS))) == 0


@contextlib.contextmanager
def beside(site: Shop, *command: str) -> Iterator[None]:
    """Another of the shop's processes."""
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=SHOP,
        env=dict(site.env),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def processes_seen(programs: Stack, since_s: float) -> int:
    """How many processes there are whose spans have arrived."""
    window_s = 10.0
    windows = range(int((time.time() - since_s) // window_s) + 1)
    return len(
        {
            span["instance"]
            for start_s in (since_s + window_s * each for each in windows)
            for span in programs.jaeger.spans(SERVICE, start_s, start_s + window_s)
        }
    )


def test_series_are_bounded_and_the_same_after_many_recycled_workers(
    programs: Stack, tmp_path: Path
) -> None:
    env = {**exporting_to(programs.collector), "OTEL_SERVICE_NAME": SERVICE}
    options = ("--workers", str(WORKERS), "--preload", "--max-requests", str(REQUESTS_A_WORKER))
    with (
        shop(tmp_path, *options, tasks_per_child=1, more_env=env) as site,
        beside(site, "-m", "celery", "-A", "shop", "beat"),
        beside(site, "manage.py", "run_monitoring"),
    ):
        visit(site.server.port)
        recycle(site, 2 * WORKERS)
        wait_until(lambda: len(kept(programs, site).instances()) == ROLES, 60, "every role")
        visit(site.server.port)
        time.sleep(INTERVALS_S)
        before, began_s = kept(programs, site), time.time()

        recycle(site, RECYCLED)
        wait_until(
            lambda: processes_seen(programs, began_s) >= RECYCLED, 60 + RECYCLED, "their spans"
        )
        print(f"{RECYCLED} recycled in {time.time() - began_s:.0f} s")
        visit(site.server.port)
        time.sleep(INTERVALS_S)
        after = kept(programs, site)

    for name, figures in (("before", before), ("after", after)):
        counted = [f"{field} {_count(value)}" for field, value in figures._asdict().items()]
        print(name, *counted)
    print(after.instances(), after.by_metric().most_common())
    new = after.series - before.series
    print("new", Counter(dict(each)["__name__"] for each in new).most_common())
    late = LATE + sum(dict(each)["__name__"].startswith(CHECKED) for each in new)
    assert after.instances().keys() == before.instances().keys()
    assert len(new) <= late
    assert after.head - before.head <= late
    assert len(after.series) <= MOST_SERIES
    assert after.streams == before.streams == 1
    assert len(after.operations - before.operations) <= LATE
    assert after.lines - before.lines <= LATE
    assert after.files <= MOST_FILES


def _count(value: object) -> int:
    return value if isinstance(value, int) else len(value)  # type: ignore[arg-type]
