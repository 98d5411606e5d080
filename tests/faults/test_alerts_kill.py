"""Notifications outlive the process that sends them."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from otel_django.alerts.keeping.contract import SENDING_MS, Changes
from tests import alert_kit as kit
from tests import alert_stubs as stubs
from tests.alert_kit import outgoing
from tests.alert_stubs import AlertStub, Answer
from tests.keeping_kit import FENCE, keeper, kept_in_sqlite
from tests.server_process import ROOT

RUNS = 20
NOTIFICATIONS = 400


@contextmanager
def sending(folder: Path, stub: AlertStub, run: int) -> Iterator[subprocess.Popen[bytes]]:
    """What the last one had in hand is due again: each run is half a minute later."""
    offset_ms = run * (SENDING_MS + 1000)
    command = [sys.executable, "-m", "tests.faults.alert_sender", str(folder), stub.url]
    process = subprocess.Popen([*command, str(offset_ms)], cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_twenty_kills_lose_no_notification_and_double_at_most_one_each(tmp_path: Path) -> None:
    chance = random.Random(9)
    now_ms = time.time_ns() // 1_000_000
    with kept_in_sqlite(tmp_path), stubs.webhook() as stub:
        fill(tmp_path, now_ms)
        stub.answers.extend(
            Answer(chance.choice([200, 200, 200, 500, 429]), delay_s=chance.uniform(0, 0.02))
            for _ in range(NOTIFICATIONS)
        )
        for run in range(RUNS):
            with sending(tmp_path, stub, run):
                wait_until(partial(has_more, stub, len(stub.requests)))
                time.sleep(chance.uniform(0, 0.15))
        with sending(tmp_path, stub, RUNS + 3):
            wait_until(lambda: is_done(stub))
            time.sleep(0.5)
        times = Counter(one["key"] for one in stub.documents)
    print(f"{RUNS} kills: {len(times)} told, {times.total() - len(times)} of them twice")
    assert set(times) == {f"key-{number}" for number in range(NOTIFICATIONS)}
    assert times.total() - len(times) <= RUNS


def fill(folder: Path, now_ms: int) -> None:
    kept = keeper(folder)
    said = [
        kit.notification(key=f"key-{number}", group_key=f"group-{number}", created_ms=now_ms)
        for number in range(NOTIFICATIONS)
    ]
    kept.save(Changes(outgoing=[outgoing(one, "webhook") for one in said]), FENCE)
    kept.close()


def has_more(stub: AlertStub, before: int) -> bool:
    return len(stub.requests) > before or is_done(stub)


def is_done(stub: AlertStub) -> bool:
    return len({one["key"] for one in stub.documents}) == NOTIFICATIONS


def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)
