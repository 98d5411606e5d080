"""A sender with a transport that follows a script, and blocks of numbers for a shared receiver."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from otel_django.errors import TransportError
from otel_django.pipeline.retry import Outcome, Verdict
from tests.delivery_kit import Midway, Protocol, TurnedClock, make_sender, numbers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from otel_django.pipeline.sender import OtlpSender
    from tests.stub_collector import StubCollector

_blocks = itertools.count(1)


def block(count: int) -> range:
    """Numbers that no other test uses."""
    start = next(_blocks) * 1_000_000
    return range(start, start + count)


def received(collector: StubCollector, wanted: range) -> list[int]:
    return [number for number in numbers(collector.raw_bodies("traces")) if number in wanted]


def endpoint(collector: StubCollector, protocol: Protocol) -> str:
    return collector.grpc_endpoint if protocol == "grpc" else collector.endpoint


class Scripted:
    """A transport that does what the test says; ``sent`` holds the bodies."""

    destination = "scripted"

    def __init__(self, *verdicts: Verdict | Exception) -> None:
        self.verdicts = list(verdicts)
        self.sent: list[bytes] = []
        self.waits = 0

    def prepare(self) -> None: ...

    def close(self) -> None: ...

    def after_fork(self) -> None: ...

    def send(self, body: bytes, deadline_s: float, on_wait: Callable[[], object]) -> Verdict:
        self.sent.append(body)
        for _ in range(self.waits):
            on_wait()
        verdict = self.verdicts.pop(0) if self.verdicts else Verdict(Outcome.DELIVERED)
        if isinstance(verdict, Exception):
            raise verdict
        return verdict


AWAY = TransportError("can't connect: refused")


def scripted(spool_dir: Path, script: Scripted, **options: Any) -> tuple[OtlpSender, TurnedClock]:
    clock = TurnedClock()
    sender = make_sender(
        "http://unused/", spool_dir, transport=script, clock=clock, rng=Midway(), **options
    )
    return sender, clock
