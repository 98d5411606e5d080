"""The answer to a scrape, whoever serves it: Django's handlers or the workers' listener."""

from __future__ import annotations

import gzip
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from otel_django import guard
from otel_django.errors import ReadError
from otel_django.metrics import active, exposition

if TYPE_CHECKING:
    from otel_django.clock import Clock
    from otel_django.conf import Settings
    from otel_django.metrics.active import HostSums
    from otel_django.metrics.exposition import Format
    from otel_django.tracing.trust import Environ
    from otel_django.web.access import Access, Verdict

_logger = logging.getLogger(guard.LOGGER_NAME)
METHODS = ("GET", "HEAD")
_OFF = "None are recorded here: OTEL_DJANGO_METRICS_ACCESS or OTEL_METRICS_EXPORTER would do that."
_WORTH_PACKING = 1024


@dataclass(frozen=True)
class Answer:
    """A response. To HEAD only its headers are sent."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class MetricsEndpoint:
    """Answers requests, each given as its WSGI-style environ."""

    def __init__(self, settings: Settings, access: Access, clock: Clock) -> None:
        self.access = access
        self._names = settings.metric_names
        self._clock = clock

    def answer(self, environ: Environ, verdict: Verdict, default: Format) -> Answer:
        """The page, or what stands in its way; ``default`` is the format of who names none."""
        if environ.get("REQUEST_METHOD") not in METHODS:
            return error(405, "method not allowed", "Use GET or HEAD.", Allow=", ".join(METHODS))
        if verdict != "allowed":
            return refusal(verdict)
        form = _form(environ, default)
        if form is None:
            known = ", ".join(exposition.FORMATS)
            return error(400, "unknown format", f"Known formats: {known}.")
        host = active.host()
        if host is None:
            return error(503, "no metrics", _OFF)
        page = self._page(host, form)
        if page is None:
            return error(503, "no metrics", "They can't be read just now: try again.")
        return _sent(page, exposition.CONTENT_TYPES[form], environ)

    def _page(self, host: HostSums, form: Format) -> bytes | None:
        try:
            data = host.read()
            return exposition.render(data, form, self._names, self._clock.now_ns(), _pause)
        except (OSError, ReadError) as exc:
            _logger.info("metrics.page: %s", exc)
        except Exception:
            guard.caught("metrics.page")
        return None


def _pause() -> None:
    time.sleep(0)


def refusal(verdict: Verdict) -> Answer:
    """401 where a token would help, else 403."""
    if verdict == "unauthorized":
        return error(
            401,
            "unauthorized",
            "A token is needed, or an address that is allowed.",
            **{"WWW-Authenticate": 'Bearer realm="metrics"'},
        )
    return error(403, "forbidden", "This address may not read metrics.")


def error(status: int, kind: str, detail: str, **headers: str) -> Answer:
    """``{error, detail}``."""
    body = json.dumps({"error": kind, "detail": detail}).encode()
    return Answer(status, body, {**_headers("application/json"), **headers})


def _form(environ: Environ, default: Format) -> Format | None:
    """What ``?format=`` says, else the Accept header; None for an unknown one."""
    asked = parse_qs(environ.get("QUERY_STRING") or "").get("format")
    if not asked:
        return exposition.wanted_format(environ.get("HTTP_ACCEPT") or "", default)
    return next((form for form in exposition.FORMATS if form == asked[-1]), None)


def _sent(page: bytes, content_type: str, environ: Environ) -> Answer:
    headers = {**_headers(content_type), "Vary": "Accept, Accept-Encoding"}
    asked = exposition.accepts_gzip(environ.get("HTTP_ACCEPT_ENCODING") or "")
    if asked and len(page) >= _WORTH_PACKING:
        return Answer(200, gzip.compress(page, 1), {**headers, "Content-Encoding": "gzip"})
    return Answer(200, page, headers)


def _headers(content_type: str) -> dict[str, str]:
    return {
        "Content-Type": content_type,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
