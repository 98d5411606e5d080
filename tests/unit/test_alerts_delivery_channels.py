"""Each channel at a real server of its kind."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import django
import jsonschema
import pytest
from django.test import override_settings

from otel_django.alerts.delivery.channels.apprise import AppriseChannel
from otel_django.alerts.delivery.channels.email import EmailChannel
from otel_django.alerts.delivery.channels.log import LogChannel
from otel_django.alerts.delivery.channels.pagerduty import PagerDutyChannel
from otel_django.alerts.delivery.channels.slack import SlackChannel
from otel_django.alerts.delivery.channels.webhook import WebhookChannel
from otel_django.alerts.delivery.contract import Notification, Outcome, notification
from otel_django.alerts.delivery.posting import NOT_ALLOWED, Poster
from otel_django.alerts.delivery.private_addresses import reachable
from tests import alert_kit as kit
from tests import alert_stubs as stubs
from tests.alert_stubs import AlertStub, Answer, Mailbox
from tests.misbehaving import closed_port, hanging

KEY = "pagerduty-mark-" + "0" * 17
ANY = reachable("any")
MANY = tuple(kit.told(number) for number in range(50))
NOTIFICATIONS = {
    "fired": kit.notification(),
    "warning": kit.notification(kit.told(severity="warning"), severity="warning"),
    "many": kit.notification(*MANY, left_out=950),
    "some resolved": kit.notification(kit.told(1), kit.resolved(2), kind="resolved"),
    "resolved": kit.notification(kit.resolved(), kind="resolved"),
    "acknowledged": kit.notification(kit.told(acknowledged_by="ann"), kind="acknowledged"),
    "escalated": kit.notification(kind="escalated", level=1),
    "test": kit.notification(kind="test"),
    "no pages": kit.notification(kit.told(page="", runbook="", acknowledge=""), page=""),
    "hostile": kit.hostile(),
}
each = pytest.mark.parametrize("said", NOTIFICATIONS.values(), ids=NOTIFICATIONS)


@pytest.fixture
def slack() -> Iterator[AlertStub]:
    with stubs.slack() as stub:
        yield stub


@pytest.fixture
def pagerduty() -> Iterator[AlertStub]:
    with stubs.pagerduty() as stub:
        yield stub


@pytest.fixture
def webhook() -> Iterator[AlertStub]:
    with stubs.webhook() as stub:
        yield stub


@pytest.fixture
def mail() -> Iterator[Mailbox]:
    with stubs.mail_server() as (mailbox, port), override_settings(**mailer(port)):
        yield mailbox


def mailer(port: int) -> dict[str, Any]:
    backend = "django.core.mail.backends.smtp.EmailBackend"
    sender = {"SERVER_EMAIL": "shop@shop.example"}
    if django.VERSION >= (6, 1):
        options = {"host": "127.0.0.1", "port": port}
        return {"MAILERS": {"default": {"BACKEND": backend, "OPTIONS": options}}, **sender}
    return {"EMAIL_BACKEND": backend, "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": port, **sender}


def poster(stub: AlertStub) -> Poster:
    return Poster(stub.url, ANY)


# --- what all of them hold


def test_a_notification_comes_back_from_json_as_it_was() -> None:
    for said in NOTIFICATIONS.values():
        assert notification(said.as_json()) == said


@each
def test_slack_takes_every_message(said: Notification, slack: AlertStub) -> None:
    assert SlackChannel(poster(slack)).send(said, 5).result == "delivered"


@each
def test_pagerduty_takes_every_event(said: Notification, pagerduty: AlertStub) -> None:
    assert PagerDutyChannel(poster(pagerduty), KEY).send(said, 5).result == "delivered"


@each
def test_the_webhook_has_alertmanagers_shape(said: Notification, webhook: AlertStub) -> None:
    assert WebhookChannel(poster(webhook)).send(said, 5).result == "delivered"
    (document,) = webhook.documents
    jsonschema.validate(document, stubs.ALERTMANAGER)


@each
def test_mail_arrives(said: Notification, mail: Mailbox) -> None:
    assert EmailChannel(("ops@shop.example",)).send(said, 5).result == "delivered"
    assert len(mail.messages) == 1


# --- Slack


def test_slack_has_buttons_to_the_page_the_runbook_and_the_acknowledgement(
    slack: AlertStub,
) -> None:
    SlackChannel(poster(slack)).send(kit.notification(), 5)
    (document,) = slack.documents
    buttons = {one["text"]["text"]: one["url"] for one in document["blocks"][-1]["elements"]}
    assert buttons == {
        "Look at it": f"{kit.SITE}traces/?q=status:5xx",
        "Runbook": f"{kit.SITE}alerts/{1:016x}/#runbook",
        "Acknowledge": f"{kit.SITE}alerts/{1:016x}/#acknowledge",
        "All alerts": f"{kit.SITE}alerts/",
    }
    assert document["text"] == "[CRITICAL] HighErrorRate: 7.25 % of requests fail"


def test_nothing_that_came_with_telemetry_is_laid_out_or_mentions_anybody(
    slack: AlertStub,
) -> None:
    SlackChannel(poster(slack)).send(kit.hostile(), 5)
    (document,) = slack.documents
    assert "<" not in document["text"]
    texts = [block["text"] for block in document["blocks"] if "text" in block]
    assert {text["type"] for text in texts} == {"plain_text"}
    assert not re.search("[\u202e\u202c\x00\x1b]", slack.requests[0].body.decode())


def test_a_thousand_alerts_are_one_message_that_counts_them(slack: AlertStub) -> None:
    SlackChannel(poster(slack)).send(NOTIFICATIONS["many"], 5)
    (document,) = slack.documents
    assert "1000 alerts" in document["text"]
    assert "and 990 more" in str(document["blocks"])
    assert len(slack.requests[0].body) < 20_000


def test_what_slack_says_against_a_message_is_told(slack: AlertStub) -> None:
    slack.answers.append(Answer(404, body=b"no_service"))
    outcome = SlackChannel(poster(slack)).send(kit.notification(), 5)
    assert (outcome.result, outcome.detail) == (
        "refused",
        "It answered with HTTP 404 (no_service).",
    )


# --- PagerDuty


def test_pagerduty_triggers_acknowledges_and_resolves_one_incident(pagerduty: AlertStub) -> None:
    channel = PagerDutyChannel(poster(pagerduty), KEY)
    for name in ("fired", "acknowledged", "some resolved", "resolved"):
        assert channel.send(NOTIFICATIONS[name], 5).result == "delivered"
    assert [one["event_action"] for one in pagerduty.documents] == [
        "trigger",
        "acknowledge",
        "resolve",
    ]
    assert {one["dedup_key"] for one in pagerduty.documents} == {NOTIFICATIONS["fired"].group_key}


def test_pagerduty_is_told_what_when_and_where_to_look(pagerduty: AlertStub) -> None:
    PagerDutyChannel(poster(pagerduty), KEY).send(kit.notification(), 5)
    (event,) = pagerduty.documents
    payload = event["payload"]
    assert payload["summary"] == "HighErrorRate: 7.25 % of requests fail"
    assert (payload["severity"], payload["source"]) == ("critical", "shop")
    assert [one["text"] for one in event["links"]] == ["Look at it", "Runbook", "Acknowledge"]


def test_an_event_that_pagerduty_finds_invalid_is_not_sent_again(pagerduty: AlertStub) -> None:
    outcome = PagerDutyChannel(poster(pagerduty), "short").send(kit.notification(), 5)
    assert (outcome.result, outcome.detail) == ("refused", "It answered with HTTP 400.")


# --- webhook


def documented_check() -> Any:
    """The function that the how-to page gives."""
    page = Path(__file__).parents[2] / "docs" / "how-to" / "send-alerts.md"
    (code,) = re.findall(r"```python\n(import hashlib.*?)```", page.read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    return names["is_ours"]


def test_the_signature_can_be_checked_as_documented(webhook: AlertStub) -> None:
    WebhookChannel(poster(webhook), "webhook-mark").send(kit.notification(), 5)
    (request,) = webhook.requests
    is_ours = documented_check()
    assert is_ours(request.headers, request.body, "webhook-mark")
    assert not is_ours(request.headers, request.body, "another")
    assert not is_ours(request.headers, request.body + b" ", "webhook-mark")
    late = {**request.headers, "X-Otel-Django-Timestamp": str(int(time.time()) - 301)}
    assert not is_ours(late, request.body, "webhook-mark")
    assert not is_ours({}, request.body, "webhook-mark")


def test_an_old_request_cannot_be_sent_again_with_a_new_time(webhook: AlertStub) -> None:
    WebhookChannel(poster(webhook), "webhook-mark").send(kit.notification(), 5)
    (request,) = webhook.requests
    body_only = hmac.new(b"webhook-mark", request.body, hashlib.sha256).hexdigest()
    assert body_only not in request.headers["X-Otel-Django-Signature"]


def test_without_a_secret_nothing_is_signed(webhook: AlertStub) -> None:
    WebhookChannel(poster(webhook)).send(kit.notification(), 5)
    assert "X-Otel-Django-Signature" not in webhook.requests[0].headers


def test_labels_are_named_as_prometheus_names_them(webhook: AlertStub) -> None:
    WebhookChannel(poster(webhook)).send(kit.notification(kit.told(1), kit.told(2)), 5)
    (document,) = webhook.documents
    assert document["commonLabels"]["alertname"] == "HighErrorRate"
    assert document["alerts"][0]["labels"]["http_route"] == "/checkout/1/"
    assert "http_route" not in document["commonLabels"]
    assert document["alerts"][0]["endsAt"] == "0001-01-01T00:00:00Z"


def test_user_and_password_of_an_address_are_sent_as_such(webhook: AlertStub) -> None:
    url = webhook.url.replace("//", "//us%40er:pass-mark@")
    assert WebhookChannel(Poster(url, ANY)).send(kit.notification(), 5).result == "delivered"
    assert webhook.requests[0].headers["authorization"] == "Basic dXNAZXI6cGFzcy1tYXJr"


@pytest.mark.parametrize(
    ("answer", "result", "after_s"),
    [
        (Answer(204), "delivered", None),
        (Answer(429, {"Retry-After": "7"}), "retry", 7.0),
        (Answer(503, {"Retry-After": "900"}), "retry", 900.0),
        (Answer(429), "retry", None),
        (Answer(500), "retry", None),
        (Answer(502), "retry", None),
        (Answer(408), "retry", None),
        (Answer(400), "refused", None),
        (Answer(410), "refused", None),
        (Answer(302, {"Location": "http://127.0.0.1/"}), "refused", None),
    ],
)
def test_what_an_answer_means(
    answer: Answer, result: str, after_s: float | None, webhook: AlertStub
) -> None:
    webhook.answers.append(answer)
    outcome = WebhookChannel(poster(webhook)).send(kit.notification(), 5)
    assert (outcome.result, outcome.after_s) == (result, after_s)


def test_no_redirect_is_followed(webhook: AlertStub) -> None:
    with stubs.webhook() as inside:
        webhook.answers.append(Answer(307, {"Location": inside.url}))
        outcome = WebhookChannel(poster(webhook)).send(kit.notification(), 5)
        assert outcome.detail == "It answered with a redirect (HTTP 307): none is followed."
        assert inside.requests == []


def test_the_same_notification_has_the_same_key_each_time(
    webhook: AlertStub, slack: AlertStub
) -> None:
    for _ in range(2):
        WebhookChannel(poster(webhook)).send(kit.notification(), 5)
        SlackChannel(poster(slack)).send(kit.notification(), 5)
    keys = {one.headers["Idempotency-Key"] for one in (*webhook.requests, *slack.requests)}
    assert keys == {kit.notification().key}


def test_nobody_there_or_no_answer_in_time_is_tried_again() -> None:
    gone = WebhookChannel(Poster(f"http://127.0.0.1:{closed_port()}/", ANY))
    assert gone.send(kit.notification(), 2).result == "retry"
    with hanging() as server:
        hangs = WebhookChannel(Poster(f"http://127.0.0.1:{server.port}/", ANY))
        began_s = time.monotonic()
        assert hangs.send(kit.notification(), 0.3).result == "retry"
        assert time.monotonic() - began_s < 5


# --- e-mail


def test_mail_has_text_html_links_and_a_thread(mail: Mailbox) -> None:
    EmailChannel(("ops@shop.example", "ann@shop.example")).send(kit.notification(), 5)
    EmailChannel(("ops@shop.example",)).send(NOTIFICATIONS["resolved"], 5)
    first, second = mail.messages
    assert mail.recipients[0] == ["ops@shop.example", "ann@shop.example"]
    assert first["From"] == "shop@shop.example"
    assert first["Subject"] == "[CRITICAL] HighErrorRate: 7.25 % of requests fail"
    assert second["Subject"].startswith("[RESOLVED]")
    assert first["Message-ID"] == f"<{kit.notification().key}@alerts.otel-django.invalid>"
    assert first["References"] == second["References"]
    text, html = first.iter_parts()
    assert f"Acknowledge: {kit.SITE}alerts/{1:016x}/#acknowledge" in text.get_content()
    assert f'href="{kit.SITE}alerts/{1:016x}/#runbook"' in html.get_content()


def test_hostile_text_is_text_in_mail(mail: Mailbox) -> None:
    EmailChannel(("ops@shop.example",)).send(kit.hostile(), 5)
    (message,) = mail.messages
    _, html = message.iter_parts()
    assert "<b>" not in html.get_content()
    assert not re.search("[\u202e\x00\x1b\n]", message["Subject"])
    assert len(message.as_bytes()) < 1_000_000


@pytest.mark.parametrize(("said", "result"), [("451 later", "retry"), ("550 no", "refused")])
def test_the_mail_servers_code_decides(said: str, result: str, mail: Mailbox) -> None:
    mail.refuse.append(said)
    outcome = EmailChannel(("ops@shop.example",)).send(kit.notification(), 5)
    assert (outcome.result, outcome.detail) == (result, f"The mail server said {said[:3]}.")


def test_a_mail_server_that_is_away_or_hangs_is_tried_again() -> None:
    with override_settings(**mailer(closed_port())):
        outcome = EmailChannel(("ops@shop.example",)).send(kit.notification(), 2)
        assert outcome.result == "retry"
        assert outcome.detail == "The mail could not be sent (ConnectionRefusedError)."
    with hanging() as server, override_settings(**mailer(server.port)):
        outcome = EmailChannel(("ops@shop.example",)).send(kit.notification(), 0.3)
        assert outcome.result == "retry"


# --- log


@pytest.mark.parametrize(
    ("name", "level"),
    [("fired", "ERROR"), ("warning", "WARNING"), ("resolved", "INFO"), ("test", "INFO")],
)
def test_alerts_are_log_lines(name: str, level: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "otel_django.alerts"):
        assert LogChannel().send(NOTIFICATIONS[name], 5).result == "delivered"
    (record,) = caplog.records
    assert record.levelname == level
    assert "HighErrorRate: 7.25 %" in record.getMessage()


def test_a_log_line_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    LogChannel().send(replace(kit.hostile(), alerts=kit.hostile().alerts[:1]), 5)
    (record,) = caplog.records
    assert record.getMessage().isprintable()
    assert len(record.getMessage()) <= 500


# --- Apprise


old_imports = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Apprise's services


@old_imports
def test_apprise_posts_to_whatever_it_knows(webhook: AlertStub) -> None:
    url = webhook.url.replace("http://", "json://")
    outcome = AppriseChannel(url, ANY).send(kit.notification(), 5)
    assert outcome.result == "delivered"
    (document,) = webhook.documents
    assert document["title"] == "[CRITICAL] HighErrorRate: 7.25 % of requests fail"
    assert "/checkout/1/" in document["message"]


@old_imports
def test_apprise_reaches_no_private_address_and_follows_no_redirect(webhook: AlertStub) -> None:
    url = webhook.url.replace("http://", "json://")
    assert AppriseChannel(url, reachable("none")).send(kit.notification(), 5).result == "refused"
    assert webhook.requests == []
    with stubs.webhook() as inside:
        webhook.answers.append(Answer(307, {"Location": inside.url}))
        assert AppriseChannel(url, ANY).send(kit.notification(), 5).result == "retry"
        assert inside.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "json://[::1]:9/",
        "forms://[::ffff:127.0.0.1]/",
        "mailto://ada:hush@gmail.com?smtp=127.0.0.1",
    ],
)
@old_imports
def test_apprise_reaches_no_private_address_by_another_way_of_writing_it(url: str) -> None:
    outcome = AppriseChannel(url, reachable("none")).send(kit.notification(), 5)
    assert outcome == Outcome("refused", NOT_ALLOWED)


@old_imports
def test_an_address_that_apprise_does_not_know_is_told_without_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        outcome = AppriseChannel("nothing-mark://x", ANY).send(kit.notification(), 5)
    assert (outcome.result, "mark" in outcome.detail) == ("refused", False)
    assert "mark" not in caplog.text
