"""The receiver of one signal: from the variables' values to a full URL and its options."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from otel_django.conf.parsers import mask_url
from otel_django.conf.sources import Found, Problem, shorten, spoken

if TYPE_CHECKING:
    from collections.abc import Mapping

Protocol = Literal["http/protobuf", "grpc"]

GRPC: Final = "grpc"
_DEFAULT_ENDPOINTS: Final = {
    "http/protobuf": "http://localhost:4318/v1/{signal}",
    GRPC: "http://localhost:4317",
}
_OTHER_PROTOCOLS_PORT: Final = {"http/protobuf": 4317, GRPC: 4318}
_MANY_SECONDS: Final = 1000
_GENERAL_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"


@dataclass(frozen=True)
class OtlpSettings:
    """How one signal leaves by OTLP.

    ``endpoint`` is the full URL, path included, without user and password; for gRPC it may be
    ``host:port``. Names of ``headers`` are in lower case. ``insecure`` (no TLS) agrees with the
    endpoint's scheme where it has one.
    """

    endpoint: str = "http://localhost:4318/v1/traces"
    headers: Mapping[str, str] = field(default_factory=dict)
    protocol: Protocol = "http/protobuf"
    timeout_s: float = 10.0
    compression: Literal["none", "gzip"] = "none"
    certificate: str | None = None
    client_key: str | None = None
    client_certificate: str | None = None
    insecure: bool = False


def resolve(signal: str, found: dict[str, Found], problems: list[Problem]) -> dict[str, Any]:
    """The fields of ``OtlpSettings`` that aren't default.

    ``found`` has what was read by field name ("endpoint"); an endpoint that the protocol can't use
    is taken out of it.
    """
    values = {name: one.value for name, one in found.items()}
    protocol = values.get("protocol", "http/protobuf")
    if "endpoint" in found and not _fits(signal, protocol, found["endpoint"], problems):
        del found["endpoint"]
    _check_timeout(found.get("timeout_s"), problems)
    _check_client_certificate(found, problems)
    if "endpoint" not in found:
        values["endpoint"] = _DEFAULT_ENDPOINTS[protocol].format(signal=signal)
    else:
        _apply_endpoint(signal, protocol, found["endpoint"], values)
    scheme = _split(values["endpoint"]).scheme
    values["insecure"] = scheme == "http" if scheme else values.get("insecure", False)
    return values


def _split(endpoint: str) -> SplitResult:
    return urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")


def _path(signal: str) -> str:
    return f"/v1/{signal}"


def _gets_path(protocol: str, endpoint: Found) -> bool:
    return endpoint.origin.variable == _GENERAL_ENDPOINT and protocol != GRPC


def _apply_endpoint(signal: str, protocol: str, endpoint: Found, values: dict[str, Any]) -> None:
    """Put the URL without its user and password into ``values``, and these into the headers."""
    parts = _split(endpoint.value)
    user, _, address = parts.netloc.rpartition("@")
    path = parts.path
    if _gets_path(protocol, endpoint):
        path = path.rstrip("/") + _path(signal)
    values["endpoint"] = urlunsplit(parts._replace(netloc=address, path=path)).removeprefix("//")
    if user:
        credentials = base64.b64encode(unquote(user).encode()).decode("ascii")
        basic = {"authorization": f"Basic {credentials}"}
        values["headers"] = basic | dict(values.get("headers", {}))


def _fits(signal: str, protocol: str, endpoint: Found, problems: list[Problem]) -> bool:
    parts = _split(endpoint.value)
    shown = shorten(mask_url(endpoint.value))
    name = spoken(endpoint.origin)
    if not parts.scheme and protocol != GRPC:
        problems.append(
            Problem(
                endpoint.origin.variable,
                shown,
                f"{name} has the value {shown!r}, which can't be used: it has no scheme.",
                "Write http:// or https:// in front of it. Until then it counts as not set.",
            )
        )
        return False
    if parts.port == _OTHER_PROTOCOLS_PORT[protocol]:
        problems.append(_port_problem(protocol, endpoint, shown))
    if _gets_path(protocol, endpoint) and parts.path.rstrip("/").endswith(_path(signal)):
        problems.append(_path_problem(signal, endpoint, shown))
    return True


def _port_problem(protocol: str, endpoint: Found, shown: str) -> Problem:
    other_protocol = "http/protobuf" if protocol == GRPC else GRPC
    port = _OTHER_PROTOCOLS_PORT[protocol]
    return Problem(
        endpoint.origin.variable,
        shown,
        f"{spoken(endpoint.origin)} has the value {shown!r}, but receivers expect {other_protocol} "
        f"on port {port}, and the protocol is {protocol}.",
        f"Use port {_OTHER_PROTOCOLS_PORT[other_protocol]}, or set "
        f"OTEL_EXPORTER_OTLP_PROTOCOL={other_protocol}.",
        "port",
    )


def _path_problem(signal: str, endpoint: Found, shown: str) -> Problem:
    return Problem(
        endpoint.origin.variable,
        shown,
        f"{spoken(endpoint.origin)} has the value {shown!r}; {_path(signal)} is appended to it.",
        f"Leave {_path(signal)} out, or set OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT.",
        "path",
    )


def _check_timeout(timeout: Found | None, problems: list[Problem]) -> None:
    if timeout is None or timeout.value < _MANY_SECONDS:
        return
    problems.append(
        Problem(
            timeout.origin.variable,
            f"{timeout.value:g}",
            f"{spoken(timeout.origin)} is {timeout.value:g} seconds; it looks like milliseconds.",
            f"Give it in seconds: {timeout.value / 1000:g}.",
            "milliseconds",
        )
    )


def _check_client_certificate(found: Mapping[str, Found], problems: list[Problem]) -> None:
    if "client_key" not in found or "client_certificate" in found:
        return
    origin = found["client_key"].origin
    problems.append(
        Problem(
            origin.variable,
            found["client_key"].value,
            f"{spoken(origin)} has no effect: there is a key but no client certificate.",
            "Set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE too.",
            "combination",
        )
    )
