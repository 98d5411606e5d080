"""Probes through restarts of every service, for as many as are wanted; prints what it found.

    python -m tests.faults.health_soak [--probes 100000] [--rate 250]

gunicorn has four workers. Each service is gone, hangs or is cut off for some seconds, one after the
other. Exit code 1 where a promise isn't kept.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from tests.faults.services_kit import (
    BUDGET_S,
    Probed,
    Services,
    gunicorn,
    probe,
    probe_on,
    quantile,
    services,
    wait_for,
    workers,
)
from tests.server_process import Server, serving

DOWN_S = 8.0
UP_S = 8.0
PIECE_S = 10.0
TIMEOUT_S = 2.0
TTL_S = 5.0
SETTLED_S = TTL_S + TIMEOUT_S + 2 * BUDGET_S
"""How long after a change either status is right."""
IN_TIME = 0.999
ADDED_MB = 50.0
OF_A_CORE = 0.05
QUIET_S = 60.0


class Change(NamedTuple):
    """``critical`` services that don't answer from ``at_s`` on."""

    at_s: float
    critical: bool


class Restarts(threading.Thread):
    """Stops and starts the services in turn; ``changes`` says when."""

    def __init__(self, site: Services) -> None:
        super().__init__(name="restarts")
        self.changes = [Change(time.monotonic(), critical=False)]
        self.counted = 0
        self._site = site
        self._over = threading.Event()

    def run(self) -> None:
        ways = cycle(("gone", "hang", "cut"))
        for name in cycle(self._site.proxies):
            if self._over.wait(UP_S):
                return
            self.changes.append(Change(time.monotonic(), critical=name != "http"))
            getattr(self._site.proxies[name], next(ways))()
            self._over.wait(DOWN_S)
            self._site.proxies[name].pass_on()
            self.changes.append(Change(time.monotonic(), critical=False))
            self.counted += 1

    def end(self) -> None:
        self._over.set()
        self.join()

    def right(self, probed: Probed) -> bool:
        """200 or the right 503: what is so now, or has been so until a moment ago."""
        before = [each for each in self.changes if each.at_s <= probed.began_s + probed.took_s]
        recent = {each.critical for each in before if probed.began_s - each.at_s < SETTLED_S}
        older = [each.critical for each in before if probed.began_s - each.at_s >= SETTLED_S]
        possible = recent | set(older[-1:])
        return probed.status in {503 if critical else 200 for critical in possible}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--probes", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=250.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, services() as site:
        env = site.environ(OTEL_DJANGO_RUN_DIR=folder, OTEL_DJANGO_HEALTH_TTL=f"{TTL_S:g}")
        with serving(gunicorn("--workers=4"), env) as server:
            wait_for(server, lambda found: found.status == 200)
            found = soak(server, site, asked.probes, asked.rate)
    print(json.dumps(found, indent=2))
    kept = (
        found["in_time_and_right"] >= IN_TIME
        and found["added_mb"] <= ADDED_MB
        and found["of_a_core"] <= OF_A_CORE
    )
    return 0 if kept else 1


def soak(server: Server, site: Services, probes: int, rate: float) -> dict[str, float]:
    """The figures."""
    probe_on(server, 10, rate, "/ready/", "/health/")
    of_a_core = collection(server)
    before_mb = memory_mb(server)
    restarts = Restarts(site)
    restarts.start()
    probed: list[Probed] = []
    for piece in pieces(probes, int(PIECE_S * rate)):
        probed += [_small(each) for each in probe_on(server, piece / rate, rate, threads=16)]
        print(f"{len(probed)} probes", file=sys.stderr, flush=True)
    restarts.end()
    good = [each for each in probed if each.took_s <= BUDGET_S and restarts.right(each)]
    took_s = [each.took_s for each in probed]
    return {
        "probes": len(probed),
        "restarts": restarts.counted,
        "in_time_and_right": len(good) / len(probed),
        "late": sum(each > BUDGET_S for each in took_s),
        "wrong": sum(not restarts.right(each) for each in probed),
        "p50_ms": 1000 * quantile(took_s, 0.5),
        "p999_ms": 1000 * quantile(took_s, 0.999),
        "slowest_ms": 1000 * max(took_s),
        "added_mb": memory_mb(server) - before_mb,
        "of_a_core": of_a_core,
    }


def _small(probed: Probed) -> Probed:
    return probed._replace(body=b"")


def pieces(probes: int, most: int) -> Iterator[int]:
    while probes > 0:
        yield min(most, probes)
        probes -= most


def collection(server: Server) -> float:
    """What all checks, asked once a TTL, cost of a processor, with the requests that ask."""
    idle_s = cpu_s(server)
    time.sleep(QUIET_S / 2)
    idle_s = (cpu_s(server) - idle_s) * 2
    spent_s = cpu_s(server)
    end_s = time.monotonic() + QUIET_S
    while time.monotonic() < end_s:
        probe(server, "/health/")
        time.sleep(1)
    return max(0.0, cpu_s(server) - spent_s - idle_s) / QUIET_S


def cpu_s(server: Server) -> float:
    fields = [
        Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split() for pid in _all(server)
    ]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


def memory_mb(server: Server) -> float:
    """What the processes have for themselves."""
    lines = [
        line
        for pid in _all(server)
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        if line.startswith("Private_")
    ]
    return sum(int(line.split()[1]) for line in lines) / 1024


def _all(server: Server) -> list[int]:
    return [server.pid, *workers(server)]


if __name__ == "__main__":
    sys.exit(main())
