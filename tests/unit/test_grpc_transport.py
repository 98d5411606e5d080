"""OTLP over gRPC with a real server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from otel_django.conf import OtlpSettings
from otel_django.errors import TransportError
from otel_django.pipeline.grpc_transport import GrpcTransport
from otel_django.pipeline.retry import Outcome
from tests.delivery_kit import encode
from tests.peers import peer
from tests.stub_collector import StubCollector
from tests.transport_kit import Waits

if TYPE_CHECKING:
    from otel_django.pipeline.retry import Verdict


def transport(endpoint: str, **settings: Any) -> GrpcTransport:
    return GrpcTransport(OtlpSettings(endpoint=endpoint, protocol="grpc", **settings))


def send(one: GrpcTransport, timeout_s: float = 5.0) -> Verdict:
    return one.send(encode([1]), time.monotonic() + timeout_s, lambda: None)


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_the_same_bytes_arrive_with_the_headers_in_lower_case(
    collector: StubCollector, compression: str
) -> None:
    one = transport(
        collector.grpc_endpoint, headers={"X-Token": "t"}, compression=compression, insecure=True
    )
    assert send(one).outcome is Outcome.DELIVERED
    one.close()
    assert collector.raw_bodies("traces")[-1] == encode([1])
    headers = collector.request_headers()[-1]
    assert headers["x-token"] == "t"
    assert headers["user-agent"].startswith("otel-django/")


def test_an_endpoint_without_a_scheme_is_insecure_only_when_told(
    collector: StubCollector,
) -> None:
    bare = f"127.0.0.1:{collector.grpc_port}"
    one = transport(bare, insecure=True)
    assert send(one).outcome is Outcome.DELIVERED
    one.close()
    assert one.destination == f"grpc://{bare}"
    secure = transport(bare)
    assert send(secure).outcome is Outcome.RETRY
    secure.close()


@pytest.mark.parametrize(
    ("mode", "outcome", "retry_after_s"),
    [
        ("unavailable", Outcome.RETRY, None),
        ("throttle", Outcome.RETRY, 7.0),
        ("bad_request", Outcome.REJECTED, None),
        ("too_large", Outcome.TOO_LARGE, None),
    ],
)
def test_a_failed_call_is_judged(
    collector: StubCollector, mode: str, outcome: Outcome, retry_after_s: float | None
) -> None:
    collector.set_mode(mode, retry_after=7, limit=10)
    one = transport(collector.grpc_endpoint)
    verdict = send(one)
    one.close()
    assert (verdict.outcome, verdict.retry_after_s) == (outcome, retry_after_s)


def test_P3_partial_success_is_read(collector: StubCollector) -> None:
    collector.set_mode("partial", rejected=1, message="too old")
    one = transport(collector.grpc_endpoint)
    verdict = send(one)
    one.close()
    assert (verdict.outcome, verdict.rejected, verdict.message) == (
        Outcome.DELIVERED,
        1,
        "too old",
    )


def test_a_server_that_never_answers_costs_the_time_out_in_slices(
    collector: StubCollector,
) -> None:
    collector.set_mode("hang")
    one = transport(collector.grpc_endpoint)
    waits = Waits()
    try:
        verdict = one.send(encode([1]), time.monotonic() + 1.0, waits)
    except TransportError:
        pass
    else:
        assert verdict.outcome is Outcome.RETRY
    assert 0.9 < time.monotonic() - waits.started_s < 1.5
    waits.check(1.0)
    one.close()


def test_a_peer_that_speaks_no_grpc_costs_no_more_than_the_time_out() -> None:
    def handle(connection: socket.socket) -> None:
        while connection.recv(65_536):
            pass

    with peer(handle) as silent:
        one = transport(silent.endpoint)
        waits = Waits()
        try:
            verdict = one.send(encode([1]), time.monotonic() + 1.0, waits)
        except TransportError:
            pass
        else:
            assert verdict.outcome is Outcome.RETRY
        assert time.monotonic() - waits.started_s < 1.5
        waits.check(1.0)
        one.close()


def test_what_on_wait_raises_ends_the_call(collector: StubCollector) -> None:
    class Enough(Exception):
        pass

    def enough() -> None:
        raise Enough

    collector.set_mode("hang")
    one = transport(collector.grpc_endpoint)
    with pytest.raises(Enough):
        one.send(encode([1]), time.monotonic() + 5, enough)
    one.close()


def test_a_missing_certificate_file_is_a_transport_error() -> None:
    one = transport("https://127.0.0.1:1", certificate="/does/not/exist.pem")
    with pytest.raises(TransportError, match="can't be made"):
        send(one)


def test_grpcio_is_imported_with_the_first_request_only() -> None:
    script = """
import sys
from otel_django.conf import OtlpSettings
from otel_django.pipeline.grpc_transport import GrpcTransport
one = GrpcTransport(OtlpSettings(endpoint="http://127.0.0.1:1", protocol="grpc"))
one.prepare()
print("grpc" in sys.modules)
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert found.stdout.strip() == b"False"


def test_a_forked_child_sends_on_a_channel_of_its_own(collector: StubCollector) -> None:
    script = """
import os, sys, time
from otel_django.conf import OtlpSettings
from otel_django.pipeline.grpc_transport import GrpcTransport
one = GrpcTransport(OtlpSettings(endpoint=sys.argv[1], protocol="grpc"))
def send():
    # gRPC needs a moment in a child whose parent was using it; what waits is sent again.
    for _ in range(10):
        outcome = one.send(b"", time.monotonic() + 5, lambda: None).outcome.value
        if outcome != "retry":
            break
    return outcome
print("before", send(), flush=True)
pid = os.fork()
if pid == 0:
    one.after_fork()
    print("child", send(), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
print("parent", send(), flush=True)
one.close()
"""
    found = subprocess.run(
        [sys.executable, "-c", script, collector.grpc_endpoint],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "GRPC_VERBOSITY": "ERROR"},
    )
    assert found.stdout.splitlines() == ["before delivered", "child delivered", "parent delivered"]


def test_a_fork_in_the_middle_of_calls_leaves_grpc_usable_in_the_child(
    collector: StubCollector,
) -> None:
    script = """
import os, sys, threading, time
from otel_django.conf import OtlpSettings
from otel_django.pipeline.grpc_transport import CALLS, GrpcTransport
CALLS.max_wait_s = 30  # a call may take its time on a busy machine
one = GrpcTransport(OtlpSettings(endpoint=sys.argv[1], protocol="grpc"))
def send():
    return one.send(bytes(100_000), time.monotonic() + 5, lambda: None).outcome.value
ended = threading.Event()
def send_always():
    while not ended.is_set():
        send()
sending = threading.Thread(target=send_always)
sending.start()
for _ in range(20):
    time.sleep(0.01)
    pid = os.fork()
    if pid == 0:
        one.after_fork()
        outcomes = {send() for _ in range(5)}
        os._exit("rejected" not in outcomes)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
ended.set()
sending.join()
one.close()
"""
    collector.set_mode("bad_request")
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, collector.grpc_endpoint],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "GRPC_VERBOSITY": "INFO"},
    )
    assert found.stdout.split() == ["0"] * 20, found.stderr
    assert "skipping fork() handlers" not in found.stderr
