"""Alertmanager, and Prometheus with its rules and scrapes, by the files that users get.

places = {"web:8000": site_port, "collector:8888": collector.metrics_port}
alertmanager = Alertmanager(folder, site_port)
watching = Watching(folder, {**places, "alertmanager:9093": alertmanager.port})
with running(alertmanager, watching): ...
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from tests.integration.servers import program
from tests.server_process import ROOT
from tests.stack.stack_kit import Prometheus, Service

DEPLOY: Final = ROOT / "deploy"
TOKEN: Final = "sesame-of-the-site"
"""What the site has to know as OTEL_DJANGO_TOKENS."""
TOKEN_FILE: Final = "/run/secrets/site_token"
ITSELF: Final = "localhost:9090"


def often(text: str) -> str:
    """Scrapes and evaluations every two seconds; the times that rules look back stay."""
    return re.sub(r"\b(\w*interval): (15s|1m)$", r"\1: 2s", text, flags=re.MULTILINE).replace(
        "scrape_timeout: 10s", "scrape_timeout: 2s"
    )


class Alertmanager(Service):
    """Debian's, with deploy/alertmanager/alertmanager.yml: it tells the site and ``people``.

    It has these for ``on-call`` and ``team`` alike. ``rewrite`` is applied to the file's text.
    """

    name = "alertmanager"
    ready_path = "/-/ready"

    def __init__(
        self,
        folder: Path,
        site_port: int,
        people: Sequence[str] = (),
        rewrite: Callable[[str], str] = str,
    ) -> None:
        super().__init__(folder)
        self._site_port, self._people, self._rewrite = site_port, people, rewrite

    def command(self) -> list[str]:
        """See the class."""
        text = self._rewrite((DEPLOY / "alertmanager/alertmanager.yml").read_text())
        text = text.replace("//web:8000/", f"//127.0.0.1:{self._site_port}/")
        config = yaml.safe_load(text.replace(TOKEN_FILE, str(token_file(self.folder))))
        for receiver in config["receivers"]:
            if receiver["name"] != "otel_django":
                receiver["webhook_configs"] = [{"url": url} for url in self._people]
        file = self.folder / "alertmanager.yml"
        file.write_text(yaml.safe_dump(config))
        return [
            program("prometheus-alertmanager", "alertmanager"),
            f"--config.file={file}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
        ]


class Watching(Prometheus):
    """With deploy/prometheus whole: what it scrapes, its rules, where it tells of alerts.

    ``places`` says at which port of this machine each of the files' ``host:port`` is; what has none
    is not scraped. More can be added before it is started. ``rewrite`` is applied to the text of
    each file.
    """

    def __init__(
        self,
        folder: Path,
        places: Mapping[str, int],
        rewrite: Callable[[str], str] = often,
    ) -> None:
        super().__init__(folder)
        self.places = {**places, ITSELF: self.port}
        self._rewrite = rewrite

    def command(self) -> list[str]:
        """See the class."""
        command, source = super().command(), DEPLOY / "prometheus"
        for path in (source / "prometheus.yml", source / "scrape.yml", *source.glob("rules/*.yml")):
            copy = self.folder / path.relative_to(source)
            copy.parent.mkdir(exist_ok=True)
            copy.write_text(self._rewrite(path.read_text()))
        for name in ("prometheus.yml", "scrape.yml"):
            file = self.folder / name
            text = file.read_text().replace(TOKEN_FILE, str(token_file(self.folder)))
            file.write_text(yaml.safe_dump(self._placed(yaml.safe_load(text))))
        return command

    def _placed(self, part: Any) -> Any:
        """The configuration with this machine's addresses."""
        if isinstance(part, list):
            return [self._placed(each) for each in part]
        if not isinstance(part, dict):
            return part
        if "targets" in part:
            known = [self.places[each] for each in part["targets"] if each in self.places]
            return {**part, "targets": [f"127.0.0.1:{port}" for port in known]}
        return {key: self._placed(value) for key, value in part.items()}


def token_file(folder: Path) -> Path:
    """Where a program reads the site's token."""
    file = folder / "site_token"
    file.write_text(TOKEN)
    return file


class RedisExporter(Service):
    """Debian's, for a Redis of this machine."""

    name = "redis-exporter"
    ready_path = "/health"

    def __init__(self, folder: Path, redis_port: int) -> None:
        super().__init__(folder)
        self._redis_port = redis_port

    def command(self) -> list[str]:
        """See the class."""
        return [
            program("prometheus-redis-exporter"),
            f"-redis.addr=redis://127.0.0.1:{self._redis_port}",
            f"-web.listen-address=127.0.0.1:{self.port}",
        ]


class PostgresExporter(Service):
    """Debian's, for a PostgreSQL of this machine."""

    name = "postgres-exporter"
    ready_path = "/"

    def __init__(self, folder: Path, postgresql_port: int, database: str) -> None:
        super().__init__(folder)
        where = f"127.0.0.1:{postgresql_port}/{database}?sslmode=disable"
        self.environment = {"DATA_SOURCE_URI": where, "DATA_SOURCE_USER": "postgres"}

    def command(self) -> list[str]:
        """See the class."""
        return [
            program("prometheus-postgres-exporter"),
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]
