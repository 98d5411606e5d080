"""Faults of our own side: encoding, disk, memory; and what is said about it all."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

import pytest

from otel_django import guard
from otel_django.pipeline.drops import Drops
from otel_django.pipeline.retry import Outcome, Verdict
from otel_django.pipeline.spool import Spool
from tests.delivery_kit import (
    encode,
    files_below,
    make_sender,
    numbers,
    run_until,
    soon,
)
from tests.sender_kit import AWAY, Scripted, block, received, scripted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.stub_collector import StubCollector


def test_an_item_that_cannot_be_encoded_is_lost_alone(spool_dir: Path) -> None:
    def picky(batch: Sequence[int]) -> bytes:
        if 13 in batch:
            raise ValueError("unlucky")
        return encode(batch)

    drops = Drops()
    script = Scripted()
    sender, _ = scripted(spool_dir, script, drops=drops, encoder=picky)
    sender.accept(range(20))
    assert numbers(script.sent) == [number for number in range(20) if number != 13]
    assert drops.snapshot() == {("traces", "encode_error"): 1}


def test_past_the_budget_what_comes_is_dropped_and_counted(spool_dir: Path) -> None:
    drops = Drops()
    script = Scripted(AWAY)
    sender, clock = scripted(
        spool_dir, script, drops=drops, spool_bytes=50_000, encoder=lambda b: encode(b, 1_000)
    )
    for start in range(0, 100, 10):
        sender.accept(range(start, start + 10))
    assert drops.snapshot() == {("traces", "spool_full"): 60}
    clock.now_s += 10
    sender.poll(clock.now_s)
    assert numbers(script.sent[1:]) == list(range(40))


def test_where_the_disk_refuses_memory_takes_over_up_to_its_bound(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    drops = Drops()
    script = Scripted(AWAY)
    sender, clock = scripted(
        tmp_path / "file" / "spool",
        script,
        drops=drops,
        max_memory_bytes=50_000,
        encoder=lambda b: encode(b, 1_000),
    )
    for start in range(0, 100, 10):
        sender.accept(range(start, start + 10))
    assert drops.snapshot() == {("traces", "spool_error"): 60}
    assert sender.status().backlog_items == 40
    assert "Not a directory" in sender.status().spool_error
    clock.now_s += 10
    while sender.status().backlog_items:
        sender.poll(clock.now_s)
    assert numbers(script.sent[1:]) == list(range(40))
    sender.accept([100])
    sender.close(clock.now_s)
    assert drops.snapshot() == {("traces", "spool_error"): 60}


def test_what_memory_took_goes_to_the_disk_as_soon_as_that_works(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.touch()
    script = Scripted(AWAY)
    sender, clock = scripted(blocker / "spool", script)
    sender.accept([1])
    blocker.unlink()
    blocker.mkdir()
    sender.accept([2])  # the disk isn't asked again at once
    assert files_below(blocker) == []
    clock.now_s += 6
    script.verdicts = [AWAY]
    sender.accept([3])
    sender.poll(clock.now_s)
    sender.close(clock.now_s)
    reader = Spool(blocker / "spool", max_bytes=1 << 24)
    reader.adopt_orphans()
    assert numbers(record.payload for record in reader.head(100, 1 << 20)) == [1, 2, 3]
    reader.close()


def test_what_is_in_memory_at_the_end_and_finds_no_disk_is_counted(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    drops = Drops()
    sender, _ = scripted(tmp_path / "file" / "spool", Scripted(AWAY), drops=drops)
    sender.accept([1, 2])
    sender.close(0.0)
    assert drops.snapshot() == {("traces", "shutdown"): 2}


def test_a_dead_processs_spool_is_sent_by_another(
    collector: StubCollector, spool_dir: Path
) -> None:
    spans = block(30)
    dead = Spool(spool_dir, max_bytes=1 << 24)
    for number in spans:
        dead.append(encode([number]), 1)
    dead.close()
    sender = make_sender(collector.endpoint, spool_dir, adopt_every_s=0.1)
    run_until(sender, lambda: received(collector, spans) == list(spans))
    sender.close(soon())
    assert files_below(spool_dir) == []


def test_requests_spill_from_their_own_threads_while_a_send_hangs(
    collector: StubCollector, spool_dir: Path
) -> None:
    sender = make_sender(collector.endpoint, spool_dir, timeout_s=1.0)
    collector.set_mode("hang")
    spans = block(100)
    worker = threading.Thread(target=sender.accept, args=(spans[:10],))
    worker.start()
    time.sleep(0.1)
    started_s = time.monotonic()
    sender.spill(spans[10:])
    assert time.monotonic() - started_s < 0.2
    worker.join()
    collector.set_mode("ok")
    run_until(sender, lambda: sender.status().direct)
    assert sorted(received(collector, spans)) == list(spans)
    sender.close(soon())


def test_P6_an_outage_is_said_once_a_minute_and_its_end_once(
    spool_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = Scripted(*[AWAY] * 30)
    sender, clock = scripted(spool_dir, script)
    with caplog.at_level(logging.INFO, "otel_django"):
        for number in range(30):
            sender.accept([number])
            clock.now_s += 3
            sender.poll(clock.now_s)
        clock.now_s += 10
        while sender.status().backlog_items:
            sender.poll(clock.now_s)
            clock.now_s += 3
    said = [record.getMessage() for record in caplog.records]
    failed = "telemetry.delivery_failed: scripted: can't connect: refused; kept until it answers"
    assert said == [failed] * 2 + ["telemetry.delivery_resumed: scripted answers again"]


def test_the_status_tells_how_delivery_goes(spool_dir: Path) -> None:
    script = Scripted(Verdict(Outcome.DELIVERED), AWAY)
    sender, clock = scripted(spool_dir, script)
    assert sender.status().last_success_age_s is None
    sender.accept([1])
    clock.now_s += 7
    sender.accept([2])
    clock.now_s += 1
    status = sender.status()
    assert (status.destination, status.direct, status.backlog_items) == ("scripted", False, 1)
    assert (status.last_success_age_s, status.last_error_age_s) == (8, 1)
    assert status.last_error == "can't connect: refused"
    assert status.spool_bytes > 0


def test_a_fault_of_the_transport_costs_nothing(
    spool_dir: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "_strict", False)
    script = Scripted(ZeroDivisionError("a fault of ours"))
    sender, clock = scripted(spool_dir, script)
    sender.accept([1, 2])
    clock.now_s += 10
    sender.poll(clock.now_s)
    assert numbers(script.sent[1:]) == [1, 2]
    assert "sender.send" in caplog.text


def test_a_forked_child_starts_with_nothing_of_its_parents(spool_dir: Path) -> None:
    script = Scripted(AWAY)
    parent, _ = scripted(spool_dir, script)
    parent.accept([1, 2])
    kept = files_below(spool_dir)
    parent.after_fork()  # as if in the child: the parent's files stay
    assert parent.status().backlog_items == 0
    assert parent.status().direct
    assert files_below(spool_dir) == kept
    script.sent.clear()
    parent.accept([3])
    assert numbers(script.sent) == [3]


def test_credentials_that_a_receiver_quotes_are_masked(
    spool_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = Scripted(Verdict(Outcome.REJECTED, "HTTP 401: bad token hush-hush-1, key s3cr3t-key"))
    headers = {"authorization": "Bearer hush-hush-1", "x-key": "s3cr3t-key"}
    sender, _ = scripted(spool_dir, script, headers=headers)
    sender.accept([1])
    assert sender.status().last_error == "HTTP 401: bad token …, key …"
    assert "hush" not in caplog.text
