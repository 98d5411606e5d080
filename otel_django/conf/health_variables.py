"""The variables of health checks: ``OTEL_DJANGO_HEALTH_*``."""

from __future__ import annotations

from typing import Final

from otel_django.conf import list_parsers as lists
from otel_django.conf import parsers as p
from otel_django.conf.limits import limits
from otel_django.conf.variable import PREFIX, Variable

_NAME: Final = r"[a-z_][a-z0-9_.-]*"


def _health(name: str, field: str, parser: p.Parser, default: str, doc: str) -> Variable:
    return Variable((PREFIX + name,), field, parser, default, doc, "Health checks")


HEALTH: Final = (
    _health(
        "HEALTH_TTL",
        "health_ttl_s",
        p.number("seconds", least=1),
        "5",
        "How long what a health check found is shown before it looks again; `storage` and `email`, "
        "whose calls may be paid for or counted, look once a minute at most.",
    ),
    _health(
        "HEALTH_TIMEOUT",
        "health_timeout_s",
        p.number("seconds", above=True, most=60),
        "2",
        "After how long a check that hasn't come back has failed. Answers never wait that long.",
    ),
    _health(
        "HEALTH_DISABLED",
        "health_disabled",
        lists.matching(_NAME, "a comma-separated list of checks, such as `cpu,load`"),
        "",
        "Checks that are left out.",
    ),
    _health(
        "HEALTH_CRITICAL",
        "health_critical",
        lists.matching(f"-?{_NAME}", "a comma-separated list of checks, such as `storage,-cache`"),
        "",
        "Checks whose failure makes the whole unhealthy (503); after a `-`, those whose failure "
        "makes it degraded (200) although they would be critical otherwise.",
    ),
    _health(
        "HEALTH_READY",
        "health_ready",
        lists.matching(f"-?{_NAME}", "a comma-separated list of checks, such as `http,-cache`"),
        "",
        "Checks that readiness asks as well; after a `-`, those that it doesn't ask.",
    ),
    _health(
        "HEALTH_LIMITS",
        "health_limits",
        limits(),
        "",
        "From when on what is measured counts as degraded, and as unhealthy: "
        "`disk=90:95,cpu=80:90`. What isn't given keeps its default: "
        "`disk`=90:95, `memory`=85:95, `cpu`=80:90 and `connections`=80:95 in per cent; `load`=2:4 "
        "a processor; `database_ms`, `cache_ms`, `http_ms`=500:2000; `queue_length`=1000:10000 "
        "tasks; `queue_wait_s`=60:600; `missed_runs`=1:3; `certificate_days`=21:3, the fewer the "
        "worse; `dropped`=1:1000 records of telemetry in five minutes.",
    ),
    _health(
        "HEALTH_DISKS",
        "health_disks",
        lists.names("a comma-separated list of paths"),
        "(BASE_DIR's)",
        "Paths on the disks whose space is checked.",
    ),
    _health(
        "HEALTH_URLS",
        "health_urls",
        lists.matching(
            r"(?:[\w.-]+=)?https?://[^\s,]+",
            "a comma-separated list of URLs, such as `payments=https://pay.example/ping`",
        ),
        "",
        "Services that the site depends on: each is asked with GET and is healthy if it answers "
        "with 200 to 399. It is shown under its name, else its host; credentials and query are "
        "not.",
    ),
    _health(
        "HEALTH_CERTIFICATES",
        "health_certificates",
        lists.names("a comma-separated list of host:port, or of paths of PEM files"),
        "",
        "Certificates whose expiry is checked; those of servers must be ones that clients take.",
    ),
    _health(
        "STUCK_S",
        "stuck_s",
        p.number("seconds", least=1),
        "600",
        "For how long a worker may finish nothing, though it has something to do, before it counts "
        "as stuck.",
    ),
)
