"""E-mail, by whatever Django sends the site's own mail with: text and HTML."""

from __future__ import annotations

import smtplib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings as site
from django.core import mail
from django.utils.html import format_html, format_html_join

from otel_django.alerts.delivery import words
from otel_django.alerts.delivery.contract import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.utils.safestring import SafeString

    from otel_django.alerts.delivery.contract import Notification, ToldAlert

MOST_ALERTS: Final = 50
_SUBJECT: Final = 150
_TEXT: Final = 1000
_DOMAIN: Final = "alerts.otel-django.invalid"


@dataclass(frozen=True, slots=True)
class EmailChannel:
    """One message a notification, always with the same ``Message-ID``, below its group's thread."""

    recipients: tuple[str, ...]
    name: str = "email"

    def send(self, notification: Notification, timeout_s: float) -> Outcome:
        """Send it."""
        return deliver(message(notification, self.recipients), timeout_s)


def deliver(made: mail.EmailMessage, timeout_s: float) -> Outcome:
    """Send a mail. A connection of its own: the server may have hung up on an old one."""
    backend = None
    try:
        backend = _backend(timeout_s)
        sent = backend.send_messages([made])
    except Exception as error:  # back-ends of all kinds
        _drop(backend)
        return _failed(error)
    if sent == 0:
        return Outcome("retry", "The mail back-end sent nothing.")
    return Outcome("delivered")


def message(notification: Notification, recipients: tuple[str, ...]) -> mail.EmailMultiAlternatives:
    """The message."""
    thread = f"<{notification.group_key}@{_DOMAIN}>"
    made = mail.EmailMultiAlternatives(
        subject=words.title(notification, _SUBJECT),
        body=_text(notification),
        from_email=site.SERVER_EMAIL,
        to=list(recipients),
        headers={
            "Message-ID": f"<{notification.key}@{_DOMAIN}>",
            "In-Reply-To": thread,
            "References": thread,
            "Auto-Submitted": "auto-generated",
        },
    )
    made.attach_alternative(_html(notification), "text/html")
    return made


def _backend(timeout_s: float) -> Any:
    mailers = getattr(mail, "mailers", None)
    backend = mail.get_connection() if mailers is None else mailers["default"]
    backend.fail_silently = False
    if hasattr(backend, "timeout"):
        backend.timeout = min(backend.timeout or timeout_s, timeout_s)
    return backend


def _drop(backend: Any) -> None:
    """Close the socket without a further word: the server may leave us waiting once more."""
    connection = getattr(backend, "connection", None)
    if isinstance(connection, smtplib.SMTP):
        connection.close()
        backend.connection = None


# --- what became of it


def _failed(error: Exception) -> Outcome:
    """In words without the server's, which may repeat what it was told."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _ in error.recipients.values()]
        return _answered(min(codes, default=0))
    if isinstance(error, smtplib.SMTPResponseException):
        return _answered(error.smtp_code)
    return Outcome("retry", f"The mail could not be sent ({type(error).__name__}).")


def _answered(code: int) -> Outcome:
    result = Outcome("refused" if code >= 500 else "retry", f"The mail server said {code}.")
    return result if code > 0 else Outcome("retry", "The mail server hung up.")


# --- what it says


def _text(notification: Notification) -> str:
    shown = notification.alerts[:MOST_ALERTS]
    parts = [words.title(notification, _TEXT), ""]
    for alert in shown:
        parts += [*_lines(alert), *(f"{text}: {url}" for text, url in _links(alert)), ""]
    parts += filter(None, (words.more(notification, len(shown)), notification.page))
    return "\n".join(parts)


def _lines(alert: ToldAlert) -> list[str]:
    lines = [
        f"{alert.state.upper()} {words.line(alert.summary, _TEXT)}",
        words.line(words.about(alert), _TEXT),
        words.since(alert),
        alert.acknowledged_by and f"taken care of by {words.line(alert.acknowledged_by, _TEXT)}",
        words.line(alert.description, _TEXT),
    ]
    return [one for one in lines if one]


def _links(alert: ToldAlert) -> Iterator[tuple[str, str]]:
    wanted = [("Look at it", alert.page), ("Runbook", alert.runbook)]
    if alert.state == "firing" and not alert.acknowledged_by:
        wanted.append(("Acknowledge", alert.acknowledge))
    return ((text, url) for text, url in wanted if url)


def _html(notification: Notification) -> SafeString:
    shown = notification.alerts[:MOST_ALERTS]
    colour = "#2e7d32" if notification.status == "resolved" else _COLOURS[notification.severity]
    return format_html(
        '<html><body style="font-family: sans-serif; max-width: 40em">'
        '<h2 style="border-left: .4em solid {}; padding-left: .6em">{}</h2>{}<p>{}</p><p>{}</p>'
        "</body></html>",
        colour,
        words.title(notification, _TEXT),
        format_html_join("", "{}", ((_section(alert),) for alert in shown)),
        words.more(notification, len(shown)),
        _anchor("All alerts", notification.page) if notification.page else "",
    )


_COLOURS: Final = {"critical": "#c62828", "warning": "#f9a825"}


def _section(alert: ToldAlert) -> SafeString:
    first, *rest = _lines(alert)
    return format_html(
        "<div><p><strong>{}</strong>{}</p><p>{}</p></div><hr>",
        first,
        format_html_join("", "<br>{}", ((one,) for one in rest)),
        format_html_join(" · ", "{}", ((_anchor(text, url),) for text, url in _links(alert))),
    )


def _anchor(text: str, url: str) -> SafeString:
    return format_html('<a href="{}">{}</a>', url, text)
