"""The settings of channels, and that no secret of theirs is shown anywhere."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import override_settings

from otel_django.alerts import Channel, Notification, Outcome
from otel_django.alerts.delivery.configured import channels, problems
from otel_django.alerts.delivery.sender import Sender
from otel_django.conf import Settings, load
from tests import alert_kit as kit
from tests.alert_kit import Outbox, outgoing
from tests.misbehaving import closed_port

MARK = "hush"
SECRETS = {
    "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T00/B00/hush",
    "PAGERDUTY_ROUTING_KEY": "hush" * 8,
    "ALERT_WEBHOOK_URL": "https://me:hush@ops.example/hush?token=hush#hush",
    "ALERT_WEBHOOK_SECRET": "hush",
    "ALERT_APPRISE_URLS": "json://hush:hush@ops.example/hush,tgram://hush/hush",
    "ALERT_EMAIL_TO": "ops@shop.example",
}


def loaded(environ: Mapping[str, str], overrides: dict[str, Any] | None = None) -> Settings:
    return load(
        environ, overrides, base_dir=Path("/srv"), debug=False, settings_module="shop.settings"
    )


def test_without_settings_alerts_are_log_lines() -> None:
    assert list(channels(loaded({}))) == ["log"]
    assert list(channels(loaded({"ALERT_LOG_ENABLED": "false"}))) == []


def test_an_address_switches_its_channel_on() -> None:
    found = channels(loaded(SECRETS))
    assert list(found) == [
        *("log", "email", "slack", "pagerduty", "webhook", "apprise", "apprise-2"),
    ]
    assert [one.name for one in found.values()] == list(found)


def test_a_channel_can_be_switched_off_without_forgetting_its_address() -> None:
    off = {f"ALERT_{name}_ENABLED": "false" for name in ("EMAIL", "SLACK", "PAGERDUTY", "WEBHOOK")}
    assert list(channels(loaded({**SECRETS, **off}))) == ["log", "apprise", "apprise-2"]


def test_values_can_stand_in_the_settings() -> None:
    settings = loaded({}, {"ALERT_SLACK_ENABLED": True, "SLACK_WEBHOOK_URL": "https://s.example/x"})
    assert list(channels(settings)) == ["log", "slack"]
    settings = loaded(
        {}, {"ALERTS_PRIVATE_ADDRESSES": ["10.0.0.0/8"], "ALERTS_ESCALATE_AFTER": [9]}
    )
    assert settings.alerts_private_addresses == (ip_network("10.0.0.0/8"),)
    assert settings.alerts_escalate_s == (9,)


@pytest.mark.parametrize("name", ["SLACK", "PAGERDUTY", "WEBHOOK", "EMAIL"])
def test_a_channel_that_is_on_without_an_address_is_a_problem(name: str) -> None:
    settings = loaded({f"ALERT_{name}_ENABLED": "true"})
    (problem,) = problems(settings)
    assert problem.name == f"ALERT_{name}_ENABLED"
    assert list(channels(settings)) == ["log"]


@pytest.mark.filterwarnings("ignore:.*ADMINS")
@pytest.mark.parametrize("admins", [["ann@shop.example"], [("Ann", "ann@shop.example")]])
def test_mail_goes_to_the_sites_admins_if_nobody_else_is_named(admins: list[Any]) -> None:
    with override_settings(ADMINS=admins):
        settings = loaded({"ALERT_EMAIL_ENABLED": "true"})
        assert list(problems(settings)) == []
        assert "ann@shop.example" in repr(channels(settings)["email"])


@pytest.mark.parametrize(
    "value",
    [
        *("ftp://x.example/", "file:///etc/passwd", "https://", "//x.example", "x.example"),
        *("http://x.example:99999/", "gopher://x", "https://x.example/a b"),
    ],
)
def test_only_http_addresses_are_taken(value: str) -> None:
    settings = loaded({"ALERT_WEBHOOK_URL": value, "SLACK_WEBHOOK_URL": value})
    assert {one.name for one in settings.problems} >= {"ALERT_WEBHOOK_URL", "SLACK_WEBHOOK_URL"}
    assert list(channels(settings)) == ["log"]


@pytest.mark.parametrize(
    "value",
    [
        *("{}", "nonsense", "[1]", '[{"channels": "slack"}]', '[{"match": {}}]'),
        *('[{"channels": [], "to": 1}]', '[{"match": {"a": "~("}, "channels": []}]'),
        '[{"match": {"a": 1}, "channels": []}]',
    ],
)
def test_routes_that_cannot_be_used_are_a_problem(value: str) -> None:
    settings = loaded({"OTEL_DJANGO_ALERT_ROUTES": value})
    assert "OTEL_DJANGO_ALERT_ROUTES" in {one.name for one in settings.problems}
    assert settings.alert_routes == ()


def test_a_route_to_a_channel_that_there_is_not_is_a_problem() -> None:
    settings = loaded(SECRETS, {"ALERT_ROUTES": [{"channels": ["slack"], "escalate": ["sms"]}]})
    (problem,) = problems(settings)
    assert "'sms'" in problem.message


class SmsChannel:
    """A site's own, as the how-to page has it."""

    name = "sms"

    def send(self, notification: Notification, timeout_s: float) -> Outcome:
        return Outcome("delivered", notification.alerts[0].summary)


