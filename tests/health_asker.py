"""A process that looks at the health of one dependency again and again.

    python -m tests.health_asker PORT FOLDER PROCESSES RATE SECONDS TTL TIMEOUT

Forks ``PROCESSES`` that each look RATE times a second, and each print a JSON line at the end:
``{looks, statuses, slowest_s}``. The dependency is asked over TCP: what is sent is to come back.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path

from otel_django.clock import SYSTEM_CLOCK
from otel_django.conf import Settings
from otel_django.health.check import Registered
from otel_django.health.engine import Engine
from otel_django.health.registry import Registry
from otel_django.metrics.host_folder import HostFolder


def asker(port: int, folder: Path, ttl_s: float, timeout_s: float) -> Engine:
    """An engine with the one check ``it``."""

    def run() -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(b"PING")
            connection.recv(4)

    registry = Registry()
    registry.add(Registered("it", run, timeout_s=timeout_s, ttl_s=ttl_s))
    host = HostFolder(folder, pause=lambda: None)
    return Engine(Settings(), registry, folder=host, clock=SYSTEM_CLOCK)


def look_on(engine: Engine, rate: float, seconds: float) -> None:
    """At a steady pace."""
    began_s = time.monotonic()
    looks, slowest_s, statuses = 0, 0.0, set()
    while time.monotonic() - began_s < seconds:
        report = engine.report()
        slowest_s = max(slowest_s, report.duration_s)
        statuses.add(report.checks[0].status)
        looks += 1
        time.sleep(max(0.0, began_s + looks / rate - time.monotonic()))
    told = {"looks": looks, "statuses": sorted(statuses), "slowest_s": slowest_s}
    os.write(1, f"{json.dumps(told)}\n".encode())  # whole, among those of the others


def main() -> None:
    port, folder, processes, rate, seconds, ttl_s, timeout_s = sys.argv[1:]
    children = []
    for _ in range(int(processes)):
        child = os.fork()
        if child == 0:
            engine = asker(int(port), Path(folder), float(ttl_s), float(timeout_s))
            look_on(engine, float(rate), float(seconds))
            sys.stdout.flush()
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
