"""The variables of alerts' delivery: channels, who gets what, and when it is said again."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from otel_django.conf import list_parsers as lists
from otel_django.conf import parsers as p
from otel_django.conf.secret_parsers import secret, secret_url, site_url
from otel_django.conf.variable import PREFIX, Variable

_SECTION: Final = "Delivery of alerts"
CHANNELS: Final = ("log", "email", "slack", "pagerduty", "webhook", "apprise")
PAGERDUTY_URL: Final = "https://events.pagerduty.com/v2/enqueue"
_ROUTE_KEYS: Final = {"match", "channels", "escalate"}


def _routes() -> p.Parser:
    """A JSON list of ``{"match": {label: value}, "channels": [names], "escalate": [names]}``."""

    def parse(raw: p.Raw) -> tuple[dict[str, Any], ...]:
        try:
            found = json.loads(p.one_text(raw))
        except (ValueError, RecursionError) as error:
            raise p.Unusable("it isn't JSON") from error
        if not isinstance(found, list):
            raise p.Unusable("it isn't a list")
        good = tuple(one for one in found if _is_route(one))
        if len(good) < len(found):
            bad = len(found) - len(good)
            why = f"{bad} of its {len(found)} routes can't be used"
            raise p.Unusable(why, good or p.NOTHING)
        return good

    return p.Parser(
        parse,
        lambda value: json.dumps(list(value), ensure_ascii=False),
        "a list of dicts with `match` (labels and the values they must have), `channels` and "
        f"`escalate` (lists of {', '.join(CHANNELS)}); in the environment as JSON",
    )


def _is_route(one: object) -> bool:
    if not isinstance(one, dict) or not one.keys() <= _ROUTE_KEYS or "channels" not in one:
        return False
    match = one.get("match", {})
    return (
        isinstance(match, dict)
        and all(isinstance(value, str) and _compiles(value) for value in match.values())
        and all(_are_channels(one.get(key, [])) for key in ("channels", "escalate"))
    )


def _are_channels(names: object) -> bool:
    return isinstance(names, list) and all(
        isinstance(name, str) and re.fullmatch(r"[a-z][a-z0-9_-]{0,49}", name) for name in names
    )


def _compiles(value: str) -> bool:
    """Values that begin with ``~`` or ``!~`` are regular expressions."""
    pattern = re.fullmatch(r"!?~(.*)", value, re.DOTALL)
    if pattern is None:
        return True
    try:
        re.compile(pattern[1])
    except (re.error, RecursionError, OverflowError):
        return False
    return True


def _times() -> p.Parser:
    """Seconds, each more than the one before."""
    items = lists.matching(r"[1-9][0-9]{0,8}", "a comma-separated list of seconds, rising")

    def parse(raw: p.Raw) -> tuple[int, ...]:
        return tuple(sorted(map(int, items.parse(raw))))

    return p.Parser(parse, lambda value: ",".join(map(str, value)), items.allowed)


_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _weekly() -> p.Parser:
    """Weekday (0 is Monday), hour and minute; None: off."""
    time = re.compile(rf"({'|'.join(_DAYS)})[a-z]*\s+([01]?\d|2[0-3]):([0-5]\d)", re.IGNORECASE)

    def parse(raw: p.Raw) -> tuple[int, int, int] | None:
        text = p.one_text(raw).strip()
        if text.lower() == "off":
            return None
        found = time.fullmatch(text)
        if found is None:
            raise p.Unusable("it isn't a day of the week and a time")
        return _DAYS.index(found[1].lower()), int(found[2]), int(found[3])

    def show(value: tuple[int, int, int] | None) -> str:
        return "off" if value is None else f"{_DAYS[value[0]]} {value[1]:02}:{value[2]:02}"

    return p.Parser(parse, show, "a day of the week and a time, such as `mon 07:00`, or `off`")


def _named(name: str, field: str, parser: p.Parser, default: str, doc: str) -> Variable:
    """One that is known without our prefix, too."""
    return Variable((name, PREFIX + name), field, parser, default, doc, _SECTION)


def _ours(name: str, field: str, parser: p.Parser, default: str, doc: str) -> Variable:
    return Variable((PREFIX + name,), field, parser, default, doc, _SECTION)


DELIVERY: Final = (
    _ours(
        "ALERTS_SITE_URL",
        "alerts_site_url",
        site_url(),
        "",
        "Where `otel_django.urls` is included, as people reach it: notifications link to its "
        "pages. Without it they have no links.",
    ),
    _named("ALERT_LOG_ENABLED", "alert_log", p.switch(), "true", "Whether alerts are log lines."),
    _named(
        "ALERT_EMAIL_ENABLED",
        "alert_email",
        p.tristate(),
        "auto",
        "Whether alerts are sent by e-mail, through Django's back-end; `auto`: if "
        "ALERT_EMAIL_TO is set.",
    ),
    _named(
        "ALERT_EMAIL_TO",
        "alert_email_to",
        lists.matching(r"[^@\s,<>]+@[^@\s,<>]+", "a comma-separated list of e-mail addresses"),
        "(the addresses in ADMINS)",
        "Who gets the e-mails.",
    ),
    _named(
        "ALERT_SLACK_ENABLED",
        "alert_slack",
        p.tristate(),
        "auto",
        "Whether alerts go to Slack; `auto`: if SLACK_WEBHOOK_URL is set.",
    ),
    _named(
        "SLACK_WEBHOOK_URL",
        "slack_webhook_url",
        secret_url("https://hooks.slack.com/services/…"),
        "",
        "Slack's incoming webhook. It is a secret: only its host is ever shown.",
    ),
    _named(
        "ALERT_PAGERDUTY_ENABLED",
        "alert_pagerduty",
        p.tristate(),
        "auto",
        "Whether alerts go to PagerDuty; `auto`: if PAGERDUTY_ROUTING_KEY is set.",
    ),
    _named(
        "PAGERDUTY_ROUTING_KEY",
        "pagerduty_routing_key",
        secret(),
        "",
        "The integration key of a service's Events API v2.",
    ),
    _named(
        "PAGERDUTY_EVENTS_URL",
        "pagerduty_events_url",
        secret_url(PAGERDUTY_URL),
        PAGERDUTY_URL,
        "Where events go; in the EU `https://events.eu.pagerduty.com/v2/enqueue`.",
    ),
    _named(
        "ALERT_WEBHOOK_ENABLED",
        "alert_webhook",
        p.tristate(),
        "auto",
        "Whether alerts are posted to a webhook; `auto`: if ALERT_WEBHOOK_URL is set.",
    ),
    _named(
        "ALERT_WEBHOOK_URL",
        "alert_webhook_url",
        secret_url("https://ops.example/alerts"),
        "",
        "Where alerts are posted as JSON in the shape of Alertmanager's webhook. Only its host is "
        "ever shown.",
    ),
    _named(
        "ALERT_WEBHOOK_SECRET",
        "alert_webhook_secret",
        secret(),
        "",
        "What the webhook's requests are signed with, by HMAC-SHA256.",
    ),
    _named(
        "ALERT_APPRISE_URLS",
        "alert_apprise_urls",
        lists.secrets("a comma-separated list of Apprise's addresses"),
        "",
        "Further channels, `apprise`, `apprise-2`, …, by Apprise; needs "
        '`pip install "otel-django[notify]"`.',
    ),
    _ours(
        "ALERT_CHANNELS",
        "alert_channels",
        lists.matching(
            r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+",
            "a comma-separated list of classes, such as `shop.alerts.SmsChannel`",
        ),
        "",
        "Channels of your own: [Send alerts](../how-to/send-alerts.md#write-a-channel).",
    ),
    _ours(
        "ALERT_ROUTES",
        "alert_routes",
        _routes(),
        "",
        "Who is told of what; the first that matches counts. Without any: all channels, but "
        "PagerDuty of critical alerts only, until they escalate: "
        "[Send alerts](../how-to/send-alerts.md#say-who-is-told-of-what).",
    ),
    _ours(
        "ALERTS_GROUP_BY",
        "alerts_group_by",
        lists.names("a comma-separated list of labels"),
        "alertname,severity",
        "Alerts that are alike in these labels are told of together.",
    ),
    _ours(
        "ALERTS_GROUP_INTERVAL",
        "alerts_group_interval_s",
        p.number("seconds"),
        "15",
        "How long a group of which something was told waits before something new of it is.",
    ),
    _ours(
        "ALERTS_REPEAT",
        "alerts_repeat_s",
        p.number("seconds"),
        "14400",
        "After how long an alert that still fires and isn't acknowledged is told again; 0 for "
        "never.",
    ),
    _ours(
        "ALERTS_ESCALATE_AFTER",
        "alerts_escalate_s",
        _times(),
        "",
        "After how many seconds without an acknowledgement the next channels are told: those under "
        "`escalate` in the alert's route, one by one; without routes, all.",
    ),
    _ours(
        "ALERTS_PRIVATE_ADDRESSES",
        "alerts_private_addresses",
        lists.networks("none", "any"),
        "none",
        "Private, loopback and link-local networks to which alerts may be posted.",
    ),
    _ours(
        "ALERTS_TIMEOUT",
        "alerts_timeout_s",
        p.number("seconds", above=True, most=20),
        "10",
        "How long an attempt to deliver may take.",
    ),
    _ours(
        "REPORT_WEEKLY",
        "report_weekly",
        _weekly(),
        "off",
        "When `manage.py run_monitoring` mails the [report of the week]"
        "(../how-to/send-a-weekly-report.md) to ALERT_EMAIL_TO, in the site's time zone.",
    ),
)
