"""The channels that a site's settings name, and what is missing of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from otel_django.alerts.delivery.private_addresses import reachable
from otel_django.conf import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_django.alerts.delivery.contract import Channel
    from otel_django.alerts.delivery.posting import Poster
    from otel_django.conf import Settings


class Wanted(NamedTuple):
    """A channel that the settings switch on. ``missing`` is the variable without which it isn't."""

    name: str
    missing: str = ""


def wanted(settings: Settings) -> list[Wanted]:
    """Each in the order in which people read of them."""
    found: list[Wanted] = []
    if settings.alert_log:
        found.append(Wanted("log"))
    for name, is_on, value, variable in (
        ("email", settings.alert_email, settings.alert_email_to, "ALERT_EMAIL_TO"),
        ("slack", settings.alert_slack, settings.slack_webhook_url, "SLACK_WEBHOOK_URL"),
        (
            "pagerduty",
            settings.alert_pagerduty,
            settings.pagerduty_routing_key,
            "PAGERDUTY_ROUTING_KEY",
        ),
        ("webhook", settings.alert_webhook, settings.alert_webhook_url, "ALERT_WEBHOOK_URL"),
    ):
        if bool(value) if is_on is None else is_on:
            found.append(Wanted(name, "" if value or _is_known(name) else variable))
    found += [Wanted(name) for name, _ in _apprise(settings)]
    return found


def problems(settings: Settings) -> Iterator[Problem]:
    """Channels that are switched on without their address, or named in routes without being on."""
    on = wanted(settings)
    for one in on:
        if one.missing:
            variable = settings.origins[f"alert_{one.name}"].variable
            yield Problem(
                variable,
                "true",
                f"{variable} is on, but nothing says where to: no alert leaves that way.",
                f"Set {one.missing}.",
                "channel",
            )
    own = list(_own(settings))
    yield from (one for one in own if isinstance(one, Problem))
    there = [one.name for one in on if not one.missing]
    there += [one.name for one in own if not isinstance(one, Problem)]
    for name in dict.fromkeys(_named(settings)):
        if name not in there:
            variable = settings.origins["alert_routes"].variable
            yield Problem(
                variable,
                name,
                f"{variable} names the channel {name!r}, but there is no such channel.",
                f"There are: {', '.join(there) or 'none'}.",
                "channel",
            )


def _named(settings: Settings) -> Iterator[str]:
    for route in settings.alert_routes:
        yield from (*route["channels"], *route.get("escalate", ()))


def _is_known(name: str) -> bool:
    """Whether it can do without its variable."""
    return name == "email" and bool(_admins())


def channels(settings: Settings) -> dict[str, Channel]:
    """Those that can be used, by name."""
    names = [one.name for one in wanted(settings) if not one.missing]
    ours = {name: channel for name, channel in _made(settings) if name in names}
    return {**ours, **{one.name: one for one in _own(settings) if not isinstance(one, Problem)}}


def _own(settings: Settings) -> Iterator[Channel | Problem]:
    """The site's own, or why one can't be used."""
    from django.utils.module_loading import import_string

    for path in settings.alert_channels:
        try:
            channel: Channel = import_string(path)()
            is_one = isinstance(channel.name, str) and callable(channel.send)
        except Exception as error:  # the site's code
            yield _unusable(settings, path, f"it can't be made ({type(error).__name__})")
        else:
            yield channel if is_one else _unusable(settings, path, "it is no channel")


def _unusable(settings: Settings, path: str, why: str) -> Problem:
    variable = settings.origins["alert_channels"].variable
    return Problem(
        variable,
        path,
        f"{variable} names {path!r}, but {why}.",
        "Name a class that takes no arguments and is an otel_django.alerts.Channel.",
        "channel",
    )


def _made(settings: Settings) -> Iterator[tuple[str, Channel]]:
    """All that could be; the modules of those that aren't wanted are light."""
    from otel_django.alerts.delivery.channels.apprise import AppriseChannel
    from otel_django.alerts.delivery.channels.email import EmailChannel
    from otel_django.alerts.delivery.channels.log import LogChannel
    from otel_django.alerts.delivery.channels.pagerduty import PagerDutyChannel
    from otel_django.alerts.delivery.channels.slack import SlackChannel
    from otel_django.alerts.delivery.channels.webhook import WebhookChannel

    may_reach = reachable(settings.alerts_private_addresses)
    to = _poster_with(may_reach)
    yield "log", LogChannel()
    yield "email", EmailChannel(mail_recipients(settings))
    yield "slack", SlackChannel(to(settings.slack_webhook_url))
    yield (
        "pagerduty",
        PagerDutyChannel(
            to(settings.pagerduty_events_url),
            settings.pagerduty_routing_key,
            settings.service_name,
        ),
    )
    yield (
        "webhook",
        WebhookChannel(to(settings.alert_webhook_url), settings.alert_webhook_secret),
    )
    for name, url in _apprise(settings):
        yield name, AppriseChannel(url, may_reach, name)


def _poster_with(may_reach: Callable[[str], bool]) -> Callable[[str], Poster]:
    from otel_django.alerts.delivery.posting import Poster

    return lambda url: Poster(url, may_reach)


def _apprise(settings: Settings) -> Iterator[tuple[str, str]]:
    for number, url in enumerate(settings.alert_apprise_urls, start=1):
        yield ("apprise" if number == 1 else f"apprise-{number}"), url


def mail_recipients(settings: Settings) -> tuple[str, ...]:
    """Who gets e-mails."""
    return settings.alert_email_to or _admins()


def _admins() -> tuple[str, ...]:
    """Pairs of name and address, or addresses, as Django has had them."""
    from django.conf import settings as site

    return tuple(one if isinstance(one, str) else one[1] for one in site.ADMINS)
