"""The variables of Alertmanager, to which decisions about alerts go where Prometheus evaluates."""

from __future__ import annotations

from typing import Final

from otel_django.conf import list_parsers as lists
from otel_django.conf import parsers as p
from otel_django.conf.secret_parsers import secret_url
from otel_django.conf.variable import PREFIX, Variable


def _alertmanager(name: str, field: str, parser: p.Parser, default: str, doc: str) -> Variable:
    return Variable(
        (f"{PREFIX}ALERTMANAGER_{name}",),
        f"alertmanager_{field}",
        parser,
        default,
        doc,
        "Alertmanager",
    )


ALERTMANAGER: Final = (
    _alertmanager(
        "URL",
        "url",
        secret_url("http://alertmanager:9093"),
        "",
        "With `OTEL_DJANGO_ALERTS_EVALUATOR=prometheus`: Alertmanager, which is told of "
        "acknowledgements, silences and maintenance: "
        "[Alert with Prometheus](../how-to/alert-with-prometheus.md). Only its host is ever shown.",
    ),
    _alertmanager(
        "HEADERS",
        "headers",
        lists.headers(),
        "",
        "Headers sent to Alertmanager, such as `authorization=Bearer%20…`.",
    ),
    _alertmanager(
        "CERTIFICATE",
        "certificate",
        p.path(),
        "(the system's authorities)",
        "A PEM file with the authorities to trust for Alertmanager's TLS.",
    ),
    _alertmanager(
        "TIMEOUT",
        "timeout_s",
        p.number("seconds", above=True, most=20),
        "3",
        "How long a page may wait for Alertmanager, in all.",
    ),
    _alertmanager(
        "ACKNOWLEDGED_FOR",
        "acknowledged_s",
        p.number("seconds", above=True, most=90 * 86_400),
        "86400",
        "For how long Alertmanager tells nobody of an acknowledged alert, unless it is resolved "
        "before.",
    ),
)
