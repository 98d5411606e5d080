"""Requests over ``HttpTransport``, and what to check of one that must wait."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from otel_django.conf import OtlpSettings
from otel_django.errors import TransportError
from otel_django.pipeline.http_transport import HttpTransport

if TYPE_CHECKING:
    from otel_django.pipeline.http_wire import Response


class Waits:
    """Notes when ``on_wait`` was called."""

    def __init__(self) -> None:
        self.started_s = time.monotonic()
        self.times: list[float] = []

    def __call__(self) -> None:
        self.times.append(time.monotonic() - self.started_s)

    def check(self, for_s: float) -> None:
        """Called about every 0.2 s, from a quarter of a second on."""
        assert len(self.times) >= for_s / 0.2 - 2, self.times
        assert 0.2 < self.times[0] < 0.6
        gaps = [later - earlier for earlier, later in zip(self.times, self.times[1:], strict=False)]
        assert max(gaps, default=0.0) < 0.6, self.times


def transport(endpoint: str, **settings: Any) -> HttpTransport:
    proxy = settings.pop("proxy", None)
    return HttpTransport(OtlpSettings(endpoint=endpoint, **settings), proxy=proxy)


def post(one: HttpTransport, body: bytes = b"body", timeout_s: float = 5.0) -> Response:
    return one.post(body, time.monotonic() + timeout_s, lambda: None)


def fails_slowly(one: HttpTransport, body: bytes = b"body", timeout_s: float = 1.0) -> str:
    """A request that times out when it should, with slices of waiting; the error's text."""
    waits = Waits()
    with pytest.raises(TransportError) as caught:
        one.post(body, time.monotonic() + timeout_s, waits)
    assert timeout_s - 0.1 < time.monotonic() - waits.started_s < timeout_s + 0.5
    waits.check(timeout_s)
    one.close()
    return str(caught.value)
