"""Prometheus evaluates a real site's rules, Alertmanager tells, and what is decided goes back."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import yaml

from tests import alert_stubs
from tests.integration.servers import free_port, program
from tests.server_process import Server, gunicorn, serving
from tests.servers.test_run_monitoring import environ_of, manage, monitoring, until

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
QUICKER: Final = 30
PAUSE_S: Final = 0.5
"""The site limits how often one may ask for its alerts."""
TOKEN: Final = "sesame-of-the-site"
RULE: Final = "HighErrorRate"
SINCE_3: Final = ("otlp", "scrape_config_files")
LOGIN: Final = """
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
User.objects.create_superuser("anna")
client = Client()
client.force_login(User.objects.get())
print(client.cookies[settings.SESSION_COOKIE_NAME].value)
"""


def quicker(text: str) -> str:
    """Each time in a configuration or rule file, divided."""

    def scaled(found: re.Match[str]) -> str:
        seconds = int(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]
        return f"{max(1, seconds * 1000 // QUICKER)}ms"

    return re.sub(r"\b(\d+)([smhd])\b", scaled, text)


# --- the programs


@contextlib.contextmanager
def running(folder: Path, ready: str, *command: str) -> Iterator[None]:
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        until(lambda: process.poll() is not None or _answers(ready))
        assert process.poll() is None, log.read_text()
        yield
    except BaseException:
        print(log.read_text()[-5000:])
        raise
    finally:
        process.terminate()
        process.wait(10)


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
        return True
    return False


@contextlib.contextmanager
def alertmanager(folder: Path, port: int, site: int, people: str) -> Iterator[None]:
    """With the deployed file, quicker, and an address of those who are to be told."""
    text = quicker((DEPLOY / "alertmanager" / "alertmanager.yml").read_text())
    text = text.replace("http://web:8000/", f"http://127.0.0.1:{site}/")
    config = yaml.safe_load(text.replace("/run/secrets/site_token", str(folder / "token")))
    for receiver in config["receivers"]:
        if receiver["name"] != "otel_django":
            receiver["webhook_configs"] = [{"url": people}]
    (folder / "alertmanager.yml").write_text(json.dumps(config))
    with running(
        folder,
        f"http://127.0.0.1:{port}/-/ready",
        program("prometheus-alertmanager", "alertmanager"),
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ):
        yield


@contextlib.contextmanager
def prometheus(folder: Path, alertmanager_port: int, site: int, rules: str) -> Iterator[None]:
    """With the deployed files, quicker, of which it scrapes the site."""
    config = yaml.safe_load(quicker((DEPLOY / "prometheus" / "prometheus.yml").read_text()))
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "scrape.yml").read_text())
    for key in SINCE_3:
        config.pop(key)
    (folder / "rules.yml").write_text(quicker(rules))
    config["rule_files"] = [str(folder / "rules.yml")]
    config["scrape_configs"] = [
        one for one in scraped["scrape_configs"] if one["job_name"] == "shop"
    ]
    text = json.dumps(config)
    for old, new in (
        ("web:8000", f"127.0.0.1:{site}"),
        ("alertmanager:9093", f"127.0.0.1:{alertmanager_port}"),
        ("/run/secrets/site_token", str(folder / "token")),
    ):
        text = text.replace(old, new)
    (folder / "prometheus.yml").write_text(text)
    port = free_port()
    with running(
        folder,
        f"http://127.0.0.1:{port}/-/ready",
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
    ):
        yield


class Amtool:
    """As people use it."""

    def __init__(self, port: int) -> None:
        self._start = [program("amtool"), f"--alertmanager.url=http://127.0.0.1:{port}"]

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._start, *arguments], capture_output=True, text=True, timeout=30, check=True
        )
        return done.stdout

    def silences(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self("silence", "query", "--output=json"))
        return found


class Site:
    """Its pages as somebody sees who is logged in, and its JSON with the token."""

    def __init__(self, server: Server, session: str) -> None:
        self._server = server
        self._session = f"sessionid={session}"

    def alerts(self, state: str = "active") -> list[dict[str, Any]]:
        answer = self._server.get(
            f"/monitoring/alerts/?state={state}",
            Authorization=f"Bearer {TOKEN}",
            Accept="application/json",
        )
        found: list[dict[str, Any]] = json.loads(answer.body)["alerts"]
        return [one for one in found if (one["name"], one["severity"]) == (RULE, "critical")]

    def page(self, path: str) -> str:
        return self._get(path)[0]

    def _get(self, path: str) -> tuple[str, str]:
        answer = self._server.get(path, Cookie=self._session, Accept="text/html")
        assert answer.status == 200, answer.body
        cookie = SimpleCookie(answer.headers["Set-Cookie"])["csrftoken"].value
        return answer.body.decode(), cookie

    def send(self, path: str, **form: str) -> None:
        """As the form on the page does."""
        html, cookie = self._get(path)
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', html)
        assert found
        answer = self._server.get(
            path,
            "POST",
            urlencode({"csrfmiddlewaretoken": found[1], **form}).encode(),
            Cookie=f"{self._session}; csrftoken={cookie}",
            Content_Type="application/x-www-form-urlencoded",
        )
        assert answer.status == 302, answer.body


def test_alerts_go_from_prometheus_to_people_and_decisions_back(tmp_path: Path) -> None:
    port, site_port = free_port(), free_port()
    (tmp_path / "token").write_text(TOKEN)
    with alert_stubs.webhook() as people, alert_stubs.webhook() as channel:
        environ = environ_of(
            tmp_path,
            OTEL_DJANGO_ALERTS_EVALUATOR="prometheus",
            OTEL_DJANGO_ALERTMANAGER_URL=f"http://127.0.0.1:{port}",
            OTEL_DJANGO_TOKENS=TOKEN,
            OTEL_DJANGO_METRICS_ACCESS="none",
            ALERT_WEBHOOK_URL=channel.url,
        )
        assert manage(environ, "migrate", "-v0").returncode == 0
        session = manage(environ, "shell", "-v0", "-c", LOGIN).stdout.strip()
        rules = manage(environ, "otel", "rules").stdout
        with (
            serving(gunicorn(), environ, port=site_port) as server,
            monitoring(environ, tmp_path / "log"),
            prometheus(tmp_path, port, site_port, rules),
        ):
            site = Site(server, session)
            with alertmanager(tmp_path, port, site_port, people.url):
                fingerprint = fires(server, site, people)
                acknowledged(site, Amtool(port), fingerprint)
                recovers(server, site, Amtool(port))
            kept_while_alertmanager_is_away(site)
            with alertmanager(tmp_path, port, site_port, people.url):
                until(lambda: "a test of load" in Amtool(port)("silence", "query"))
        assert channel.requests == []  # those who evaluate tell, and nobody else
        assert told(people).count("firing") == 1


def told(people: alert_stubs.AlertStub) -> list[str]:
    """What people were told of the critical alert."""
    return [
        alert["status"]
        for document in people.documents
        for alert in document["alerts"]
        if (alert["labels"]["alertname"], alert["labels"]["severity"]) == (RULE, "critical")
    ]


def fires(server: Server, site: Site, people: alert_stubs.AlertStub) -> str:
    server.get("/plain/")
    began_s = time.monotonic()

    def does() -> bool:
        server.get("/answers-500/")
        time.sleep(PAUSE_S)
        return bool(site.alerts()) and bool(told(people))

    until(does, 45)
    print(f"first error to people and page: {time.monotonic() - began_s:.1f} s")
    [alert] = site.alerts()
    assert alert["labels"] == {"service.name": "shop"}
    assert alert["summary"].endswith("of the requests to shop fail")
    return str(alert["fingerprint"])


def acknowledged(site: Site, amtool: Amtool, fingerprint: str) -> None:
    site.send(f"/monitoring/alerts/{fingerprint}/", action="acknowledge", note="on it")
    [silence] = amtool.silences()
    assert silence["createdBy"] == "anna"
    assert silence["comment"].startswith("Acknowledged by anna: on it [otel_django ack")
    matched = {one["name"]: one["value"] for one in silence["matchers"]}
    assert matched.keys() == {"alertname", "job", "severity"}
    assert (matched["alertname"], matched["job"]) == (RULE, "shop")
    assert RULE in amtool("alert", "query", "--silenced", f"alertname={RULE}", "severity=critical")

    amtool("silence", "add", "--author=bob", "--comment=a deployment", "alertname=DiskFull")
    until(lambda: "a deployment" in site.page("/monitoring/alerts/silences/"))


def kept_while_alertmanager_is_away(site: Site) -> None:
    site.send(
        "/monitoring/alerts/silences/",
        action="silence",
        matchers="alertname=HighCpu",
        minutes="60",
        comment="a test of load",
    )
    page = site.page("/monitoring/alerts/silences/")
    assert "Alertmanager can&#x27;t be reached" in page
    assert "a test of load" in page


def recovers(server: Server, site: Site, amtool: Amtool) -> None:
    began_s = time.monotonic()

    def does() -> bool:
        server.get("/plain/")
        time.sleep(PAUSE_S)
        return not site.alerts()

    until(does, 60)
    print(f"recovery to the page: {time.monotonic() - began_s:.1f} s")
    [over] = site.alerts("history")
    assert (over["state"], over["acknowledged_by"]) == ("resolved", "anna")
    [silence] = until(lambda: len(found := amtool.silences()) == 1 and found)
    assert silence["comment"] == "a deployment"  # that of the acknowledgement has ended
