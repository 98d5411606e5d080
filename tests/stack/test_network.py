"""The Collector on the network: who has the token is heard, and nobody else."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.stack.stack_kit import Collector, running


def status(collector: Collector, **headers: str) -> int:
    """Of an empty request for traces."""
    request = urllib.request.Request(
        f"{collector.url}/v1/traces",
        b"",
        {"Content-Type": "application/x-protobuf", **headers},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Collector:
    """With network.yaml."""
    return Collector(
        tmp_path_factory.mktemp("guarded"),
        "network.yaml",
        COLLECTOR_TOKEN="right",
        COLLECTOR_LISTEN="127.0.0.1",
    )


def test_only_the_token_opens_it(guarded: Collector) -> None:
    with running(guarded):
        assert status(guarded, Authorization="Bearer right") == 200
        assert status(guarded, Authorization="Bearer wrong") == 401
        assert status(guarded) == 401


def test_alone_it_asks_for_none_and_listens_on_loopback_only(tmp_path: Path) -> None:
    collector = Collector(tmp_path)
    with running(collector):
        assert status(collector) == 200
        assert listening(collector.pid) == {"0100007F"}


def listening(pid: int) -> set[str]:
    """The local addresses of a process's listening TCP sockets, as /proc has them."""
    inodes = {
        link.readlink().name[len("socket:[") : -1]
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if link.is_symlink() and str(link.readlink()).startswith("socket:")
    }
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    return {row[1].rpartition(":")[0] for row in rows if row[3] == "0A" and row[9] in inodes}
