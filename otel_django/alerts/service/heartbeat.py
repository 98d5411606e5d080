"""Tells a service outside that alerts are evaluated: nobody inside can tell that nobody is."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from otel_django import guard, host_environment
from otel_django.conf import OtlpSettings
from otel_django.errors import TransportError
from otel_django.pipeline.http_transport import HttpTransport, without_user
from otel_django.pipeline.proxy import proxy_for

if TYPE_CHECKING:
    from otel_django.clock import Clock

_logger = logging.getLogger(guard.LOGGER_NAME)
EVERY_S: Final = 60.0
TIMEOUT_S: Final = 10.0
BODY_BYTES: Final = 4096


class Heartbeat:
    """Gets ``url``; its address is a secret and shown nowhere."""

    def __init__(self, url: str, *, clock: Clock) -> None:
        self._clock = clock
        self._failed = False
        address, credentials = without_user(url)
        self._transport = HttpTransport(
            OtlpSettings(endpoint=address, headers={"accept": "*/*", **credentials}),
            proxy=proxy_for(address, host_environment.proxy_variables()),
            clock=clock,
        )

    def beat(self) -> bool:
        """Once; whether it was heard."""
        deadline_s = self._clock.monotonic_s() + TIMEOUT_S
        try:
            status = self._transport.get(deadline_s, max_body=BODY_BYTES).status
            problem = "" if 200 <= status < 400 else f"it answered {status}"
        except TransportError:
            problem = "no answer came"
        if problem and not self._failed:
            _logger.warning("OTEL_DJANGO_ALERTS_HEARTBEAT_URL can't be reached: %s.", problem)
        self._failed = bool(problem)
        return not problem
