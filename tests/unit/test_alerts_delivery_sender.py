"""Channels that fail, at real servers: none holds another, nothing is lost or said out of turn."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

import pytest

from otel_django import guard
from otel_django.alerts.delivery.channels.log import LogChannel
from otel_django.alerts.delivery.channels.webhook import WebhookChannel
from otel_django.alerts.delivery.contract import Channel, Notification, Outcome
from otel_django.alerts.delivery.posting import Poster
from otel_django.alerts.delivery.private_addresses import reachable
from otel_django.alerts.delivery.retrying import GIVEN_UP_S, LONGEST_S, delay_s, settled
from otel_django.alerts.delivery.sender import MOST_WAITING, Sender
from otel_django.alerts.delivery.trial import tried
from tests import alert_kit as kit
from tests import alert_stubs as stubs
from tests.alert_kit import Outbox, outgoing
from tests.alert_stubs import AlertStub, Answer
from tests.misbehaving import closed_port, hanging

ANY = reachable("any")


@pytest.fixture
def stub() -> Iterator[AlertStub]:
    with stubs.webhook() as one:
        yield one


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


Begin = Callable[..., Sender]


@pytest.fixture
def begin(outbox: Outbox) -> Iterator[Begin]:
    senders: list[Sender] = []

    def start(*channels: Channel, timeout_s: float = 2.0, **options: Any) -> Sender:
        named = {one.name: one for one in channels}
        senders.append(Sender(named, outbox, timeout_s=timeout_s, **options))
        return senders[-1]

    yield start
    for sender in senders:
        sender.stop(5)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def said(number: int, group: str = "g", **changes: Any) -> Notification:
    created = {"key": f"key-{number}", "group_key": group, "created_ms": now_ms(), **changes}
    return kit.notification(kit.told(number), **created)


def hook(url: str, name: str = "webhook") -> WebhookChannel:
    return WebhookChannel(Poster(url, ANY), name=name)


def pump(sender: Sender, outbox: Outbox, at_ms: int | None = None) -> None:
    """What the service does each second."""
    sender.take(outbox.due(now_ms() if at_ms is None else at_ms, 100))


def test_what_is_delivered_is_recorded_and_done(
    stub: AlertStub, outbox: Outbox, begin: Begin
) -> None:
    measured: list[str] = []
    sender = begin(hook(stub.url), measure=lambda attempt: measured.append(attempt.result))
    outbox.add([outgoing(said(1), "webhook")])
    pump(sender, outbox)
    assert sender.idle(5)
    assert (outbox.results("webhook"), measured, outbox.waiting) == (["delivered"],) * 2 + ({},)
    assert stub.requests[0].headers["Idempotency-Key"] == "key-1"


def test_channels_that_hang_fail_or_are_gone_hold_no_other(
    stub: AlertStub, outbox: Outbox, begin: Begin
) -> None:
    with hanging() as hangs, stubs.webhook() as broken, stubs.webhook() as busy:
        broken.answers.extend([Answer(500)] * 3)
        busy.answers.extend([Answer(429, {"Retry-After": "30"})] * 3)
        sender = begin(
            hook(f"http://127.0.0.1:{hangs.port}/", "hangs"),
            hook(broken.url, "broken"),
            hook(busy.url, "busy"),
            hook(f"http://127.0.0.1:{closed_port()}/", "gone"),
            hook(stub.url, "well"),
            timeout_s=20.0,
        )
        for number in range(3):
            for channel in ("hangs", "broken", "busy", "gone", "well"):
                outbox.add([outgoing(said(number, f"g{number}"), channel)])
        pump(sender, outbox)
        assert len(stub.wait_for(3)) == 3
        assert outbox.results("hangs") == []
        assert "retry" in outbox.results("gone")
        sender.stop(0)
        hangs.cut()


def test_a_failed_attempt_is_made_again_with_the_same_key(
    stub: AlertStub, outbox: Outbox, begin: Begin
) -> None:
    stub.answers.append(Answer(500))
    sender = begin(hook(stub.url))
    outbox.add([outgoing(said(1), "webhook")])
    pump(sender, outbox)
    assert sender.idle(5)
    (failed,) = outbox.attempts
    assert failed.result == "retry"
    assert failed.next_ms is not None
    assert 1_000 <= failed.next_ms - failed.at_ms <= 2_000
    pump(sender, outbox, failed.next_ms - 1)
    assert sender.idle(5)
    assert len(outbox.attempts) == 1
    pump(sender, outbox, failed.next_ms)
    assert sender.idle(5)
    assert outbox.results("webhook") == ["retry", "delivered"]
    assert {one.headers["Idempotency-Key"] for one in stub.requests} == {"key-1"}


def test_a_receiver_that_wants_to_be_left_alone_is_for_all_notifications(
    stub: AlertStub, outbox: Outbox, begin: Begin
) -> None:
    stub.answers.append(Answer(429, {"Retry-After": "300"}))
    sender = begin(hook(stub.url))
    outbox.add(outgoing(said(number, f"g{number}"), "webhook") for number in range(5))
    pump(sender, outbox)
    assert sender.idle(5)
    (attempt,) = outbox.attempts
    assert attempt.next_ms is not None
    assert attempt.next_ms - attempt.at_ms >= 300_000
    assert (len(stub.requests), len(outbox.waiting)) == (1, 5)


def test_a_short_wish_is_waited_for(stub: AlertStub, outbox: Outbox, begin: Begin) -> None:
    stub.answers.append(Answer(503, {"Retry-After": "1"}))
    sender = begin(hook(stub.url))
    outbox.add(outgoing(said(number, f"g{number}"), "webhook") for number in range(2))
    began_s = time.monotonic()
    pump(sender, outbox)
    assert stub.wait_for(1)
    assert time.monotonic() - began_s >= 0.95
    assert sender.idle(5)


def test_the_end_of_an_alert_is_not_told_before_its_beginning(
    stub: AlertStub, outbox: Outbox, begin: Begin
) -> None:
    stub.answers.append(Answer(500))
    sender = begin(hook(stub.url))
    fired, over = said(1), said(2, kind="resolved")
    outbox.add([outgoing(fired, "webhook"), outgoing(over, "webhook")])
    at_ms = now_ms()
    for seconds in (0, 1, 30, 60, 90):
        pump(sender, outbox, at_ms + seconds * 1000)
        assert sender.idle(5)
    assert [one["key"] for one in stub.documents] == ["key-1", "key-2"]


def test_what_is_refused_is_not_sent_again(stub: AlertStub, outbox: Outbox, begin: Begin) -> None:
    stub.answers.append(Answer(404))
    sender = begin(hook(stub.url))
    outbox.add([outgoing(said(1), "webhook"), outgoing(said(2), "no-such")])
    pump(sender, outbox)
    assert sender.idle(5)
    assert (outbox.results("webhook"), outbox.results("no-such")) == (["refused"], ["refused"])
    assert outbox.waiting == {}


def test_what_the_outbox_gives_twice_is_sent_once(
    stub: AlertStub, outbox: Outbox, begin: Begin
) -> None:
    stub.answers.append(Answer(200, delay_s=0.3))
    sender = begin(hook(stub.url))
    one = outgoing(said(1), "webhook")
    sender.take([one, one])
    sender.take([one])
    assert sender.idle(5)
    assert len(stub.requests) == 1


def test_more_than_a_bounded_number_of_alerts_waits_in_the_outbox(
    stub: AlertStub, outbox: Outbox, begin: Begin
) -> None:
    fifty = tuple(kit.told(number) for number in range(50))
    many = [outgoing(said(number, f"g{number}", alerts=fifty), "webhook") for number in range(200)]
    stub.answers.append(Answer(200, delay_s=0.5))
    sender = begin(hook(stub.url))
    sender.take(many)
    assert sender.idle(20)
    assert len(outbox.attempts) == MOST_WAITING // 50


def test_the_end_finishes_what_is_on_its_way_and_begins_nothing(
    stub: AlertStub, outbox: Outbox, begin: Begin
) -> None:
    stub.answers.append(Answer(200, delay_s=0.3))
    sender = begin(hook(stub.url))
    outbox.add(outgoing(said(number, f"g{number}"), "webhook") for number in range(9))
    pump(sender, outbox)
    stub.wait_for(1)
    sender.stop(5)
    assert (outbox.results("webhook"), len(outbox.waiting)) == (["delivered"], 8)
    assert not [one for one in threading.enumerate() if "alerts-webhook" in one.name]


class Faulty:
    """A user's channel with a bug."""

    name = "faulty"

    def send(self, notification: Notification, timeout_s: float) -> Outcome:
        raise ValueError("secret-mark")


