"""Real uWSGI, which forks past Python's hooks unless told otherwise."""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.server_process import Command, Server, serving
from tests.stub_collector import StubCollector

UWSGI = Path(sys.executable).with_name("uwsgi")


def uwsgi(*options: str) -> Command:
    """Four processes below a master that has loaded the site."""
    return lambda port: [
        *(str(UWSGI), "--http-socket", f"127.0.0.1:{port}", "--home", sys.prefix),
        *("--module", "tests.site.wsgi:application", "--need-app", "--die-on-term"),
        *("--master", "--processes", "4", "--enable-threads", *options),
    ]


def _wait_until_loaded(server: Server, times: int) -> None:
    """One that is ended while it loads the site says where it was."""
    deadline = time.monotonic() + 60
    while server.output().count("WSGI app 0") < times:
        assert time.monotonic() < deadline, server.output()
        time.sleep(0.1)


@pytest.mark.parametrize(
    "options", [[], ["--py-call-osafterfork"], ["--lazy-apps"]], ids=["plain", "hooks", "lazy"]
)
def test_P1_every_process_sends_its_own_spans_once(options: list[str]) -> None:
    if not UWSGI.exists():
        if os.environ.get("CI") == "true":
            pytest.fail("uWSGI is missing")
        pytest.skip("uWSGI isn't installed: `make test-services` installs it")
    with StubCollector() as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.base_endpoint}
        with serving(uwsgi(*options), env) as server:
            with ThreadPoolExecutor(8) as pool:
                answers = list(pool.map(lambda _: server.get("/plain/"), range(200)))
            # uWSGI ends a process that is busy without any exit hook: let the last one finish.
            time.sleep(0.2)
            _wait_until_loaded(server, 4 if "--lazy-apps" in options else 1)
            server.terminate()
            assert "Traceback" not in server.output()
        spans = collector.wait_for_spans(200)
        assert {answer.status for answer in answers} == {200}
        assert collector.counts()["duplicates"] == 0
        pids = {span["resource"]["process.pid"] for span in spans}
        assert len({span["resource"]["service.instance.id"] for span in spans}) == len(pids)
        assert server.pid not in pids
