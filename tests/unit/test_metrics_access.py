"""Who may read metrics."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from otel_django.web.access import Access

LAN = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
PROXIES = (ip_network("10.9.0.0/16"),)


def environ(address: str, host: str = "10.1.2.3:8000", **headers: str) -> dict[str, Any]:
    return {"REMOTE_ADDR": address, "HTTP_HOST": host, **headers}


@pytest.mark.parametrize(
    ("asking", "allowed"),
    [
        (environ("127.0.0.1", "localhost:8000"), True),
        (environ("::1", "[::1]:8000"), True),
        (environ("::ffff:127.0.0.1", "shop.localhost"), True),
        ({"REMOTE_ADDR": "127.0.0.1"}, True),
        (environ("127.0.0.1", "rebound.example"), False),
        (environ("127.0.0.1", "localhost.example"), False),
        (environ("127.0.0.1", "localhost", HTTP_X_FORWARDED_FOR="127.0.0.1"), False),
        (environ("127.0.0.1", "localhost", HTTP_VIA="1.1 proxy"), False),
        (environ("10.0.0.7", "localhost"), False),
        (environ("", "localhost"), False),
        (environ("nonsense", "localhost"), False),
    ],
)
def test_loopback_is_for_programs_of_this_machine(asking: dict[str, Any], allowed: bool) -> None:
    assert (Access((), "loopback", "auto").verdict(asking) == "allowed") is allowed


@pytest.mark.parametrize(
    ("asking", "allowed"),
    [
        (environ("10.0.0.7"), True),
        (environ("fd00::7"), True),
        (environ("::ffff:10.0.0.7"), True),
        (environ("192.0.2.1"), False),
        (environ("127.0.0.1"), False),
        (environ(""), False),
        (environ("10.0.0.7", HTTP_X_FORWARDED_FOR="10.0.0.8"), False),
    ],
)
def test_networks(asking: dict[str, Any], allowed: bool) -> None:
    assert (Access((), LAN, "auto").verdict(asking) == "allowed") is allowed


@pytest.mark.parametrize(
    ("peer", "forwarded", "allowed"),
    [
        ("10.9.0.1", "10.0.0.8", True),
        ("10.9.0.1", "10.0.0.8, 10.9.0.2", True),
        ("10.9.0.1", "192.0.2.1", False),
        ("10.9.0.1", "10.0.0.8, 192.0.2.1", False),  # the first hop is whatever a stranger wrote
        ("10.9.0.1", "unknown", False),
        ("10.0.0.5", "10.0.0.8", False),  # nobody named this proxy
        ("192.0.2.1", "10.0.0.8", False),
    ],
)
def test_behind_proxies_that_are_named_the_client_counts(
    peer: str, forwarded: str, allowed: bool
) -> None:
    asking = environ(peer, HTTP_X_FORWARDED_FOR=forwarded)
    assert (Access((), LAN, PROXIES).verdict(asking) == "allowed") is allowed


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        ("Bearer second", True),
        ("bearer  second ", True),
        ("Bearer secon", False),
        ("Bearer second2", False),
        ("Bearer", False),
        ("Bearer ", False),
        ("Basic second", False),
        ("second", False),
        ("Bearer \udcff", False),
        ("", False),
    ],
)
def test_tokens_let_anybody_in(header: str, allowed: bool) -> None:
    access = Access(("first", "second"), "none", "auto")
    asking = environ("192.0.2.1", HTTP_AUTHORIZATION=header)
    assert access.verdict(asking) == ("allowed" if allowed else "unauthorized")


def test_without_tokens_there_is_nothing_to_ask_for() -> None:
    assert Access((), "none", "auto").verdict(environ("127.0.0.1")) == "forbidden"


def test_any_is_anybody() -> None:
    asking = environ("192.0.2.1", HTTP_X_FORWARDED_FOR="192.0.2.2")
    assert Access((), "any", "auto").verdict(asking) == "allowed"
