"""Wrong settings, what the doctor says of each, and the settings when its cure is taken.

Words in braces stand for ports and files of the tests' own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
CERTIFICATE = "OTEL_EXPORTER_OTLP_CERTIFICATE"
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
READ_FROM = "OTEL_DJANGO_READ_FROM"
GRPC = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
TOKEN = "authorization=Bearer%20right"


class Case(NamedTuple):
    """Variables that are wrong, what is said of them, and the variables when the cure is taken."""

    wrong: Mapping[str, str]
    seen: str
    cure: str
    mended: Mapping[str, str]
    state: str = "fault"


SECURE = {ENDPOINT: "https://localhost:{tls_http}", CERTIFICATE: "{ca}", HEADERS: TOKEN}
SECURE_GRPC = {**SECURE, **GRPC, ENDPOINT: "https://localhost:{tls_grpc}"}

CASES = {
    "nobody listens": Case(
        {ENDPOINT: "http://127.0.0.1:{nobody}"},
        "Nobody listens at 127.0.0.1:{nobody}.",
        f"Start the Collector, or name it in {ENDPOINT}",
        {ENDPOINT: "http://127.0.0.1:{http}"},
    ),
    "nobody listens for grpc": Case(
        {**GRPC, ENDPOINT: "http://127.0.0.1:{nobody}"},
        "Nobody listens at 127.0.0.1:{nobody}.",
        f"Start the Collector, or name it in {ENDPOINT}",
        {**GRPC, ENDPOINT: "http://127.0.0.1:{grpc}"},
    ),
    "http to the port of grpc": Case(
        {ENDPOINT: "http://127.0.0.1:{grpc}"},
        "127.0.0.1:{grpc} speaks grpc, but is asked by http/protobuf.",
        f"or port 4318 in {ENDPOINT}.",
        {ENDPOINT: "http://127.0.0.1:{http}"},
    ),
    "grpc to the port of http": Case(
        {**GRPC, ENDPOINT: "http://127.0.0.1:{http}"},
        "127.0.0.1:{http} speaks http/protobuf, but is asked by grpc.",
        f"or port 4317 in {ENDPOINT}.",
        {**GRPC, ENDPOINT: "http://127.0.0.1:{grpc}"},
    ),
    "the wrong protocol": Case(
        {ENDPOINT: "http://127.0.0.1:{grpc}"},
        "speaks grpc, but is asked by http/protobuf.",
        "Set OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
        {**GRPC, ENDPOINT: "http://127.0.0.1:{grpc}"},
    ),
    "the other wrong protocol": Case(
        {**GRPC, ENDPOINT: "http://127.0.0.1:{http}"},
        "speaks http/protobuf, but is asked by grpc.",
        "Set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", ENDPOINT: "http://127.0.0.1:{http}"},
    ),
    "a name nobody knows": Case(
        {ENDPOINT: "http://collector.invalid:4318"},
        "The host name collector.invalid isn't known here",
        f"Correct it in {ENDPOINT}",
        {ENDPOINT: "http://localhost:{http}"},
    ),
    "a name nobody knows for grpc": Case(
        {**GRPC, ENDPOINT: "http://collector.invalid:4317"},
        "The host name collector.invalid isn't known here",
        f"Correct it in {ENDPOINT}",
        {**GRPC, ENDPOINT: "http://localhost:{grpc}"},
    ),
    "tls to plain": Case(
        {ENDPOINT: "https://127.0.0.1:{http}"},
        "127.0.0.1:{http} speaks no TLS, but is asked with it.",
        f"Write http:// in {ENDPOINT}",
        {ENDPOINT: "http://127.0.0.1:{http}"},
    ),
    "tls to plain grpc": Case(
        {**GRPC, ENDPOINT: "https://127.0.0.1:{grpc}"},
        "127.0.0.1:{grpc} speaks no TLS, but is asked with it.",
        f"Write http:// in {ENDPOINT}",
        {**GRPC, ENDPOINT: "http://127.0.0.1:{grpc}"},
    ),
    "plain to tls": Case(
        {**SECURE, ENDPOINT: "http://localhost:{tls_http}"},
        "localhost:{tls_http} speaks TLS, but is asked without it.",
        f"Write https:// in {ENDPOINT}, and the authority's file in {CERTIFICATE}",
        SECURE,
    ),
    "plain to tls by grpc": Case(
        {**SECURE_GRPC, ENDPOINT: "http://localhost:{tls_grpc}"},
        "localhost:{tls_grpc} speaks TLS, but is asked without it.",
        f"Write https:// in {ENDPOINT}, and the authority's file in {CERTIFICATE}",
        SECURE_GRPC,
    ),
    "an unknown authority": Case(
        {**SECURE, CERTIFICATE: ""},
        "The certificate at localhost:{tls_http} isn't trusted",
        f"{CERTIFICATE} has to name the file of the authority",
        SECURE,
    ),
    "an unknown authority by grpc": Case(
        {**SECURE_GRPC, CERTIFICATE: ""},
        "The certificate at localhost:{tls_grpc} isn't trusted",
        f"{CERTIFICATE} has to name the file of the authority",
        SECURE_GRPC,
    ),
    "another host's certificate": Case(
        {**SECURE, ENDPOINT: "https://127.0.0.1:{tls_http}"},
        "The certificate at 127.0.0.1:{tls_http} isn't one for 127.0.0.1, but for localhost.",
        f"Use such a name in {ENDPOINT}",
        SECURE,
    ),
    "another host's certificate by grpc": Case(
        {**SECURE_GRPC, ENDPOINT: "https://127.0.0.1:{tls_grpc}"},
        "The certificate at 127.0.0.1:{tls_grpc} isn't one for 127.0.0.1, but for localhost.",
        f"Use such a name in {ENDPOINT}",
        SECURE_GRPC,
    ),
    "no certificate of ours": Case(
        {ENDPOINT: "https://localhost:{mutual}", CERTIFICATE: "{ca}"},
        "localhost:{mutual} wants a certificate of ours",
        "Name one in OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE, and its key in "
        "OTEL_EXPORTER_OTLP_CLIENT_KEY.",
        {
            ENDPOINT: "https://localhost:{mutual}",
            CERTIFICATE: "{ca}",
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "{certificate}",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": "{key}",
        },
    ),
    "no certificate of ours by grpc": Case(
        {**GRPC, ENDPOINT: "https://localhost:{mutual_grpc}", CERTIFICATE: "{ca}"},
        "localhost:{mutual_grpc} wants a certificate of ours",
        "Name one in OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        {
            **GRPC,
            ENDPOINT: "https://localhost:{mutual_grpc}",
            CERTIFICATE: "{ca}",
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "{certificate}",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": "{key}",
        },
    ),
    "a bad token": Case(
        {**SECURE, HEADERS: "authorization=Bearer%20wrong"},
        "localhost:{tls_http} refuses our credentials (HTTP 401",
        f"Compare the token in {HEADERS}",
        SECURE,
    ),
    "a bad token by grpc": Case(
        {**SECURE_GRPC, HEADERS: "authorization=Bearer%20wrong"},
        "localhost:{tls_grpc} refuses our credentials (gRPC UNAUTHENTICATED",
        f"Compare the token in {HEADERS}",
        SECURE_GRPC,
    ),
    "no token": Case(
        {**SECURE, HEADERS: ""},
        "localhost:{tls_http} asks for credentials, and none are sent",
        f"Set {HEADERS}=authorization=Bearer%20TOKEN",
        SECURE,
    ),
    "no token by grpc": Case(
        {**SECURE_GRPC, HEADERS: ""},
        "localhost:{tls_grpc} asks for credentials, and none are sent",
        f"Set {HEADERS}=authorization=Bearer%20TOKEN",
        SECURE_GRPC,
    ),
    "the path twice": Case(
        {ENDPOINT: "http://127.0.0.1:{http}/v1/traces"},
        "127.0.0.1:{http} has no receiver below /v1/traces",
        f"Take /v1/traces out of {ENDPOINT}",
        {ENDPOINT: "http://127.0.0.1:{http}"},
    ),
    "no path for one signal": Case(
        {TRACES_ENDPOINT: "http://127.0.0.1:{http}"},
        "127.0.0.1:{http} has no receiver at /",
        f"Write /v1/traces at the end of {TRACES_ENDPOINT}",
        {TRACES_ENDPOINT: "http://127.0.0.1:{http}/v1/traces"},
    ),
    "one signal elsewhere": Case(
        {TRACES_ENDPOINT: "http://127.0.0.1:{nobody}/v1/traces"},
        "Nobody listens at 127.0.0.1:{nobody}.",
        f"name it in {TRACES_ENDPOINT}",
        {},
    ),
    # 127.1 is the loopback address, too, but not one that is known not to need a proxy.
    "a proxy": Case(
        {ENDPOINT: "http://127.1:{http}", "http_proxy": "http://ada:hush@127.0.0.1:{nobody}"},
        "127.1:{http} is asked through the proxy 127.0.0.1:{nobody}",
        "Add 127.1 to no_proxy",
        {
            ENDPOINT: "http://127.1:{http}",
            "http_proxy": "http://ada:hush@127.0.0.1:{nobody}",
            "no_proxy": "127.1",
        },
    ),
    "a proxy for grpc": Case(
        {
            **GRPC,
            ENDPOINT: "http://127.0.0.1:{grpc}",
            "http_proxy": "http://127.0.0.1:{nobody}",
        },
        "127.0.0.1:{grpc} is asked through the proxy 127.0.0.1:{nobody}",
        "Add 127.0.0.1 to no_proxy",
        {
            **GRPC,
            ENDPOINT: "http://127.0.0.1:{grpc}",
            "http_proxy": "http://127.0.0.1:{nobody}",
            "no_proxy": "127.0.0.1",
        },
    ),
    "a proxy before a backend": Case(
        {READ_FROM: "jaeger=http://127.1:{jaeger}", "http_proxy": "http://127.0.0.1:{nobody}"},
        "Jaeger at http://127.1:{jaeger} can't be read",
        "asked through the proxy 127.0.0.1:{nobody}: add 127.1 to no_proxy",
        {
            READ_FROM: "jaeger=http://127.1:{jaeger}",
            "http_proxy": "http://127.0.0.1:{nobody}",
            "no_proxy": "127.1",
        },
    ),
    "a backend elsewhere": Case(
        {READ_FROM: "jaeger=http://127.0.0.1:{nobody}"},
        "Jaeger at http://127.0.0.1:{nobody} can't be read: can't connect",
        f"Start Jaeger, or name where it is in {READ_FROM}.",
        {READ_FROM: "jaeger=http://127.0.0.1:{jaeger}"},
    ),
    "something else for a backend": Case(
        {READ_FROM: "jaeger=http://127.0.0.1:{http}"},
        "Jaeger at http://127.0.0.1:{http} has no such page (status 404)",
        f"Name the address of Jaeger's own API in {READ_FROM}.",
        {READ_FROM: "jaeger=http://127.0.0.1:{jaeger}"},
    ),
    "a backend's name nobody knows": Case(
        {READ_FROM: "jaeger=http://jaeger.invalid"},
        "can't look up jaeger.invalid",
        f"Correct the host name in {READ_FROM}.",
        {READ_FROM: "jaeger=http://localhost:{jaeger}"},
    ),
    "always off": Case(
        {"OTEL_TRACES_SAMPLER": "always_off"},
        "OTEL_TRACES_SAMPLER=always_off records no traces.",
        "Set OTEL_TRACES_SAMPLER to parentbased_always_on",
        {"OTEL_TRACES_SAMPLER": "parentbased_always_on"},
    ),
    "a ratio of nothing": Case(
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"},
        "OTEL_TRACES_SAMPLER=traceidratio records no traces.",
        "parentbased_traceidratio with OTEL_TRACES_SAMPLER_ARG above 0.",
        {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"},
    ),
    "all switched off": Case(
        {"OTEL_SDK_DISABLED": "true"},
        "OTEL_SDK_DISABLED switches everything off.",
        "Take OTEL_SDK_DISABLED away.",
        {},
    ),
    "one signal switched off": Case(
        {"OTEL_TRACES_EXPORTER": "none"},
        "OTEL_TRACES_EXPORTER=none sends no traces to the receiver.",
        "Set OTEL_TRACES_EXPORTER=otlp",
        {"OTEL_TRACES_EXPORTER": "otlp"},
        "warning",
    ),
    "a folder that can't be written": Case(
        {"OTEL_DJANGO_SPOOL_DIR": "{ca}/spool"},
        "{ca}/spool can't be written (Not a directory)",
        "name another folder in OTEL_DJANGO_SPOOL_DIR.",
        {},
        "warning",
    ),
}