def test_a_channel_that_raises_is_tried_again_and_its_words_are_not_told(
    outbox: Outbox,
    begin: Begin,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard, "_strict", False)
    sender = begin(Faulty())
    outbox.add([outgoing(said(1), "faulty"), outgoing(said(2, "h"), "faulty")])
    pump(sender, outbox)
    assert sender.idle(5)
    assert [one.detail for one in outbox.attempts] == ["The channel failed (ValueError)."] * 2
    assert "secret-mark" not in caplog.text


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"alerts": 1},
        {**kit.notification().as_json(), "alerts": [{"labels": {}}]},
        {**kit.notification().as_json(), "alerts": []},
        {**kit.notification().as_json(), "severity": None},
        {**kit.notification().as_json(), "alerts": [{**asdict(kit.told()), "labels": "mark"}]},
        {**kit.notification().as_json(), "more": 1},
    ],
)
def test_what_is_no_notification_is_refused_and_the_others_go_out(
    document: dict[str, Any], stub: AlertStub, outbox: Outbox, begin: Begin
) -> None:
    good, spoilt = (outgoing(said(number), "webhook") for number in (1, 2))
    outbox.add([replace(spoilt, document=document), good])
    sender = begin(hook(stub.url))
    pump(sender, outbox)
    assert sender.idle(5)
    pump(sender, outbox)
    assert sender.idle(5)
    assert [one["key"] for one in stub.documents] == ["key-1"]
    assert outbox.results("webhook") == ["refused", "delivered"]
    assert outbox.attempts[0].detail.startswith("What was kept of it can't be read. ")
    assert "mark" not in outbox.attempts[0].detail


