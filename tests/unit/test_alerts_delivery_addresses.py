"""Where alerts may be posted to: by number, by name, by redirect, by a name that changes."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest

from otel_django.alerts.delivery.posting import NOT_ALLOWED, Poster
from otel_django.alerts.delivery.private_addresses import reachable
from tests import alert_stubs as stubs

PRIVATE = [
    *("127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.7", "169.254.169.254"),
    *("100.64.0.1", "0.0.0.0", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1"),
    *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1"),
    *("64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "2001:0:7f00:1::80ff:fffe", "no address", ""),
]
PUBLIC = ["34.1.2.3", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_inside_is_not_reached(address: str) -> None:
    assert not reachable("none")(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_outside_is(address: str) -> None:
    assert reachable("none")(address)


def test_networks_that_are_allowed_are_reached_and_no_others() -> None:
    may_reach = reachable([ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128")])
    assert all(map(may_reach, ["10.1.2.3", "::ffff:10.1.2.3", "::1", "8.8.8.8"]))
    assert not any(map(may_reach, ["127.0.0.1", "192.168.1.1", "fe80::1"]))
    assert reachable("any")("127.0.0.1")


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "LOCALHOST.", "[::1]", "[::ffff:127.0.0.1]"),
        *("127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "0"),
    ],
)
def test_nothing_inside_is_posted_to_however_it_is_written(host: str) -> None:
    with stubs.webhook() as stub:
        outcome = Poster(f"http://{host}:{stub.port}/", reachable("none")).post({}, 2)
        assert (outcome.result, outcome.detail) == ("refused", NOT_ALLOWED)
        assert stub.requests == []


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Let the name hook.example lead to one address after the other; returns what was asked."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *rest: Any, **named: Any) -> Any:
        if host != "hook.example":
            return real(host, port, *rest, **named)
        asked.append(host)
        return real(answers[min(len(asked), len(answers)) - 1], port, type=socket.SOCK_STREAM)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def test_a_name_that_leads_inside_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "127.0.0.1")
    with stubs.webhook() as stub:
        outcome = Poster(f"http://hook.example:{stub.port}/", reachable("none")).post({}, 2)
        assert outcome.result == "refused"
        assert stub.requests == []


def test_what_is_connected_to_is_what_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second look-up, after the check, could lead inside: there is none."""
    checked: list[str] = []

    def may_reach(address: str) -> bool:
        checked.append(address)
        return True

    with stubs.webhook() as stub:
        asked = resolving(monkeypatch, "127.0.0.1", "203.0.113.9")
        assert Poster(f"http://hook.example:{stub.port}/", may_reach).post({}, 2).result == (
            "delivered"
        )
    assert (asked, checked) == (["hook.example"], ["127.0.0.1"])


def test_of_several_addresses_only_those_outside_are_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = resolving(monkeypatch, "127.0.0.1")
    real = socket.getaddrinfo

    def both(host: Any, port: Any, *rest: Any, **named: Any) -> Any:
        found = real(host, port, *rest, **named)
        if host == "hook.example":
            found += real("127.0.0.2", port, type=socket.SOCK_STREAM)
        return found

    monkeypatch.setattr(socket, "getaddrinfo", both)
    allowed = reachable([ipaddress.ip_network("127.0.0.1/32")])
    with stubs.webhook() as stub:
        assert Poster(f"http://hook.example:{stub.port}/", allowed).post({}, 2).result == (
            "delivered"
        )
    assert asked == ["hook.example"]


def test_behind_a_proxy_numbers_are_checked_and_names_are_the_proxys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with stubs.webhook() as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        outcome = Poster("http://10.0.0.1/", reachable("none")).post({}, 2)
        assert (outcome.result, proxy.requests) == ("refused", [])
        outcome = Poster("http://hook.example/x", reachable("none")).post({}, 2)
        assert (outcome.result, proxy.requests[0].path) == ("delivered", "http://hook.example/x")
