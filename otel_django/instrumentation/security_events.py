"""``security.…``: log records of logins, and of what Django refuses.

Logins are told by Django's signals. Of what it refuses, Django writes a record itself: that record
leaves as the event, and no second one is made.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from otel_django import guard, names
from otel_django.instrumentation.http_served import user_attribute
from otel_django.log_record import INFO, WARN
from otel_django.logs import active

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.instrumentation.http_served import ServedRequest
    from otel_django.logs.journal import Journal
    from otel_django.tracing.tracer import Tracer

_UID: Final = "otel_django-security"
_RULES: Final = ("django.security", "django.request")
_CSRF: Final = "django.security.csrf"
_FORBIDDEN: Final = 403


class SecurityEvents:
    """Waits for signals and Django's records."""

    def __init__(self) -> None:
        self._journal: Journal | None = None

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Tell, if anybody takes log records; a second call changes nothing."""
        from django.contrib.auth import signals

        journal = active.journal()
        if journal is None or self._journal is not None:
            return
        self._journal = journal
        journal.set_rule("django.security", _of_security)
        journal.set_rule("django.request", _of_request)
        signals.user_logged_in.connect(_logged_in, dispatch_uid=_UID)
        signals.user_login_failed.connect(_login_failed, dispatch_uid=_UID)

    def uninstall(self) -> None:
        """Hear nothing more."""
        from django.contrib.auth import signals

        if self._journal is not None:
            for name in _RULES:
                self._journal.set_rule(name, None)
            self._journal = None
        signals.user_logged_in.disconnect(dispatch_uid=_UID)
        signals.user_login_failed.disconnect(dispatch_uid=_UID)


def _of_security(record: logging.LogRecord) -> str | None:
    return names.CSRF_FAILED if record.name == _CSRF else names.SUSPICIOUS_OPERATION


def _of_request(record: logging.LogRecord) -> str | None:
    return names.PERMISSION_DENIED if getattr(record, "status_code", 0) == _FORBIDDEN else None


def _logged_in(*, request: Any = None, user: Any = None, **_: Any) -> None:
    _tell(names.LOGIN_SUCCEEDED, INFO, request, getattr(user, "pk", None))


def _login_failed(*, credentials: Any = None, request: Any = None, **_: Any) -> None:
    """The name is what stands under the user model's name for it."""
    with guard.guarded("security_events"):
        from django.contrib.auth import get_user_model

        given = credentials or {}
        name = given.get(get_user_model().USERNAME_FIELD, given.get("username"))
        _tell(names.LOGIN_FAILED, WARN, request, name)


def _tell(event: str, severity: int, request: Any, who: object) -> None:
    """``who`` leaves as a keyed hash only."""
    journal = active.journal()
    if journal is None:
        return
    with guard.guarded("security_events"):
        fields: dict[str, Any] = {}
        if who is not None:
            fields.update(user_attribute(who, "hash"))
        served: ServedRequest | None = getattr(request, "_otel_django", None)
        if served is not None:
            client = served._tracing.describer.path_and_client(request)[1]
            if client:
                fields[names.CLIENT_ADDRESS] = client
        journal.emit(event, severity=severity, attributes=fields)
