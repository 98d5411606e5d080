"""What becomes of a batch by the receiver's answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from otel_django.pipeline.drops import Drops
from otel_django.pipeline.retry import Outcome, Verdict
from tests.delivery_kit import (
    Protocol,
    encode,
    make_sender,
    numbers,
    run_until,
    soon,
)
from tests.sender_kit import AWAY, Scripted, block, endpoint, received, scripted

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stub_collector import StubCollector


def test_P3_partial_success_is_counted_and_said_once(
    collector: StubCollector, spool_dir: Path, protocol: Protocol, caplog: pytest.LogCaptureFixture
) -> None:
    drops = Drops()
    sender = make_sender(endpoint(collector, protocol), spool_dir, protocol=protocol, drops=drops)
    collector.set_mode("partial", rejected=3, message="too old")
    spans = block(20)
    sender.accept(spans[:10])
    sender.accept(spans[10:])
    assert drops.snapshot() == {("traces", "rejected"): 6}
    assert [r.getMessage() for r in caplog.records if "rejected" in r.getMessage()] == [
        "telemetry.rejected: 3 items of traces: too old"
    ]
    assert sender.status().direct
    sender.close(soon())


@pytest.mark.parametrize("mode", ["bad_request", "unauthorized", "error"])
def test_a_refusal_for_good_is_counted_and_not_repeated(
    collector: StubCollector, spool_dir: Path, protocol: Protocol, mode: str
) -> None:
    drops = Drops()
    sender = make_sender(endpoint(collector, protocol), spool_dir, protocol=protocol, drops=drops)
    before = collector.counts()["requests"]
    collector.set_mode(mode)
    sender.accept(block(10))
    assert drops.snapshot() == {("traces", "rejected"): 10}
    assert collector.counts()["requests"] == before + 1
    assert sender.status().direct
    sender.close(soon())


@pytest.mark.parametrize("mode", ["html", "redirect", "reset", "throttle", "unavailable"])
def test_what_is_no_receivers_answer_loses_nothing(
    collector: StubCollector, spool_dir: Path, mode: str
) -> None:
    drops = Drops()
    sender = make_sender(collector.endpoint, spool_dir, drops=drops)
    spans = block(10)
    collector.set_mode(mode)
    sender.accept(spans)
    assert sender.status().backlog_items == 10
    collector.set_mode("ok")
    run_until(sender, lambda: sender.status().direct)
    assert received(collector, spans) == list(spans)
    assert drops.snapshot() == {}
    sender.close(soon())


def test_a_request_that_is_too_large_is_halved_until_it_fits(
    collector: StubCollector, spool_dir: Path, protocol: Protocol
) -> None:
    drops = Drops()
    sender = make_sender(endpoint(collector, protocol), spool_dir, protocol=protocol, drops=drops)
    collector.set_mode("too_large", limit=3_000)
    spans = block(400)
    sender.accept(spans)
    assert received(collector, spans) == list(spans)
    assert drops.snapshot() == {}
    sender.close(soon())


def test_a_single_item_that_is_too_large_is_rejected_alone(
    collector: StubCollector, spool_dir: Path
) -> None:
    drops = Drops()
    spans = block(20)
    large = spans[7]
    sender = make_sender(
        collector.endpoint,
        spool_dir,
        drops=drops,
        encoder=lambda batch: b"".join(encode([n], 5_000 if n == large else 0) for n in batch),
    )
    collector.set_mode("too_large", limit=3_000)
    sender.spill(spans)
    sender.poll(time.monotonic())
    assert received(collector, spans) == [number for number in spans if number != large]
    assert drops.snapshot() == {("traces", "rejected"): 1}
    sender.close(soon())


def test_a_record_that_is_refused_does_not_take_others_with_it(spool_dir: Path) -> None:
    refused = Verdict(Outcome.REJECTED, "HTTP 400")
    script = Scripted(AWAY, refused, Verdict(Outcome.DELIVERED), refused)
    drops = Drops()
    sender, clock = scripted(spool_dir, script, drops=drops)
    for number in range(3):
        sender.accept([number])
    clock.now_s += 10
    sender.poll(clock.now_s)
    assert [numbers([body]) for body in script.sent[1:]] == [[0, 1, 2], [0], [1], [2]]
    assert drops.snapshot() == {("traces", "rejected"): 1}
    assert sender.status().direct


def test_after_a_413_requests_are_made_smaller_from_the_start(spool_dir: Path) -> None:
    def too_large(body: bytes) -> Verdict:
        return Verdict(Outcome.TOO_LARGE if len(body) > 300_000 else Outcome.DELIVERED)

    class Small(Scripted):
        def send(self, body: bytes, *_: object) -> Verdict:
            self.sent.append(body)
            return too_large(body)

    script = Small()
    sender, _ = scripted(spool_dir, script, encoder=lambda batch: encode(batch, 2_000))
    sender.accept(range(500))
    assert not all(too_large(body).settled for body in script.sent)
    script.sent.clear()
    sender.accept(range(500, 1000))
    assert all(too_large(body).settled for body in script.sent)
    assert numbers(script.sent) == list(range(500, 1000))
