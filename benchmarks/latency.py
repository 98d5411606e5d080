"""Latency of the ten-query page behind gunicorn, at a moderate paced load, while exporting.

All servers live at once and are loaded one after the other, in short segments by turns.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.contestants import ROOT, Contestant, shortfall
from benchmarks.processes import Bench, Failed, ended

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PAGE = "queries"
RATE_HZ = 100.0
WARM_UP_S = 1.5
START_TIMEOUT_S = 30.0


@dataclass
class Served:
    """A contestant's latencies, a list a segment."""

    segments_s: list[list[float]] = field(default_factory=list)
    requests: int = 0
    invalid: str | None = None


@dataclass(frozen=True)
class Server:
    contestant: Contestant
    process: subprocess.Popen[str]
    port: int
    key: str


def measure(
    bench: Bench, contestants: Sequence[Contestant], *, segments: int, seconds: float
) -> dict[str, Served]:
    """``segments`` loads of ``seconds`` each for every contestant, by turns."""
    results = {contestant.name: Served() for contestant in contestants}
    with contextlib.ExitStack() as stack:
        servers = []
        for contestant in contestants:
            server = stack.enter_context(_server(bench, contestant))
            with _noting(results[contestant.name]):
                _wait_ready(server, results[contestant.name])
                _load(server, results[contestant.name], WARM_UP_S)
                servers.append(server)
        for segment in range(segments):
            turn = segment % (len(servers) or 1)
            for server in [*servers[turn:], *servers[:turn]]:
                result = results[server.contestant.name]
                with _noting(result):
                    result.segments_s.append(_load(server, result, seconds))
    # The servers have ended and sent what they held.
    for server in servers:
        result = results[server.contestant.name]
        result.invalid = result.invalid or shortfall(
            server.contestant,
            {PAGE: result.requests},
            bench.arrived(server.key),
            dict.fromkeys(server.contestant.seen, sys.maxsize),
        )
    return results


@contextlib.contextmanager
def _noting(result: Served) -> Iterator[None]:
    try:
        yield
    except Failed as failed:
        result.invalid = str(failed)


@contextlib.contextmanager
def _server(bench: Bench, contestant: Contestant) -> Iterator[Server]:
    key = f"{contestant.name}.served"
    port = _free_port()
    arguments = ["-k", "gthread", "-w", "1", "--threads", "4", "--keep-alive", "75"]
    arguments += ["--no-control-socket", "-b", f"127.0.0.1:{port}"]
    with (bench.workspace / f"{key}.stderr").open("w") as errors:
        process = subprocess.Popen(
            [
                str(bench.pythons[contestant.name]),
                "-m",
                "gunicorn",
                *arguments,
                "benchmarks.site.wsgi:application",
            ],
            cwd=bench.workspace,
            env=bench.environ(contestant, key),
            stderr=errors,
            text=True,
        )
        with ended(process):
            yield Server(contestant, process, port, key)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_ready(server: Server, result: Served) -> None:
    give_up = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < give_up and server.process.poll() is None:
        with contextlib.suppress(OSError):
            url = f"http://127.0.0.1:{server.port}/{PAGE}/"
            with urllib.request.urlopen(url, timeout=5):
                result.requests += 1
                return
        time.sleep(0.1)
    raise Failed("the server did not start")


def _load(server: Server, result: Served, seconds: float) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.load"]
    command += [str(server.port), f"/{PAGE}/", str(RATE_HZ), str(seconds)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise Failed(done.stderr.strip()[-500:])
    latencies: list[float] = json.loads(done.stdout)
    result.requests += len(latencies)
    return latencies
