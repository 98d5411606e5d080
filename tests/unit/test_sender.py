"""The sender: what is sent at once, kept while the receiver is away, replayed in order."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from otel_django.pipeline.drops import Drops
from otel_django.pipeline.retry import Outcome, Verdict
from otel_django.pipeline.spool import Spool
from tests.delivery_kit import (
    Protocol,
    TurnedClock,
    encode,
    files_below,
    make_sender,
    numbers,
    run_until,
    soon,
)
from tests.sender_kit import AWAY, Scripted, block, endpoint, received, scripted

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stub_collector import StubCollector


def test_a_healthy_run_sends_at_once_and_makes_no_files(
    collector: StubCollector, spool_dir: Path, protocol: Protocol
) -> None:
    clock = TurnedClock()  # stands still: no answer is slow, however busy the machine is
    sender = make_sender(endpoint(collector, protocol), spool_dir, protocol=protocol, clock=clock)
    spans = block(600)
    sender.accept(spans)
    assert received(collector, spans) == list(spans)
    assert sender.status().direct
    sender.close(clock.now_s + 2)
    assert not spool_dir.exists()


def test_requests_have_at_most_512_items_and_four_megabytes(
    spool_dir: Path,
) -> None:
    script = Scripted()
    sender, _ = scripted(spool_dir, script)
    sender.accept(range(1300))
    assert [len(numbers([body])) for body in script.sent] == [512, 512, 276]
    script.sent.clear()
    sender, _ = scripted(spool_dir, script, encoder=lambda batch: encode(batch, 100_000))
    sender.accept(range(100))
    assert all(len(body) <= 4_000_000 for body in script.sent)
    assert numbers(script.sent) == list(range(100))


# --- away, slow, hanging


def test_P2_what_a_receiver_that_is_away_misses_comes_in_order_when_it_is_back(
    collector: StubCollector, spool_dir: Path, protocol: Protocol
) -> None:
    drops = Drops()
    sender = make_sender(endpoint(collector, protocol), spool_dir, protocol=protocol, drops=drops)
    collector.set_mode("unavailable")
    spans = block(1000)
    for start in range(0, 1000, 100):
        sender.accept(spans[start : start + 100])
    assert sender.status().backlog_items == 1000
    assert not sender.status().direct
    collector.set_mode("ok")
    run_until(sender, lambda: sender.status().direct)
    assert received(collector, spans) == list(spans)
    assert drops.snapshot() == {}
    sender.close(soon())
    assert files_below(spool_dir) == []


def test_a_slow_answer_puts_the_batch_and_what_follows_on_disk_meanwhile(
    collector: StubCollector, spool_dir: Path, protocol: Protocol
) -> None:
    sender = make_sender(endpoint(collector, protocol), spool_dir, protocol=protocol)
    collector.set_mode("slow", delay_s=0.8, times=1)
    spans = block(20)
    queue = [spans[10:15], spans[15:20]]

    def drain() -> None:
        if queue:
            sender.accept(queue.pop(0))

    sender.on_wait = drain
    started_s = time.monotonic()
    sender.accept(spans[:10])
    assert 0.7 < time.monotonic() - started_s < 1.5
    assert queue == []
    assert sender.status().backlog_items == 10  # the answered batch is done
    run_until(sender, lambda: sender.status().direct)
    assert received(collector, spans) == list(spans)
    sender.close(soon())


def test_the_batch_in_flight_is_on_disk_before_what_came_after_it(spool_dir: Path) -> None:
    script = Scripted(Verdict(Outcome.RETRY, "gave up"))
    script.waits = 1
    sender, _ = scripted(spool_dir, script)
    seen: list[int] = []

    def drain() -> None:
        sender.accept(range(100, 110))
        seen.append(sender.status().backlog_items)

    sender.on_wait = drain
    sender.accept(range(600))
    assert seen == [610]
    assert len(script.sent) == 1
    reader = Spool(spool_dir, max_bytes=1 << 24)
    sender.close(0.0)
    assert reader.adopt_orphans() == 1
    kept = numbers(record.payload for record in reader.head(10_000, 1 << 24))
    assert kept == [*range(600), *range(100, 110)]
    reader.close()


def test_an_answer_that_comes_late_is_not_asked_for_again(spool_dir: Path) -> None:
    script = Scripted()
    script.waits = 2
    sender, clock = scripted(spool_dir, script)
    sender.spill(range(50, 60))  # ahead of it on disk
    sender.poll(clock.now_s)
    assert numbers(script.sent) == list(range(50, 60))
    script.sent.clear()
    sender.accept(range(10))
    assert sender.status().backlog_items == 0
    sender.poll(clock.now_s)
    assert numbers(script.sent) == list(range(10))


def test_waiting_items_are_joined_into_few_requests(spool_dir: Path) -> None:
    script = Scripted(AWAY)
    sender, clock = scripted(spool_dir, script)
    for number in range(1000):
        sender.accept([number])
    assert len(script.sent) == 1
    script.sent.clear()
    clock.now_s += 10
    while not sender.status().direct:
        clock.now_s += sender.poll(clock.now_s) or 0.0
    assert len(script.sent) == 4
    assert numbers(script.sent) == list(range(1000))


def test_a_receiver_that_is_back_gets_little_at_first_and_twice_as_much_every_ten_seconds(
    spool_dir: Path,
) -> None:
    script = Scripted(AWAY)
    sender, clock = scripted(spool_dir, script)
    for _ in range(500):
        sender.accept(range(128))
    began_s = clock.now_s = clock.now_s + 10
    after: dict[int, int] = {}
    while not sender.status().direct:
        wish_s = sender.poll(clock.now_s)
        assert wish_s is not None
        sent = sum(len(numbers([body])) for body in script.sent[1:])
        after[int((clock.now_s - began_s) * 4)] = sent
        assert sender.status().direct or wish_s == 0.25
        clock.now_s += wish_s
    assert after[0] == 256
    assert 1024 < after[3] <= 4 * (256 + 128)  # a second
    assert 14_000 < after[39] < 20_000  # ten
    assert after[max(after)] == 64_000
    assert 20 < clock.now_s - began_s < 30


def test_a_receiver_that_refuses_now_and_then_is_caught_up_with(spool_dir: Path) -> None:
    script = Scripted()
    sender, clock = scripted(spool_dir, script)
    began_s, direct = clock.now_s, 0
    most = number = 0
    while (passed_s := clock.now_s - began_s) < 120:
        if passed_s % 8 == 0:
            script.verdicts = [Verdict(Outcome.RETRY, "HTTP 503")]
        for _ in range(2):  # 4,000 a second
            sender.accept(range(number, number + 500))
            number += 500
        sender.poll(clock.now_s)
        status = sender.status()
        direct += status.direct
        most = max(most, status.backlog_items)
        clock.now_s += 0.25
    assert most < 30_000
    assert direct > 0
    clock.now_s += 1
    while not sender.status().direct:
        clock.now_s += sender.poll(clock.now_s) or 0.0
    assert sorted(set(numbers(script.sent))) == list(range(number))


def test_after_an_outage_it_begins_slowly_again(spool_dir: Path) -> None:
    script = Scripted(AWAY)
    sender, clock = scripted(spool_dir, script)
    for _ in range(500):
        sender.accept(range(128))
    clock.now_s += 10
    for _ in range(60):
        clock.now_s += sender.poll(clock.now_s) or 0.0
    assert not sender.status().direct
    script.verdicts = [AWAY] * 4
    sent = len(numbers(script.sent))
    for _ in range(4):
        clock.now_s += sender.poll(clock.now_s) or 0.0
        clock.now_s += 4
    assert len(script.verdicts) == 0
    script.sent.clear()
    sender.poll(clock.now_s)
    assert len(numbers(script.sent)) == 256
    assert sent > 256


def test_a_receiver_is_not_asked_before_it_is_due(spool_dir: Path) -> None:
    script = Scripted(Verdict(Outcome.RETRY, "HTTP 429", retry_after_s=30.0))
    sender, clock = scripted(spool_dir, script)
    sender.accept([1])
    wish = sender.poll(clock.now_s)
    assert wish is not None
    assert 30 <= wish < 31
    clock.now_s += 29
    sender.poll(clock.now_s)
    assert len(script.sent) == 1
    clock.now_s += 2
    sender.poll(clock.now_s)
    assert len(script.sent) == 2
    assert sender.status().direct


@pytest.mark.parametrize("mode", ["hang", "never_read", "dribble"])
def test_P2_the_end_of_the_process_is_not_delayed_by_a_receiver_that_hangs(
    collector: StubCollector, spool_dir: Path, mode: str
) -> None:
    collector.set_mode(mode)
    sender = make_sender(collector.endpoint, spool_dir)
    spans = block(10)
    sender.on_wait = lambda: True  # the worker is stopping
    started_s = time.monotonic()
    sender.accept(spans)
    sender.close(soon())
    assert time.monotonic() - started_s < 0.6
    collector.set_mode("ok")
    successor = make_sender(collector.endpoint, spool_dir, adopt_every_s=0.1)
    run_until(successor, lambda: set(received(collector, spans)) == set(spans))
    successor.close(soon())


def test_P2_the_end_of_the_process_does_not_wait_for_a_receiver_that_is_away(
    spool_dir: Path,
) -> None:
    script = Scripted(AWAY)
    sender, _ = scripted(spool_dir, script)
    sender.accept([1, 2])
    sender.close(1e9)
    assert len(script.sent) == 1
    assert [name for name in files_below(spool_dir) if name.endswith(".seg")]


def test_what_waits_is_sent_at_the_end_when_the_receiver_answers(spool_dir: Path) -> None:
    script = Scripted()
    sender, clock = scripted(spool_dir, script)
    sender.spill([1, 2, 3])
    sender.close(clock.now_s + 2)
    assert numbers(script.sent) == [1, 2, 3]
    assert files_below(spool_dir) == []


def test_what_ends_after_the_end_is_counted(spool_dir: Path) -> None:
    drops = Drops()
    sender, _ = scripted(spool_dir, Scripted(), drops=drops)
    sender.close(0.0)
    sender.accept([1, 2])
    sender.spill([3])
    assert drops.snapshot() == {("traces", "shutdown"): 3}


def test_P3_a_flush_keeps_its_deadline_and_says_whether_all_is_sent(
    collector: StubCollector, spool_dir: Path
) -> None:
    sender = make_sender(collector.endpoint, spool_dir)
    spans = block(10)
    sender.spill(spans)
    assert sender.flush(soon())
    assert received(collector, spans) == list(spans)
    collector.set_mode("hang")
    sender.spill(spans)
    started_s = time.monotonic()
    assert not sender.flush(started_s + 0.5)
    assert 0.4 < time.monotonic() - started_s < 0.8
    collector.set_mode("ok")
    assert sender.flush(soon())  # whatever the back-off says
    sender.close(soon())


def test_P2_the_end_of_the_process_does_not_ask_a_receiver_that_failed_again(
    spool_dir: Path,
) -> None:
    script = Scripted(AWAY)
    sender, clock = scripted(spool_dir, script)
    sender.accept([1, 2])
    clock.now_s += 10  # it would be due
    sender.close(clock.now_s + 2)
    assert len(script.sent) == 1


def test_nothing_is_sent_in_the_middle_of_another_send(spool_dir: Path) -> None:
    script = Scripted()
    script.waits = 3
    drops = Drops()
    sender, _ = scripted(spool_dir, script, drops=drops, spool_bytes=10)  # takes nothing
    batches = [[2], [3], [4]]
    sender.on_wait = lambda: sender.accept(batches.pop())
    sender.accept([1])
    assert numbers(script.sent) == [1]
    assert drops.snapshot() == {("traces", "spool_full"): 3}
