"""The JSON endpoints of a site, and requests to them as different people."""

from __future__ import annotations

from typing import Any

from django.test import Client, override_settings

from otel_django import urls
from otel_django.metrics import active

PREFIX = "/monitoring/"
OPERATIONS: dict[str, tuple[str, ...]] = {
    f"{PREFIX}{pattern.pattern}": tuple(each.method for each in pattern.callback.operations)
    for pattern in urls.urlpatterns
    if hasattr(pattern.callback, "operations")
}
"""The methods of each endpoint."""
GETS = sorted(path for path, methods in OPERATIONS.items() if "GET" in methods)
POSTS = sorted(path for path, methods in OPERATIONS.items() if "POST" in methods)
TOKEN: dict[str, Any] = {"HTTP_AUTHORIZATION": "Bearer sesame"}
STRANGER = "192.0.2.1"
BODIES: dict[str, Any] = {
    "/monitoring/alerts/": {"action": "acknowledge", "fingerprint": "f" * 16},
    "/monitoring/alerts/receive/": {
        "version": "4",
        "status": "firing",
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": "HighErrorRate"},
                "annotations": {},
                "startsAt": "2026-05-04T10:20:30Z",
                "endsAt": "0001-01-01T00:00:00Z",
            }
        ],
    },
}
"""What the endpoints that want one are sent."""


def ours(**changes: Any) -> Any:
    """The settings of the tests, changed."""
    from django.conf import settings

    return override_settings(OTEL_DJANGO={**settings.OTEL_DJANGO, **changes})


def by_token(**headers: Any) -> Client:
    """A program with a token, from anywhere."""
    return Client(REMOTE_ADDR=STRANGER, **TOKEN, **headers)


class SlowClock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def now_ns(self) -> int:
        return int(self.now_s * 1e9)

    def monotonic_s(self) -> float:
        return self.now_s


class Sums:
    """A host's, as they stand."""

    elected = False

    def __init__(self, *data: Any) -> None:
        self.data = data

    def read(self) -> Any:
        return self.data


def as_sums_of_the_host(*data: Any) -> None:
    """From now on; ``active.activate(None)`` puts an end to it."""
    active.activate(None, Sums(*data))
