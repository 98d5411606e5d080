"""Which addresses notifications may be sent to: public ones, and private ones that are allowed.

An address that stands in for an IPv4 one (mapped, 6to4, Teredo, NAT64) is as private as that is.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64: Final = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48")))
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")


def reachable(allowed: str | Sequence[Network]) -> Callable[[str], bool]:
    """Says of an address, as text, whether it may be connected to.

    ``allowed`` are the networks that may be although they are private; ``any`` are all, ``none``
    is none of them.
    """
    networks = () if isinstance(allowed, str) else tuple(allowed)

    def may_reach(text: str) -> bool:
        try:
            address = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            return False
        return allowed == "any" or all(_is_fine(one, networks) for one in _meant(address))

    return may_reach


def _is_fine(address: Address, networks: Sequence[Network]) -> bool:
    if any(address.version == one.version and address in one for one in networks):
        return True
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or address.is_unspecified
        or address.is_link_local
        or (isinstance(address, ipaddress.IPv6Address) and address.is_site_local)
    )


def _meant(address: Address) -> Iterator[Address]:
    """The IPv4 addresses that it stands for, else itself."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    inner = address.ipv4_mapped or address.sixtofour
    if inner is not None:
        yield inner
    elif address.teredo is not None:
        yield from address.teredo
    elif any(address in network for network in _NAT64) or _is_compatible(address):
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    else:
        yield address


def _is_compatible(address: ipaddress.IPv6Address) -> bool:
    return address in _COMPATIBLE and int(address) > 1
