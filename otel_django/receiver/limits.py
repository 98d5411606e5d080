"""What one sender, and all of them together, may take of this process."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes are bytes, times seconds.

    ``request_s`` is for all of a request to arrive, its head and its body; ``idle_s`` for the next
    one to begin on a connection. ``waiting_s`` is how long a body waits for those before it.
    """

    head_bytes: int = 64 << 10
    form_bytes: int = 16 << 10
    body_bytes: int = 16 * MIB
    decompressed_bytes: int = 64 * MIB
    bodies_bytes: int = 128 * MIB
    """Of all bodies that are there at once."""
    request_s: float = 20.0
    idle_s: float = 75.0
    waiting_s: float = 10.0
    answer_s: float = 30.0
    connections: int = 128
    requests_at_once: int = 3_000
    requests_a_minute: int = 12_000
    """Of one address: a host's processes, all signals together."""
    logins_at_once: int = 10
    logins_a_minute: int = 10


LIMITS = Limits()


def asker(address: str) -> str:
    """Whose rate a request of a peer counts for: one host can have all addresses of an IPv6 /64."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if found.version == 4 or found.ipv4_mapped is not None:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False))
