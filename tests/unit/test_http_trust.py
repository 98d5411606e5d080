"""Whose context is taken."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from otel_django.tracing.trust import TrustPolicy, forwarded_hops

OURS = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8:1::/48"))
PUBLIC = "198.51.101.7"


def environ(peer: str = "127.0.0.1", **headers: str) -> dict[str, Any]:
    return {
        "REMOTE_ADDR": peer,
        **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
    }


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("10.2.3.4", True),
        ("192.168.1.9", True),
        ("::ffff:10.2.3.4", True),
        ("fd00::1", True),
        ("fe80::1%eth0", True),
        ("", True),  # a Unix socket
        (PUBLIC, False),
        ("100.64.0.1", False),
        ("2606:4700::1111", False),
        ("nonsense", False),
    ],
)
def test_auto_trusts_loopback_and_private_peers(peer: str, trusted: bool) -> None:
    assert TrustPolicy("auto").trusts(environ(peer)) is trusted


@pytest.mark.parametrize(
    "header", ["x_forwarded_for", "forwarded", "x_real_ip", "via", "cf_connecting_ip"]
)
def test_auto_does_not_trust_a_peer_that_forwards(header: str) -> None:
    assert not TrustPolicy("auto").trusts(environ("10.0.0.1", **{header: "10.0.0.2"}))


def test_always_and_never_ask_nobody() -> None:
    assert TrustPolicy("always").trusts(environ(PUBLIC, x_forwarded_for=PUBLIC))
    assert not TrustPolicy("never").trusts(environ())


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "trusted"),
    [
        ("10.0.0.1", None, True),
        ("2001:db8:1::5", None, True),
        ("127.0.0.1", None, False),  # the list is all there is
        (PUBLIC, None, False),
        ("10.0.0.1", "10.0.0.2", True),
        ("10.0.0.1", f"{PUBLIC}, 10.0.0.2", False),
        ("10.0.0.1", f"10.9.9.9, {PUBLIC}", False),
        ("10.0.0.1", "unknown", False),
        (PUBLIC, "10.0.0.2", False),  # a stranger's claim
    ],
)
def test_networks_trust_when_every_hop_is_ours(
    peer: str, forwarded_for: str | None, trusted: bool
) -> None:
    headers = {} if forwarded_for is None else {"x_forwarded_for": forwarded_for}
    assert TrustPolicy(OURS).trusts(environ(peer, **headers)) is trusted


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        (PUBLIC, {}, PUBLIC),
        (PUBLIC, {"x_forwarded_for": "1.2.3.4"}, PUBLIC),
        ("10.0.0.1", {"x_forwarded_for": f"1.2.3.4, {PUBLIC}, 10.0.0.9"}, PUBLIC),
        ("10.0.0.1", {"x_forwarded_for": "10.0.0.7"}, "10.0.0.7"),
        ("10.0.0.1", {"x_forwarded_for": "unknown, 10.0.0.7"}, "10.0.0.7"),
        ("10.0.0.1", {"x_forwarded_for": f"{PUBLIC}:4711"}, PUBLIC),
        ("10.0.0.1", {"forwarded": f'for=1.2.3.4, FOR="{PUBLIC}:80";proto=https'}, PUBLIC),
        ("10.0.0.1", {"forwarded": 'for="[2606:4700::1111]:80"'}, "2606:4700::1111"),
        ("", {"x_real_ip": PUBLIC}, PUBLIC),
        ("", {}, ""),
    ],
)
def test_the_client_is_the_right_most_hop_that_is_not_ours(
    peer: str, headers: dict[str, str], client: str
) -> None:
    assert TrustPolicy("auto").client_address(environ(peer, **headers)) == client


def test_a_forged_list_of_a_thousand_hops_is_cut() -> None:
    hops = forwarded_hops(environ(x_forwarded_for=",".join(["1.2.3.4"] * 1000 + [PUBLIC])))

    assert len(hops) == 32
    assert hops[-1] == PUBLIC
