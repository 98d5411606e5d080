"""Of two Prometheus servers that write to a third one may die: the third has no gap."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from tests.integration.servers import free_port, program
from tests.servers.test_run_monitoring import until

DEPLOY: Final = Path(__file__).parents[2] / "deploy" / "prometheus"
SINCE_3: Final = ("otlp", "scrape_config_files", "rule_files", "alerting")
SCRAPED: Final = 'up{cluster="shop", job="prometheus"}'


class Prometheus:
    """A running one, of a file in ``deploy``, twenty times as quick, that scrapes itself."""

    def __init__(self, folder: Path, file: str, port: int, **changes: Any) -> None:
        self.url = f"http://127.0.0.1:{port}"
        folder.mkdir()
        text = re.sub(r"\b1[05]s\b", "500ms", (DEPLOY / file).read_text())
        config = yaml.safe_load(text) | changes
        for key in SINCE_3:
            config.pop(key, None)
        (folder / "prometheus.yml").write_text(json.dumps(config))
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    program("prometheus"),
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                    "--web.enable-remote-write-receiver",
                    "--enable-feature=exemplar-storage,expand-external-labels",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PROMETHEUS_REPLICA": folder.name},
            )

    def ask(self, path: str, **parameters: object) -> list[dict[str, Any]]:
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                found: list[dict[str, Any]] = json.load(response)["data"]["result"]
        except OSError:
            assert self.process.poll() is None, self._log.read_text()
            return []
        return found

    def has(self, replica: str) -> bool:
        return bool(self.ask("query", query=f'{SCRAPED[:-1]}, replica="{replica}"}}'))


@contextmanager
def three(folder: Path) -> Iterator[tuple[Prometheus, Prometheus, Prometheus]]:
    ports = [free_port() for _ in range(3)]
    pair = yaml.safe_load((DEPLOY / "prometheus-pair.yml").read_text())["remote_write"]
    written = [{**pair[0], "url": f"http://127.0.0.1:{ports[2]}/api/v1/write"}]
    with ExitStack() as stack:
        started = []
        for name, file, port in zip(
            ("a", "b", "store"),
            ("prometheus-pair.yml", "prometheus-pair.yml", "prometheus-store.yml"),
            ports,
            strict=True,
        ):
            changes: dict[str, Any] = {}
            if name != "store":
                scraped = [{"targets": [f"127.0.0.1:{port}"]}]
                changes["scrape_configs"] = [{"job_name": "prometheus", "static_configs": scraped}]
                changes["remote_write"] = written
            one = Prometheus(folder / name, file, port, **changes)
            stack.callback(one.process.wait, 10)
            stack.callback(one.process.kill)
            started.append(one)
        yield started[0], started[1], started[2]


def test_the_store_has_no_gap_when_one_of_the_pair_dies(tmp_path: Path) -> None:
    with three(tmp_path) as (first, _, store):
        until(lambda: store.has("a") and store.has("b"))
        time.sleep(3)
        first.process.kill()
        time.sleep(8)
        kept = {
            one["metric"]["replica"]: [at for at, _ in one["values"]]
            for one in store.ask("query", query=f"{SCRAPED}[1m]")
        }
    assert kept.keys() == {"a", "b"}
    assert kept["b"][-1] - kept["a"][-1] > 5  # it did die
    both = sorted(at for times_s in kept.values() for at in times_s)
    assert both[-1] - both[0] > 8
    assert max(after - at for at, after in itertools.pairwise(both)) < 2
