"""The variables of the receivers: each signal's own names go before the general ones."""

from __future__ import annotations

from typing import Final

from otel_django.conf import list_parsers as lists
from otel_django.conf import parsers as p
from otel_django.conf.variable import Signal, Variable

SECTION: Final = "Export by OTLP"


def otlp_variables(signal: Signal) -> tuple[Variable, ...]:
    """Those of one signal."""

    def otlp(name: str, field: str, parser: p.Parser, default: str, doc: str) -> Variable:
        general = f"OTEL_EXPORTER_OTLP_{name}"
        own = f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}"
        return Variable(
            (own, general), f"otlp_{signal}.{field}", parser, default, doc, SECTION, signal
        )

    return (
        otlp(
            "ENDPOINT",
            "endpoint",
            p.endpoint(),
            "(nothing is sent, unless the signal's exporter is `otlp`: then to localhost, port "
            "4318, or 4317 with grpc)",
            "Where to send. The general form gets the signal's path appended "
            "(`/v1/traces`, `/v1/metrics`, `/v1/logs`), a signal's own form is taken as it is. "
            "Setting it switches the signal's export on, the general form that of all three. A "
            "user and password in it are sent as Basic authorization.",
        ),
        otlp(
            "HEADERS",
            "headers",
            lists.headers(),
            "",
            "Headers sent with each request, such as the key of a vendor.",
        ),
        otlp(
            "PROTOCOL",
            "protocol",
            p.choice("http/protobuf", "grpc"),
            "http/protobuf",
            "How to send; `grpc` needs the package grpcio.",
        ),
        otlp(
            "TIMEOUT",
            "timeout_s",
            p.number("seconds", above=True),
            "10",
            "How long one request may take, in seconds (as in all of OpenTelemetry for Python).",
        ),
        otlp(
            "COMPRESSION",
            "compression",
            p.choice("none", "gzip"),
            "none",
            "Whether requests are compressed.",
        ),
        otlp(
            "CERTIFICATE",
            "certificate",
            p.path(),
            "(the system's authorities)",
            "A PEM file with the authorities to trust for TLS.",
        ),
        otlp(
            "CLIENT_KEY",
            "client_key",
            p.path(),
            "",
            "A PEM file with the private key of the client certificate.",
        ),
        otlp(
            "CLIENT_CERTIFICATE",
            "client_certificate",
            p.path(),
            "",
            "A PEM file with the certificate to show to the receiver (mutual TLS).",
        ),
        otlp(
            "INSECURE",
            "insecure",
            p.boolean(),
            "false",
            "For gRPC to an endpoint without a scheme: send without TLS. Where the endpoint has "
            "one, `http` or `https` decides.",
        ),
    )
