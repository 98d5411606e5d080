"""The variables of alerts: ``OTEL_DJANGO_ALERT_*``."""

from __future__ import annotations

import json
from typing import Any, Final

from otel_django.conf import parsers as p
from otel_django.conf.alert_thresholds import DEFAULTS, words
from otel_django.conf.secret_parsers import secret_url
from otel_django.conf.variable import PREFIX, Variable

_SECTION: Final = "Alerts"
THRESHOLDS: Final = "Thresholds of alerts"
_LEAST: Final = -1e12


def _rules() -> p.Parser:
    """A JSON list of objects, each of which has a name; what else they hold is for the alerts."""

    def parse(raw: p.Raw) -> tuple[dict[str, Any], ...]:
        try:
            found = json.loads(p.one_text(raw))
        except (ValueError, RecursionError) as error:
            raise p.Unusable("it isn't JSON") from error
        if not isinstance(found, list):
            raise p.Unusable("it isn't a list")
        good = tuple(one for one in found if isinstance(one, dict) and _has_name(one))
        if len(good) < len(found):
            bad = len(found) - len(good)
            raise p.Unusable(f"{bad} of its {len(found)} rules have no name", good or p.NOTHING)
        return good

    return p.Parser(
        parse,
        lambda value: json.dumps(list(value), ensure_ascii=False),
        "a list of dicts, each with a `name`; in the environment as JSON",
    )


def _has_name(rule: dict[str, Any]) -> bool:
    return isinstance(rule.get("name"), str) and bool(rule["name"])


def _alert(name: str, field: str, parser: p.Parser, default: str, doc: str) -> Variable:
    return Variable((PREFIX + name,), field, parser, default, doc, _SECTION)


def _thresholds() -> list[Variable]:
    return [
        Variable(
            (f"{PREFIX}ALERT_{words(rule)}_{severity.upper()}",),
            f"alert_thresholds.{rule}_{severity}",
            p.number(least=_LEAST),
            f"{value:g}",
            f"From when on {rule} is {said}, in {default.unit}",
            THRESHOLDS,
        )
        for rule, default in DEFAULTS.items()
        for severity, said, value in (
            ("warning", "a warning", default.warning),
            ("critical", "critical", default.critical),
        )
        if value is not None
    ]


ALERTS: Final = (
    _alert(
        "ALERT_RULES",
        "alert_rules",
        _rules(),
        "",
        "Rules of your own, and changes to those there are: "
        "[Write alert rules](../how-to/write-alert-rules.md).",
    ),
    _alert(
        "ALERTS_ARCHIVE_MONTHS",
        "alerts_archive_months",
        p.whole(least=1),
        "12",
        "For how many months resolved alerts, and who did what, are kept. After one to two months "
        "alerts are in the archive only.",
    ),
    _alert(
        "ALERTS_EVALUATOR",
        "alerts_evaluator",
        p.choice("embedded", "prometheus"),
        "embedded",
        "Who evaluates alert rules and tells of alerts: `manage.py run_monitoring`, or Prometheus "
        "with its Alertmanager, which then posts to `/monitoring/alerts/receive/`.",
    ),
    _alert(
        "ALERTS_HEARTBEAT_URL",
        "alerts_heartbeat_url",
        secret_url("https://hc-ping.com/…"),
        "",
        "An address that `run_monitoring` gets once a minute for as long as alerts are evaluated: "
        "of a service that tells you when nothing comes any more.",
    ),
    _alert(
        "ALERTS_QUEUE_CAPACITY",
        "alerts_queue_capacity",
        p.number("tasks", above=True),
        "1000",
        "How many tasks may wait in a queue: QueueBacklog tells its length in multiples of this.",
    ),
    _alert(
        "SLO_AVAILABILITY",
        "slo_availability_percent",
        p.number("per cent", above=True, most=99.999),
        "99.9",
        "How many requests must not be answered with 5xx: what is left is the error budget.",
    ),
    *_thresholds(),
)
