"""The receiver's address and options, as the specification has them."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from otel_django.conf import OtlpSettings, Settings, load


def loaded(**environ: str) -> Settings:
    names = {f"OTEL_EXPORTER_OTLP_{name}": value for name, value in environ.items()}
    return load(names, {}, base_dir=None, debug=True, settings_module="shop.settings")


def receiver(**environ: str) -> OtlpSettings:
    return loaded(**environ).otlp_traces


def kinds(settings: Settings) -> list[str]:
    return [problem.kind for problem in settings.problems]


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({}, "http://localhost:4318/v1/traces"),
        ({"PROTOCOL": "grpc"}, "http://localhost:4317"),
        ({"ENDPOINT": "http://c:4318"}, "http://c:4318/v1/traces"),
        ({"ENDPOINT": "http://c:4318/"}, "http://c:4318/v1/traces"),
        ({"ENDPOINT": "https://c/otlp/"}, "https://c/otlp/v1/traces"),
        ({"ENDPOINT": "https://c/otlp?tenant=1"}, "https://c/otlp/v1/traces?tenant=1"),
        ({"ENDPOINT": "http://[::1]:4318"}, "http://[::1]:4318/v1/traces"),
        ({"TRACES_ENDPOINT": "http://c:4318/in"}, "http://c:4318/in"),
        ({"TRACES_ENDPOINT": "http://c:4318"}, "http://c:4318"),
        ({"TRACES_ENDPOINT": "http://t/in", "ENDPOINT": "http://c"}, "http://t/in"),
        ({"ENDPOINT": "http://c:4317", "PROTOCOL": "grpc"}, "http://c:4317"),
        ({"ENDPOINT": "c:4317", "PROTOCOL": "grpc"}, "c:4317"),
        ({"TRACES_ENDPOINT": "c:4317", "TRACES_PROTOCOL": "grpc"}, "c:4317"),
    ],
)
def test_the_endpoint(environ: dict[str, str], endpoint: str) -> None:
    settings = loaded(**environ)
    assert settings.otlp_traces.endpoint == endpoint
    assert settings.problems == ()


@pytest.mark.parametrize("value", ["c:4318", "nonsense", "http:///x", "http://c:x"])
def test_an_endpoint_that_cannot_be_used_counts_as_not_set(value: str) -> None:
    settings = loaded(ENDPOINT=value)
    assert settings.otlp_traces.endpoint == "http://localhost:4318/v1/traces"
    assert settings.traces_exporters == ()
    assert settings.store is not None
    assert kinds(settings) == ["value"]


def test_the_signals_own_endpoint_that_cannot_be_used_leaves_the_general_one() -> None:
    assert receiver(TRACES_ENDPOINT="ftp://x", ENDPOINT="http://c").endpoint == "http://c/v1/traces"


def test_user_and_password_leave_the_endpoint_and_become_a_header() -> None:
    found = receiver(ENDPOINT="https://me:p%40ss@c", HEADERS="x-tenant=1")
    assert found.endpoint == "https://c/v1/traces"
    assert found.headers["x-tenant"] == "1"
    assert base64.b64decode(found.headers["authorization"].removeprefix("Basic ")) == b"me:p@ss"


def test_a_given_authorization_goes_before_that_of_the_endpoint() -> None:
    found = receiver(ENDPOINT="https://me:pass@c", HEADERS="Authorization=Bearer%20t")
    assert found.headers == {"authorization": "Bearer t"}


@pytest.mark.parametrize(
    ("environ", "insecure"),
    [
        ({}, True),
        ({"ENDPOINT": "http://c"}, True),
        ({"ENDPOINT": "https://c"}, False),
        ({"ENDPOINT": "https://c", "INSECURE": "true"}, False),
        ({"ENDPOINT": "http://c", "INSECURE": "false"}, True),
        ({"ENDPOINT": "c:4317", "PROTOCOL": "grpc"}, False),
        ({"ENDPOINT": "c:4317", "PROTOCOL": "grpc", "INSECURE": "true"}, True),
    ],
)
def test_tls(environ: dict[str, str], insecure: bool) -> None:
    assert receiver(**environ).insecure is insecure


@pytest.mark.parametrize(
    ("name", "general", "own", "field", "value"),
    [
        ("HEADERS", "a=1", "b=2", "headers", {"b": "2"}),
        ("PROTOCOL", "http/protobuf", "grpc", "protocol", "grpc"),
        ("TIMEOUT", "5", "2.5", "timeout_s", 2.5),
        ("COMPRESSION", "none", "GZIP", "compression", "gzip"),
        ("CERTIFICATE", "/a.pem", "/b.pem", "certificate", "/b.pem"),
        ("CLIENT_CERTIFICATE", "/a.pem", "/b.pem", "client_certificate", "/b.pem"),
        ("CLIENT_KEY", "/a.pem", "/b.pem", "client_key", "/b.pem"),
    ],
)
def test_the_signals_own_form_goes_before_the_general_one(
    name: str, general: str, own: str, field: str, value: Any
) -> None:
    assert getattr(receiver(**{name: general, f"TRACES_{name}": own}), field) == value
    default = getattr(receiver(), field)
    assert getattr(receiver(**{name: general}), field) != value
    assert getattr(receiver(**{f"TRACES_{name}": own}), field) == value != default


@pytest.mark.parametrize(
    "environ",
    [
        {"ENDPOINT": "http://c:4317"},
        {"TRACES_ENDPOINT": "http://c:4317/v1/traces"},
        {"ENDPOINT": "http://c:4318", "PROTOCOL": "grpc"},
    ],
)
def test_the_other_protocols_port_is_a_problem_but_used(environ: dict[str, str]) -> None:
    settings = loaded(**environ)
    assert kinds(settings) == ["port"]
    assert settings.traces_exporters == ("otlp",)
    assert "c:431" in settings.otlp_traces.endpoint


def test_a_general_endpoint_with_a_signals_path_is_a_problem_but_used() -> None:
    settings = loaded(ENDPOINT="http://c:4318/v1/traces")
    assert kinds(settings) == ["path"]
    assert settings.otlp_traces.endpoint == "http://c:4318/v1/traces/v1/traces"
    assert kinds(loaded(TRACES_ENDPOINT="http://c:4318/v1/traces")) == []


def test_a_timeout_that_looks_like_milliseconds_is_a_problem_but_used() -> None:
    settings = loaded(TIMEOUT="10000")
    assert settings.otlp_traces.timeout_s == 10000
    (problem,) = settings.problems
    assert problem.kind == "milliseconds"
    assert problem.hint == "Give it in seconds: 10."


def test_a_protocol_that_is_not_spoken_is_a_problem() -> None:
    settings = loaded(PROTOCOL="http/json")
    assert settings.otlp_traces.protocol == "http/protobuf"
    assert kinds(settings) == ["value"]


def test_a_key_without_its_certificate_is_a_problem() -> None:
    assert kinds(loaded(CLIENT_KEY="/key.pem")) == ["combination"]
