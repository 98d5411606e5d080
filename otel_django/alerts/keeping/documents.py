"""What is kept, as plain values of JSON and back.

Written in ASCII, whatever came with telemetry (half characters, zeros) is read as it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from otel_django.alerts import patterns
from otel_django.alerts.expressions import Match
from otel_django.alerts.keeping.contract import Attempt, Changes, Entry, Event, Known, Outgoing
from otel_django.alerts.muting import Silence
from otel_django.alerts.state import Acknowledgement, Alert, Key
from otel_django.alerts.telling import Told

Document = dict[str, Any]


def written(document: object) -> str:
    """One line of ASCII."""
    return json.dumps(document, separators=(",", ":"))


def entry_document(entry: Entry) -> Document:
    """One occurrence of an alert."""
    return asdict(entry)


def entry_of(document: Mapping[str, Any]) -> Entry:
    """What ``entry_document`` was asked of."""
    alert = dict(document["alert"])
    rule, severity, labels = alert["key"]
    alert["key"] = Key(rule, severity, tuple((name, value) for name, value in labels))
    alert["changes"] = tuple(alert["changes"])
    if alert["acknowledged"] is not None:
        alert["acknowledged"] = Acknowledgement(**alert["acknowledged"])
    told = document["told"]
    return Entry(
        **{
            **document,
            "alert": Alert(**alert),
            "told": None if told is None else Told(**told),
        }
    )


def outgoing_of(document: Mapping[str, Any]) -> Outgoing:
    """What ``asdict`` was asked of."""
    return Outgoing(**{**document, "fingerprints": tuple(document["fingerprints"])})


def changes_document(changes: Changes) -> Document:
    """What an evaluation left."""
    return asdict(changes)


def changes_of(document: Mapping[str, Any]) -> Changes:
    """What ``changes_document`` was asked of."""
    return Changes(
        alerts=[entry_of(one) for one in document["alerts"]],
        gone=[entry_of(one) for one in document["gone"]],
        events=[Event(**one) for one in document["events"]],
        outgoing=[outgoing_of(one) for one in document["outgoing"]],
    )


def known_document(known: Known) -> Document:
    """What there was."""
    return {
        "alerts": [entry_document(entry) for entry in known.alerts.values()],
        "silences": [asdict(one) for one in known.silences],
        "rules": [dict(one) for one in known.rules],
        "newest": known.newest,
    }


def known_of(document: Mapping[str, Any]) -> Known:
    """What ``known_document`` was asked of."""
    entries = [entry_of(one) for one in document["alerts"]]
    return Known(
        {entry.alert.key: entry for entry in entries},
        tuple(_silence(one) for one in document["silences"]),
        tuple(document["rules"]),
        document.get("newest", ""),
    )


def _silence(document: Mapping[str, Any]) -> Silence:
    matchers = tuple(Match(**one) for one in document["matchers"])
    return Silence(**{**document, "matchers": matchers})


def attempt_of(values: list[Any]) -> Attempt:
    """Of what JSON makes of an ``Attempt``."""
    return Attempt(*values)


# --- matchers as users and tables have them

_OPERATORS: Final = ("=", "!=", "=~", "!~")


def matchers_text(matchers: tuple[Match, ...]) -> str:
    """A JSON list of [label, operator, value]."""
    return written([[one.key, one.operator, one.value] for one in matchers])


def matchers_of(text: str) -> tuple[Match, ...]:
    """What ``matchers_text`` was asked of.

    Raises:
        ValueError: it isn't such a list.
    """
    try:
        return tuple(_match(*one) for one in json.loads(text))
    except TypeError as error:
        raise ValueError("no list of [label, operator, value]") from error


def _match(key: object, operator: Any, value: object) -> Match:
    if operator not in _OPERATORS:
        raise ValueError(f"{operator!r} is none of {', '.join(_OPERATORS)}")
    if operator in ("=~", "!~"):
        patterns.check(str(value))
    return Match(str(key), operator, str(value))
