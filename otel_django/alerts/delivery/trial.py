"""A test through each channel, at once and past the outbox."""

from __future__ import annotations

import threading
import time
import uuid
from functools import partial
from typing import TYPE_CHECKING, Final

from otel_django import own_thread
from otel_django.alerts.delivery.contract import Notification, Outcome, ToldAlert

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_django.alerts.delivery.contract import Channel

NAME: Final = "TestAlert"
_TIMED_OUT: Final = Outcome("retry", "It took too long.")
_GRACE_S: Final = 0.5


def tried(
    channels: Mapping[str, Channel], by: str, site_url: str, now_ms: int, timeout_s: float
) -> dict[str, Outcome]:
    """What came of a test through each channel, all at the same time, within ``timeout_s``."""
    said = trial(by, site_url, now_ms)
    found: dict[str, Outcome] = {}
    threads = [
        own_thread.start(partial(_try, channel, said, timeout_s, found), f"otel_django-test-{name}")
        for name, channel in channels.items()
    ]
    _join(threads, timeout_s + _GRACE_S)
    return {name: found.get(name, _TIMED_OUT) for name in channels}


def trial(by: str, site_url: str, now_ms: int) -> Notification:
    """The notification: a test that nobody has to do anything about."""
    key = uuid.uuid4().hex
    page = site_url and f"{site_url}alerts/"
    alert = ToldAlert(
        fingerprint=key[:16],
        state="firing",
        severity="warning",
        labels={"alertname": NAME, "severity": "warning"},
        summary=f"A test by {by}: nothing is wrong",
        value=0.0,
        started_ms=now_ms,
        page=page,
    )
    return Notification(
        key=key,
        group_key=key,
        kind="test",
        severity="warning",
        group={"alertname": NAME, "severity": "warning"},
        alerts=(alert,),
        created_ms=now_ms,
        page=page,
    )


def _try(channel: Channel, said: Notification, timeout_s: float, found: dict[str, Outcome]) -> None:
    try:
        found[channel.name] = channel.send(said, timeout_s)
    except Exception as error:
        found[channel.name] = Outcome("retry", f"The channel failed ({type(error).__name__}).")


def _join(threads: list[threading.Thread], timeout_s: float) -> None:
    end_s = time.monotonic() + timeout_s
    for thread in threads:
        thread.join(max(0.0, end_s - time.monotonic()))
