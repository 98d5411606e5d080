"""Two Prometheus that do the same: people are told once, and what they keep has no gap."""

from __future__ import annotations

import itertools
import urllib.parse
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from tests import alert_stubs
from tests.stack.alerting_kit import PATIENCE_S, QuickAlertmanager, QuickPrometheus, quicker, told
from tests.stack.stack_kit import Prometheus, ask, running, wait_until
from tests.stack.watching_kit import DEPLOY

SCRAPED = 'up{cluster="shop",job="collector"}'
SCRAPE_S = 4
FORGOTTEN_S = 25.0
"""Alertmanager takes an alert for over when Prometheus hasn't told it again for 20 s."""


class Store(Prometheus):
    """With deploy/prometheus/prometheus-store.yml."""

    def command(self) -> list[str]:
        """See the class."""
        command = [*super().command(), "--web.enable-remote-write-receiver"]
        (self.folder / "prometheus.yml").write_text(
            (DEPLOY / "prometheus/prometheus-store.yml").read_text()
        )
        return command

    def times_s(self) -> dict[str, list[float]]:
        """When each of the pair has scraped."""
        asked = urllib.parse.urlencode({"query": f"{SCRAPED}[5m]"})
        found = ask(f"{self.url}/api/v1/query?{asked}")["data"]["result"]
        return {
            each["metric"]["replica"]: [time_s for time_s, _ in each["values"]] for each in found
        }


class OneOfPair(QuickPrometheus):
    """With deploy/prometheus/prometheus-pair.yml."""

    def __init__(self, folder: Path, replica: str, store: Store, places: dict[str, int]) -> None:
        super().__init__(folder / replica, places, quicker)
        self.environment["PROMETHEUS_REPLICA"] = replica
        self._store = store

    def command(self) -> list[str]:
        """See the class."""
        command = super().command()
        text = quicker((DEPLOY / "prometheus/prometheus-pair.yml").read_text())
        text = text.replace("http://prometheus-store:9090", self._store.url)
        config: Any = self._placed(yaml.safe_load(text))
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        return command


def test_people_are_told_once_and_the_store_has_no_gap_when_one_dies(tmp_path: Path) -> None:
    well: list[bool] = []

    def scraped(_: alert_stubs.Request) -> alert_stubs.Answer:
        return alert_stubs.Answer(200 if well else 500, {"Content-Type": "text/plain"})

    with (
        alert_stubs.served(scraped, "/metrics") as target,
        alert_stubs.webhook() as people,
        alert_stubs.webhook() as site,
    ):
        alertmanager = QuickAlertmanager(tmp_path, site.port, [people.url], quicker)
        places = {"collector:8888": target.port, "alertmanager:9093": alertmanager.port}
        store = Store(tmp_path / "store")
        first, second = (OneOfPair(tmp_path, name, store, places) for name in "ab")

        def times_s(of: str) -> list[float]:
            return store.times_s().get(of, [])

        with running(alertmanager, store, first, second):
            for one in (first, second):
                wait_until(partial(one.firing, "TargetDown"), PATIENCE_S, "both fire")
            wait_until(lambda: times_s("a") and times_s("b"), PATIENCE_S, "both in the store")
            wait_until(lambda: told(people, "TargetDown"), PATIENCE_S, "people are told")
            first.kill()
            wait_until(
                lambda: times_s("b")[-1] - times_s("a")[-1] > FORGOTTEN_S, PATIENCE_S, "it is dead"
            )
            assert told(people, "TargetDown") == ["firing"]
            well.append(True)
            wait_until(lambda: len(told(people, "TargetDown")) > 1, PATIENCE_S, "its end")
            all_s = sorted(itertools.chain(*store.times_s().values()))

        assert told(people, "TargetDown") == ["firing", "resolved"]
        occurrences = {
            (alert["fingerprint"], alert["startsAt"])
            for document in site.documents
            for alert in document["alerts"]
            if alert["labels"]["alertname"] == "TargetDown"
        }
        assert len(occurrences) == 1
        assert all_s[-1] - all_s[0] > FORGOTTEN_S
        assert max(after - at for at, after in itertools.pairwise(all_s)) < 2 * SCRAPE_S