def test_a_sites_own_channel_is_one_like_the_others() -> None:
    settings = loaded(
        {},
        {"ALERT_CHANNELS": [f"{__name__}.SmsChannel"], "ALERT_ROUTES": [{"channels": ["sms"]}]},
    )
    assert list(channels(settings)) == ["log", "sms"]
    assert list(problems(settings)) == []


@pytest.mark.parametrize("path", ["no.such.Channel", "builtins.dict", f"{__name__}.kit"])
def test_what_is_no_channel_is_a_problem(path: str) -> None:
    settings = loaded({"OTEL_DJANGO_ALERT_CHANNELS": path})
    (problem,) = problems(settings)
    assert (problem.kind, path in problem.message) == ("channel", True)
    assert list(channels(settings)) == ["log"]


# --- secrets


def test_the_configuration_is_shown_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    for arguments in ([], ["--json"]):
        out = io.StringIO()
        call_command("otel", "config", *arguments, stdout=out)
        assert "SLACK_WEBHOOK_URL" in out.getvalue()
        assert "hooks.slack.com" in out.getvalue()
        assert MARK not in out.getvalue()


@pytest.mark.parametrize("name", [name for name in SECRETS if name != "ALERT_EMAIL_TO"])
def test_a_secret_that_cannot_be_used_is_not_told(name: str) -> None:
    settings = loaded({name: "hush\x00 hush://hush,\x00hush hush"})
    assert [one.name for one in settings.problems if one.kind == "value"] == [name]
    assert MARK not in repr(settings.problems)


def test_no_channel_and_no_settings_say_a_secret_of_themselves() -> None:
    settings = loaded(SECRETS)
    made = channels(settings)
    assert MARK not in repr(made) + str(made) + repr(settings) + repr(list(problems(settings)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Apprise's imports
def test_no_failure_tells_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Each channel at nobody's port; everything is logged."""
    port = closed_port()
    here = f"127.0.0.1:{port}"
    settings = loaded(
        {
            "SLACK_WEBHOOK_URL": f"http://{here}/services/hush",
            "PAGERDUTY_ROUTING_KEY": "hush" * 8,
            "PAGERDUTY_EVENTS_URL": f"http://{here}/hush",
            "ALERT_WEBHOOK_URL": f"http://me:hush@{here}/hush?key=hush",
            "ALERT_WEBHOOK_SECRET": "hush",
            "ALERT_APPRISE_URLS": f"json://hush:hush@{here}/hush,nothing://hush",
            "OTEL_DJANGO_ALERTS_PRIVATE_ADDRESSES": "any",
        }
    )
    told = outcomes(settings, caplog)
    assert len(told) == 6
    assert MARK not in repr(told) + caplog.text


def test_what_is_refused_before_it_is_sent_tells_no_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = loaded({"ALERT_WEBHOOK_URL": "http://me:hush@127.0.0.1/hush?key=hush"})
    told = outcomes(settings, caplog)
    assert told["webhook"][0] == "refused"
    assert MARK not in repr(told) + caplog.text


def outcomes(settings: Settings, caplog: pytest.LogCaptureFixture) -> dict[str, tuple[str, str]]:
    """What came of telling an alert through each channel, and what was said of it."""
    outbox = Outbox()
    made: dict[str, Channel] = channels(settings)
    sender = Sender(made, outbox, timeout_s=3.0)
    with caplog.at_level(logging.DEBUG):
        sender.take(outgoing(kit.notification(), name) for name in made)
        assert sender.idle(20)
        sender.stop(5)
    return {one.channel: (one.result, one.detail) for one in outbox.attempts}
