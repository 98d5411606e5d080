"""Random trace and span ids (W3C Trace Context level 2: all bits random).

A generator of its own: ``random.seed()`` in a site's code must not make two processes share ids.
"""

from __future__ import annotations

import random

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator


class RandomIds(RandomIdGenerator):
    """Ids from a private Mersenne Twister, seeded from the operating system, anew after a fork."""

    def __init__(self) -> None:
        self._random = random.Random()  # noqa: S311 - ids need no secrecy
        self.bits = self._random.getrandbits

    def reseed(self) -> None:
        """In a forked child: leave the parent's sequence."""
        self._random.seed()

    def generate_trace_id(self) -> int:
        """A non-zero 128-bit integer."""
        return self.bits(128) or 1

    def generate_span_id(self) -> int:
        """A non-zero 64-bit integer."""
        return self.bits(64) or 1

    def is_trace_id_random(self) -> bool:
        """True: the trace flags carry the random bit."""
        return True
