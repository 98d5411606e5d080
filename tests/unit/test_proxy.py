"""Which proxy, by the usual variables."""

from __future__ import annotations

import pytest

from otel_django.pipeline.proxy import grpc_proxy_for, proxy_for

URL = "https://otel.example.com:4318/v1/traces"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"https_proxy": "http://proxy:3128"}, "http://proxy:3128"),
        ({"HTTPS_PROXY": "proxy:3128"}, "http://proxy:3128"),
        ({"https_proxy": "http://small", "HTTPS_PROXY": "http://capital"}, "http://small"),
        ({"http_proxy": "http://proxy:3128"}, None),
        ({"ALL_PROXY": "http://all:1"}, "http://all:1"),
    ],
)
def test_the_scheme_decides_which_variable_counts(
    environ: dict[str, str], expected: str | None
) -> None:
    assert proxy_for(URL, environ) == expected


@pytest.mark.parametrize(
    ("exceptions", "direct"),
    [
        ("*", True),
        ("example.com", True),
        (".example.com", True),
        ("*.example.com", True),
        ("OTEL.example.com", True),
        ("otel.example.com:4318", True),
        ("otel.example.com:443", False),
        ("other.org, example.com", True),
        ("ample.com", False),
        ("", False),
        (" , ", False),
    ],
)
def test_no_proxy_names_hosts_and_domains(exceptions: str, direct: bool) -> None:
    environ = {"https_proxy": "http://proxy:3128", "no_proxy": exceptions}
    assert (proxy_for(URL, environ) is None) is direct


def test_no_proxy_names_networks() -> None:
    environ = {"http_proxy": "http://proxy:3128", "NO_PROXY": "10.0.0.0/8"}
    assert proxy_for("http://10.1.2.3:4318/", environ) is None
    assert proxy_for("http://11.1.2.3:4318/", environ) == "http://proxy:3128"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_loopback_is_always_direct(host: str) -> None:
    assert proxy_for(f"http://{host}:4318/", {"http_proxy": "http://proxy:3128"}) is None


def test_a_request_header_cannot_set_a_proxy_under_cgi() -> None:
    environ = {"HTTP_PROXY": "http://evil", "REQUEST_METHOD": "GET"}
    assert proxy_for("http://otel.example.com/", environ) is None


def test_grpc_takes_a_proxy_for_loopback_too_by_lower_case_alone() -> None:
    named = {"http_proxy": "http://proxy:3128"}
    assert grpc_proxy_for("127.0.0.1", 4317, named) == "http://proxy:3128"
    assert grpc_proxy_for("127.0.0.1", 4317, {**named, "no_proxy": "127.0.0.1"}) is None
    assert grpc_proxy_for("127.0.0.1", 4317, {**named, "no_grpc_proxy": "127.0.0.1"}) is None
    assert grpc_proxy_for("collector", 4317, {"HTTP_PROXY": "http://proxy:3128"}) is None