def test_delays_grow_are_spread_and_end_after_a_minute() -> None:
    retry, spread = Outcome("retry"), random.Random(1)
    delays = [delay_s(attempts, retry, spread) for attempts in range(1, 30)]
    assert all(1 <= delay <= 2 for delay in delays[:1])
    assert all(LONGEST_S / 2 <= delay <= LONGEST_S for delay in delays[5:])
    assert len(set(delays)) == len(delays)
    assert delay_s(1, replace(retry, after_s=900.0), spread) == 900
    assert delay_s(1, replace(retry, after_s=1e9), spread) == 3600


def test_a_notification_is_given_up_after_a_day() -> None:
    outcome = Outcome("retry", "It answered with HTTP 500.")
    assert settled(outcome, 0, int(GIVEN_UP_S * 1000) - 1) is outcome
    given_up = settled(outcome, 0, int(GIVEN_UP_S * 1000))
    assert given_up == Outcome("refused", "Given up after a day. It answered with HTTP 500.")


def test_a_trial_goes_through_all_channels_at_once(stub: AlertStub) -> None:
    with hanging() as hangs:
        channels: dict[str, Channel] = {
            "log": LogChannel(),
            "well": hook(stub.url, "well"),
            "hangs": hook(f"http://127.0.0.1:{hangs.port}/", "hangs"),
            "gone": hook(f"http://127.0.0.1:{closed_port()}/", "gone"),
            "faulty": Faulty(),
        }
        found = tried(channels, "ann", kit.SITE, kit.T0, 0.5)
    assert {name: one.result for name, one in found.items()} == {
        "log": "delivered",
        "well": "delivered",
        "hangs": "retry",
        "gone": "retry",
        "faulty": "retry",
    }
    assert stub.documents[0]["alerts"][0]["annotations"]["summary"].startswith("A test by ann")
