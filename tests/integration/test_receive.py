"""``otel receive`` with programs in Go and JavaScript, and with what would harm it."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from otel_django.receiver.answers import PROTOBUF
from tests import server_process
from tests.integration.foreign_programs import HERE, cache_of, go_program
from tests.receiver_kit import HEAD, everything, request
from tests.server_process import Server, serving

MIB = 1 << 20
MOST_MIB = 320
"""For the whole process, whatever is sent to it; idle it takes some 60."""


@pytest.fixture(scope="module")
def go() -> Path:
    """The Go program."""
    return go_program("receive_go")


@pytest.fixture(scope="module")
def node() -> Path:
    """The JavaScript program, with its modules beside it."""
    source = HERE / "receive_node"
    folder = cache_of(source)
    if not (folder / "installed").exists():
        for file in source.iterdir():
            if file.is_file():
                shutil.copy(file, folder)
        install = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(install, cwd=folder, check=True, timeout=280)
        (folder / "installed").touch()
    return folder / "send.js"


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Server]:
    with serving(server_process.receiver(tmp_path / "store.sqlite3"), {}, ready="/") as server:
        yield server


def sent(receiver: Server, *command: str, service: str, **environ: str) -> str:
    """Runs a program to its end; returns the id of the trace that it sent."""
    env = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.port}",
        "OTEL_SERVICE_NAME": service,
        "OTEL_RESOURCE_ATTRIBUTES": f"service.name={service}",
        **environ,
    }
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def page(receiver: Server, path: str, **parameters: str) -> str:
    query = urllib.parse.urlencode(parameters)
    answer = receiver.get(f"{path}?{query}")
    assert answer.status == 200
    return answer.body.decode()


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_go_program_is_seen(receiver: Server, go: Path, compression: str) -> None:
    trace_id = sent(receiver, str(go), service="depot", OTEL_EXPORTER_OTLP_COMPRESSION=compression)
    trace = page(receiver, f"/traces/{trace_id}/")
    for text in ("GET /depot/{id}", "SELECT", "pallets", "pallet is gone", "the pallet fell"):
        assert text in trace
    assert "the pallet fell" in page(receiver, "/logs/", q="level:error", service="depot")
    assert "depot.pallets" in page(receiver, "/metrics/explore/")
    assert "depot.lift" in page(receiver, "/metrics/explore/")
    assert "/depot/{id}" in page(receiver, "/endpoints/", service="depot")
    assert "pallet is gone" in page(receiver, "/errors/", service="depot")


@pytest.mark.parametrize("form", ["http", "proto"])
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_javascript_program_is_seen(
    receiver: Server, node: Path, form: str, compression: str
) -> None:
    program = ("node", str(node), form)
    trace_id = sent(receiver, *program, service="kiosk", OTEL_EXPORTER_OTLP_COMPRESSION=compression)
    trace = page(receiver, f"/traces/{trace_id}/")
    for text in ("GET /kiosk/:id", "read the shelf", "the shelf is empty", "no papers today"):
        assert text in trace
    assert "no papers today" in page(receiver, "/logs/", q="level:error", service="kiosk")
    assert "kiosk.papers" in page(receiver, "/metrics/explore/")
    assert "kiosk.wait" in page(receiver, "/metrics/explore/")


def test_two_services_at_once_are_told_apart(receiver: Server, go: Path, node: Path) -> None:
    with ThreadPoolExecutor() as pool:
        first = pool.submit(sent, receiver, str(go), service="depot")
        second = pool.submit(sent, receiver, "node", str(node), "http", service="kiosk")
        first.result()
        second.result()
    chooser = page(receiver, "/traces/")
    assert '<option value="depot"' in chooser
    assert '<option value="kiosk"' in chooser
    only = page(receiver, "/traces/", service="kiosk")
    assert "GET /kiosk/:id" in only
    assert "GET /depot/{id}" not in only


def test_programs_with_the_token_are_let_in(tmp_path: Path, go: Path, node: Path) -> None:
    command = server_process.receiver(tmp_path / "s")
    with serving(command, {"OTEL_DJANGO_TOKENS": "sesame"}, ready="/login/") as receiver:
        headers = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20sesame"}
        sent(receiver, str(go), service="depot", **headers)
        sent(receiver, "node", str(node), "http", service="kiosk", **headers)
        found = receiver.get("/traces/", authorization="Bearer sesame").body
        assert b"depot" in found
        assert b"kiosk" in found


# --- what would harm it


@contextlib.contextmanager
def unharmed(receiver: Server) -> Iterator[None]:
    """Afterwards it answers, takes spans in, and was never larger than it may be."""
    yield
    body = request("GET /afterwards/")
    assert receiver.get("/v1/traces", "POST", body, content_type=PROTOBUF).status == 200
    assert "GET /afterwards/" in page(receiver, "/traces/")
    assert peak_mib(receiver) < MOST_MIB


def peak_mib(receiver: Server) -> float:
    """Of its memory since it began."""
    for line in Path(f"/proc/{receiver.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float(psutil.Process(receiver.pid).memory_info().rss) / MIB


def connect(receiver: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", receiver.port), timeout=30)


def test_a_bomb_does_it_no_harm(receiver: Server) -> None:
    bomb = gzip.compress(bytes(1 << 30), 9)
    with unharmed(receiver), ThreadPoolExecutor(8) as pool:
        headers = {"content_type": PROTOBUF, "content_encoding": "gzip"}
        bombs = [
            pool.submit(receiver.get, "/v1/traces", "POST", bomb, **headers) for _ in range(16)
        ]
        assert {each.result().status for each in bombs} <= {413, 503}


@pytest.mark.parametrize("chunked", [False, True])
def test_a_gigabyte_does_it_no_harm(receiver: Server, chunked: bool) -> None:
    frame = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 1073741824"
    part = bytes(MIB)
    if chunked:
        part = b"100000\r\n" + part + b"\r\n"
    with unharmed(receiver), connect(receiver) as connection:
        connection.sendall(HEAD + frame + b"\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(1024):
                connection.sendall(part)
        connection.settimeout(10)
        assert everything(connection)[:13] in {b"HTTP/1.1 413 ", b""}


def test_slow_senders_and_idle_connections_do_it_no_harm(receiver: Server) -> None:
    with unharmed(receiver), contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connect(receiver))
        slow = [stack.enter_context(connect(receiver)) for _ in range(20)]
        until = time.monotonic() + 3
        while time.monotonic() < until:
            for each in slow:
                with contextlib.suppress(OSError):
                    each.sendall(b"P")
            time.sleep(0.1)
        with unharmed(receiver):
            pass


def test_many_large_bodies_at_once_do_it_no_harm(receiver: Server) -> None:
    body = b'{"resourceSpans": [' + b"[]," * (5 * MIB) + b"[]]}"
    with unharmed(receiver), ThreadPoolExecutor(16) as pool:
        for _ in range(2):
            headers = {"content_type": "application/json"}
            asked = [
                pool.submit(receiver.get, "/v1/traces", "POST", body, **headers) for _ in range(16)
            ]
            for each in asked:
                with contextlib.suppress(OSError):
                    assert each.result().status in {200, 400, 413, 503}


def test_hostile_texts_are_shown_as_text(receiver: Server) -> None:
    names = ["<script>alert(1)</script>", "\u202egnp.exe", "a\x00b\x1b[2J", "</script>{{ 7 }}"]
    for number, name in enumerate([*names, "x" * MIB]):
        body = request(name, f"service-{number}")
        assert receiver.get("/v1/traces", "POST", body, content_type=PROTOBUF).status == 200
    for path in ("/", "/traces/", "/endpoints/", "/services/", "/errors/"):
        found = page(receiver, path)
        assert "<script>alert(1)" not in found
        assert "\u202e" not in found
        assert "\x1b" not in found
        assert len(found) < MIB


def test_what_is_older_than_its_retention_goes(tmp_path: Path) -> None:
    command = server_process.receiver(tmp_path / "s", "--retention-hours", "0.0005")
    with serving(command, {}, ready="/") as receiver:
        receiver.get("/v1/traces", "POST", request("GET /gone/"), content_type=PROTOBUF)
        assert "GET /gone/" in page(receiver, "/traces/")
        deadline = time.monotonic() + 60
        while "GET /gone/" in page(receiver, "/traces/"):
            assert time.monotonic() < deadline
            time.sleep(0.5)
