"""Everything else, by Apprise's addresses; needs the extra ``notify``."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from otel_django.alerts.delivery import words
from otel_django.alerts.delivery.contract import Outcome
from otel_django.alerts.delivery.posting import NOT_ALLOWED

if TYPE_CHECKING:
    from otel_django.alerts.delivery.contract import Notification

MISSING: Final = 'Apprise is missing: pip install "otel-django[notify]".'
MOST_ALERTS: Final = 10
_TITLE: Final = 150
_TEXT: Final = 300
_LOGGERS: Final = ("apprise", "requests", "urllib3", "urllib3.connectionpool")
"""They write addresses, in which the secrets are."""


@dataclass(frozen=True, slots=True)
class AppriseChannel:
    """One address, which is a secret. Redirects aren't followed."""

    url: str = field(repr=False)
    may_reach: Callable[[str], bool] = field(repr=False)
    name: str = "apprise"

    def send(self, notification: Notification, timeout_s: float) -> Outcome:
        """Hand it to Apprise."""
        try:
            import apprise
        except ImportError:
            return Outcome(
                "refused", 'Apprise isn\'t installed: pip install "otel-django[notify]".'
            )
        with _unlogged():
            service = apprise.Apprise.instantiate(self.url, suppress_exceptions=True)
            if not service:
                return Outcome("refused", "Its address isn't one that Apprise knows.")
            if not _leads_where_it_may(service, self.may_reach):
                return Outcome("refused", NOT_ALLOWED)
            service.redirects = False
            service.socket_connect_timeout = service.socket_read_timeout = timeout_s / 2
            return _notified(apprise, service, notification)


def _notified(apprise: Any, service: Any, notification: Notification) -> Outcome:
    told = apprise.Apprise()
    told.add(service)
    try:
        done = told.notify(
            title=words.title(notification, _TITLE),
            body=_body(notification),
            notify_type=_type(apprise, notification),
        )
    except Exception as error:  # a hundred services' code
        return Outcome("retry", f"Apprise failed ({type(error).__name__}).")
    return Outcome("delivered") if done else Outcome("retry", "Apprise could not deliver it.")


def _type(apprise: Any, notification: Notification) -> Any:
    if notification.status == "resolved":
        return apprise.NotifyType.SUCCESS
    if notification.severity == "critical":
        return apprise.NotifyType.FAILURE
    return apprise.NotifyType.WARNING


def _body(notification: Notification) -> str:
    shown = notification.alerts[:MOST_ALERTS]
    lines = []
    for alert in shown:
        lines.append(f"{alert.state.upper()} {words.line(alert.summary, _TEXT)}")
        lines += [one for one in (words.line(words.about(alert), _TEXT), alert.page) if one]
    lines += [one for one in (words.more(notification, len(shown)), notification.page) if one]
    return "\n".join(lines)


def _leads_where_it_may(service: Any, may_reach: Callable[[str], bool]) -> bool:
    """Apprise connects by itself: what the name leads to is all that can be looked at."""
    # smtp_host is where e-mail goes; services without a host have addresses of Apprise's own.
    hosts = (getattr(service, name, None) for name in ("host", "smtp_host"))
    return all(may_reach(each) for host in hosts if host for each in _addresses(str(host)))


def _addresses(host: str) -> list[str]:
    """None of what can't be looked up: Apprise won't get there either, and says so."""
    import socket

    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(one[4][0]) for one in found]


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """Drop what these loggers say on this thread."""
    thread = threading.get_ident()

    def elsewhere(record: logging.LogRecord) -> bool:
        return record.thread != thread

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addFilter(elsewhere)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(elsewhere)
