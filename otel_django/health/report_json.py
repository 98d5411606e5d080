"""Reports as JSON values: of our own, and as ``application/health+json`` has them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_django.health.results import CheckReport, Report, Result, State

_HEALTH_JSON_WORDS: Final[Mapping[State, str]] = {
    "healthy": "pass",
    "degraded": "warn",
    "pending": "warn",
    "unhealthy": "fail",
}


def summary(report: Report) -> dict[str, Any]:
    """What anybody may know: ``{status, timestamp}``."""
    return {"status": report.status, "timestamp": timestamp(report.time_ns)}


def document(report: Report, version: str | None) -> dict[str, Any]:
    """All of it; ``version`` is the site's, None if it isn't known."""
    return {
        **summary(report),
        "duration_ms": _ms(report.duration_s),
        "version": version,
        "checks": {check.name: check_document(check) for check in report.checks},
    }


def check_document(check: CheckReport) -> dict[str, Any]:
    """One check; ``instances`` only where it tells of several, ``running_s`` while it runs."""
    alone = [result for result in check.results if not result.instance]
    several = [result for result in check.results if result.instance]
    found: dict[str, Any] = {
        "status": check.status,
        "critical": check.critical,
        "duration_ms": _ms(check.duration_s),
        "age_s": _rounded(check.age_s),
        "observed": dict(alone[0].observed) if alone else {},
        "message": check.message,
    }
    if check.running_s is not None:
        found["running_s"] = _rounded(check.running_s)
    if several:
        found["instances"] = {result.instance: _instance(result) for result in several}
    return found


def health_json(report: Report, version: str | None, *, details: bool) -> dict[str, Any]:
    """By draft-inadarei-api-health-check-06; without ``details`` the status only."""
    found: dict[str, Any] = {"status": _HEALTH_JSON_WORDS[report.status]}
    if not details:
        return found
    if version is not None:
        found["releaseId"] = version
    found["checks"] = {check.name: _health_json_findings(check, report) for check in report.checks}
    return found


def timestamp(time_ns: int) -> str:
    """RFC 3339, in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(time_ns / 1e9, tz=timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _health_json_findings(check: CheckReport, report: Report) -> list[dict[str, Any]]:
    if not check.results:
        return [{"status": _HEALTH_JSON_WORDS[check.status]}]
    time = timestamp(report.time_ns - int((check.age_s or 0) * 1e9))
    return [_health_json_finding(result, time) for result in check.results]


def _health_json_finding(result: Result, time: str) -> dict[str, Any]:
    found: dict[str, Any] = {"status": _HEALTH_JSON_WORDS[result.status], "time": time}
    if result.instance:
        found["componentId"] = result.instance
    if result.observed:
        found["observedValue"] = dict(result.observed)
    if result.message and result.status != "healthy":
        found["output"] = result.message
    return found


def _instance(result: Result) -> dict[str, Any]:
    observed = dict(result.observed)
    return {"status": result.status, "observed": observed, "message": result.message}


def _ms(duration_s: float | None) -> float | None:
    return None if duration_s is None else round(duration_s * 1000, 2)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
