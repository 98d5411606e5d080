"""The variables of what pages and alerts read from: ``OTEL_DJANGO_READ_FROM*``."""

from __future__ import annotations

from typing import Final

from otel_django.conf import backend_parsers, list_parsers, secret_parsers
from otel_django.conf import parsers as p
from otel_django.conf.variable import PREFIX, Variable


def _reading(name: str, field: str, parser: p.Parser, default: str, doc: str) -> Variable:
    return Variable((f"{PREFIX}READ_FROM{name}",), field, parser, default, doc, "Reading")


def _headers(backend: str) -> Variable:
    return _reading(
        f"_HEADERS_{backend.upper()}",
        f"read_from_headers_{backend}",
        list_parsers.headers(),
        "",
        f"Headers sent with each question to {backend.capitalize()}, such as its key.",
    )


READING: Final = (
    _reading(
        "",
        "read_from",
        backend_parsers.backends(),
        "store",
        "What the pages and the embedded evaluation of alerts read: the embedded store, or "
        "Jaeger (version 2), Loki and Prometheus by their addresses. What isn't named is read "
        "from the store, if there is one.",
    ),
    *map(_headers, backend_parsers.BACKENDS),
    _reading(
        "_TENANT",
        "read_from_tenant",
        secret_parsers.secret(),
        "",
        "The tenant whose logs and metrics are read, where Loki and Mimir have several: it is "
        "sent as `X-Scope-OrgID`.",
    ),
    _reading(
        "_CERTIFICATE",
        "read_from_certificate",
        p.path(),
        "(the system's authorities)",
        "A PEM file with the authorities to trust for TLS.",
    ),
    _reading(
        "_TIMEOUT",
        "read_from_timeout_s",
        p.number("seconds", above=True, most=60),
        "10",
        "How long one question to Jaeger, Loki or Prometheus may take.",
    ),
)
