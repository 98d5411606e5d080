"""One of two services is killed again and again while receivers fail: nothing is lost.

``ALERT_KILLS`` (5) and ``ALERT_SEED`` are for longer runs, in which leases run out by themselves.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.faults import alert_service_kit as kit
from tests.integration import servers
from tests.servers.test_run_monitoring import Monitoring

FEW: Final = 5
KILLS: Final = int(os.environ.get("ALERT_KILLS", FEW))
SEED: Final = int(os.environ.get("ALERT_SEED", "9"))
HOSTS: Final = ("one", "other")
CHANNELS: Final = {"webhook", "slack", "email", "pagerduty"}
GROUP_BY: Final = "alertname,severity,messaging.destination.name"


class Trial:
    """Two hosts' services; queues grow and shrink while one after the other is killed."""

    def __init__(self, site: kit.Site, kills: int, chance: random.Random) -> None:
        self.site = site
        self.kills = kills
        self.chance = chance
        self.in_haste = kills <= FEW
        self.names = [f"queue-{number}" for number in range(max(8, kills))]
        site.queues.lengths = dict.fromkeys(self.names, 1.0)

    def run(self) -> dict[str, int]:
        """How many were doubled, by channel."""
        self.site.told.misbehave(self.chance, len(self.names))
        with contextlib.ExitStack() as stack:
            running = {host: self._begin(stack, host) for host in HOSTS}
            self.look(8.0)
            for _ in range(self.kills):
                self.grow()
                self.look(self.chance.uniform(0.5, 6.0))
                self._kill_one(stack, running)
            while self.grow():
                self.look(1.0)
            self.look_until(lambda: self.fired() == set(self.names), 90)
            self.site.queues.lengths = dict.fromkeys(self.names, 1.0)
            self.look_until(self.is_over, 150, self.missing)
        return self.judge()

    def _begin(self, stack: contextlib.ExitStack, host: str) -> Monitoring:
        return stack.enter_context(self.site.service(host, "--interval", "1"))

    def _kill_one(self, stack: contextlib.ExitStack, running: dict[str, Monitoring]) -> None:
        leading = [host for host in HOSTS if kit.leads(running[host])]
        host = self.chance.choice([*HOSTS, *leading, *leading])
        led = host in leading
        kit.kill(running[host])
        running[host] = self._begin(stack, host)
        if led and self.in_haste:
            self.site.let_lease_run_out()
        elif led:
            self.look(22.0)

    def grow(self) -> bool:
        """One more queue is too long; False: all are."""
        small = [name for name, length in self.site.queues.lengths.items() if length == 1.0]
        if small:
            self.site.queues.lengths[small[0]] = kit.TOO_LONG
        return len(small) > 1

    def look_until(
        self,
        condition: Callable[[], bool],
        timeout_s: float,
        why: Callable[[], object] = lambda: "",
    ) -> None:
        end_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end_s, why()
            self.look(1.0)

    def look(self, seconds: float) -> None:
        """So much time passes."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self.site.queues.tell()
            time.sleep(min(1.0, max(0.0, end_s - time.monotonic())))

    def told(self) -> list[tuple[str, str, str]]:
        """(channel, queue, kind) of what was delivered."""
        rows = ((row, kit.queue_of(row)) for row in self.site.notifications())
        return [(row.channel, queue, row.kind) for row, queue in rows if queue]

    def fired(self) -> set[str]:
        return {queue for _, queue, kind in self.told() if kind == "fired"}

    def is_over(self) -> bool:
        waiting = any(row.state == "waiting" for row in self.site.notifications())
        return not waiting and len(self.told()) >= 2 * len(self.names) * len(CHANNELS)

    def missing(self) -> object:
        rows = self.site.notifications()
        return [
            (row.channel, row.kind, row.attempts, kit.queue_of(row))
            for row in rows
            if row.state == "waiting"
        ], Counter(kind for _, _, kind in self.told())

    def judge(self) -> dict[str, int]:
        wanted = {(channel, name) for channel in CHANNELS for name in self.names}
        told = Counter(self.told())
        assert set(told) == {(*one, kind) for one in wanted for kind in ("fired", "resolved")}
        assert set(told.values()) == {1}  # nothing was told with another key
        taken = self.site.told.taken()
        rows = self.site.notifications()
        for row in rows:
            assert row.state == "delivered", row
            assert kit.name_of(row) in taken[row.channel]
        # what else fires may do so twice, which looks the same to PagerDuty
        unique = {
            kit.name_of(row) for row in rows if row.channel != "pagerduty" or kit.queue_of(row)
        }
        return {
            channel: sum(times - 1 for name, times in Counter(ids).items() if name in unique)
            for channel, ids in taken.items()
        }


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_kills_lose_nothing_and_double_at_most_one_each(kind: str, tmp_path: Path) -> None:
    more = {"OTEL_DJANGO_ALERTS_GROUP_BY": GROUP_BY, "OTEL_DJANGO_ALERTS_TIMEOUT": "2"}
    with (
        servers.postgresql() if kind == "postgresql" else contextlib.nullcontext() as server,
        kit.site(tmp_path, server, **more) as site,
    ):
        trial = Trial(site, KILLS, random.Random(SEED))
        doubled = trial.run()
    print(f"{KILLS} kills, seed {SEED}, {kind}: none lost, doubled {doubled}")
    assert max(doubled.values()) <= KILLS
