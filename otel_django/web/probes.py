"""What probes are answered: the same to everybody, with the details for those who may read them.

Each has three ways to be asked: as a view, and before the site's middleware by a synchronous and by
an asynchronous server. A dependency that is slow is waited for in each, for at most half a second.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import SuspiciousOperation

from otel_django import guard, names
from otel_django.health.registry import SITE, UnknownCheckError
from otel_django.health.report_json import document, health_json, summary
from otel_django.health.results import GROUPS, Group, Report
from otel_django.web.early import Early, Fallback, final
from otel_django.web.json_endpoint import HEADERS, Choice, Refused, answer, refusal
from otel_django.web.metrics_answer import METHODS, Answer
from otel_django.web.permissions import may_be_logged_in, may_read
from otel_django.web.responses import as_response
from otel_django.web.site_settings import site_settings

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from otel_django.health.engine import Engine

HEALTH_JSON: Final = "application/health+json"
_TEXT: Final = {**HEADERS, "Content-Type": "text/plain"}
_ALIVE: Final = Answer(200, b"OK", _TEXT)
_NOT_ALIVE: Final = Answer(503, b"unhealthy", _TEXT)
_WHO_IS_STAFF: Final = ("database", "cache")
"""The checks of what keeps users and sessions."""
_GROUP: Final = Choice(
    "group", "Which checks to ask.", ("all", *(each for each in GROUPS if each != "all"))
)


@dataclass(frozen=True)
class _Asked:
    group: Group
    names: frozenset[str] | None = None


class Probe:
    """All checks of a group; where it is ``selectable``, ``?group=`` and ``?check=`` say which."""

    def __init__(self, group: Group, *, selectable: bool = False) -> None:
        self._group = group
        self._selectable = selectable

    def view(self, request: HttpRequest) -> HttpResponse:
        """The answer where the site's middleware has told who asks."""
        try:
            asked = self._asked(request)
            report = getattr(request, "_otel_django_report", None) or _report(asked)
            return final(_response(request, asked, report))
        except Refused as refused:
            return final(_sent(refused.answer, request))

    @staticmethod
    def prepare() -> None:
        """Have the first answer in time, too."""
        _engine().prepare()

    def early(self, request: HttpRequest) -> Early:
        """The answer before middleware."""
        try:
            if self._depends_on_who_asks(request):
                return None
            asked = self._asked(request)
            return self._early(request, asked, _report(asked))
        except Refused as refused:
            return _sent(refused.answer, request)

    async def early_async(self, request: HttpRequest) -> Early:
        """The same, holding no thread while it waits."""
        try:
            if self._depends_on_who_asks(request):
                return None
            asked = self._asked(request)
            return self._early(request, asked, await _report_async(asked))
        except Refused as refused:
            return _sent(refused.answer, request)

    def _depends_on_who_asks(self, request: HttpRequest) -> bool:
        """Single checks are for those who may read; the site's middleware may know that."""
        return (
            self._selectable
            and "check=" in request.META.get("QUERY_STRING", "")
            and may_be_logged_in(request)
            and may_read(request, site_settings()) != "allowed"
        )

    def _asked(self, request: HttpRequest) -> _Asked:
        _check_method(request)
        if not self._selectable or not request.META.get("QUERY_STRING"):
            return _Asked(self._group)
        try:
            query = request.GET
        except SuspiciousOperation:
            raise Refused(400, "bad parameter", "There are too many parameters.") from None
        group: Any = _GROUP.value(query.get("group", self._group))
        checks = frozenset(name for each in query.getlist("check") for name in each.split(","))
        if checks:
            verdict = may_read(request, site_settings())
            if verdict != "allowed":  # not even whether there are such checks
                raise refusal(verdict)
            _check_known(group, checks)
        return _Asked(group, checks or None)

    def _early(self, request: HttpRequest, asked: _Asked, report: Report) -> Early:
        response = _response(request, asked, report)
        if (
            not may_be_logged_in(request)
            or may_read(request, site_settings()) == "allowed"
            or not _tells_who_is_staff(report)
        ):
            return response
        request._otel_django_report = report  # type: ignore[attr-defined]
        return Fallback(response)


class LiveProbe:
    """Whether the process answers: no dependency is touched.

    Checks that the site itself has put into the group ``live`` are asked.
    """

    prepare = None

    def view(self, request: HttpRequest) -> HttpResponse:
        """The answer, whoever asks."""
        try:
            _check_method(request)
            alive = not SITE.checks("live") or _report(_Asked("live")).ok
        except Refused as refused:
            return _sent(refused.answer, request)
        return _sent(_ALIVE if alive else _NOT_ALIVE, request)

    early = view

    async def early_async(self, request: HttpRequest) -> Early:
        """The same, holding no thread while it waits."""
        try:
            _check_method(request)
            alive = not SITE.checks("live") or (await _report_async(_Asked("live"))).ok
        except Refused as refused:
            return _sent(refused.answer, request)
        return _sent(_ALIVE if alive else _NOT_ALIVE, request)


def _engine() -> Engine:
    from otel_django.health import active  # not in each command that only loads the URLconf

    return active.engine()


def _check_method(request: HttpRequest) -> None:
    if request.method not in METHODS:
        allow = ", ".join(METHODS)
        raise Refused(405, "method not allowed", "Use GET or HEAD.", Allow=allow)


def _check_known(group: Group, checks: frozenset[str]) -> None:
    registry = _engine().registry
    try:
        registry.checks(group, checks)
    except UnknownCheckError:
        known = ", ".join(check.name for check in registry.checks(group))
        detail = f"A check asked for isn't in the group {group}. There are: {known or 'none'}."
        raise Refused(400, "unknown check", detail) from None


def _report(asked: _Asked) -> Report:
    try:
        return _engine().report(asked.group, asked.names)
    except Exception:
        guard.caught("health.report")
        return _failed(asked)


async def _report_async(asked: _Asked) -> Report:
    try:
        look = _engine().look(asked.group, asked.names)
        while wait_s := look.wait_s():  # noqa: ASYNC110 - another process may find it
            await asyncio.sleep(wait_s)
        return look.report()
    except Exception:
        guard.caught("health.report")
        return _failed(asked)


def _failed(asked: _Asked) -> Report:
    """What can't be known isn't healthy: a balancer is to get a 503, not a 500."""
    return Report(asked.group, "unhealthy", (), time_ns(), 0.0)


def _tells_who_is_staff(report: Report) -> bool:
    """Whether users can be looked up: where they can't, nobody is to wait for that."""
    return all(
        check.status in {"healthy", "degraded"}
        for check in report.checks
        if check.name in _WHO_IS_STAFF
    )


def _sent(found: Answer, request: HttpRequest) -> HttpResponse:
    """Django would log an error, and mail the admins, for each 503: a health check tells itself."""
    response = as_response(found, request)
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def _response(request: HttpRequest, asked: _Asked, report: Report) -> HttpResponse:
    settings = site_settings()
    details = may_read(request, settings) == "allowed"
    version = settings.resource_attributes.get(names.SERVICE_VERSION)
    status = 200 if report.ok else 503
    if HEALTH_JSON in request.META.get("HTTP_ACCEPT", ""):
        found = answer(
            health_json(report, version, details=details), status, **{"Content-Type": HEALTH_JSON}
        )
    else:
        found = answer(document(report, version) if details else summary(report), status)
    return _sent(found, request)
