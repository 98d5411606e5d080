"""What Alertmanager should be silent about: the silences, maintenance and acknowledgements here.

Each wish has a mark, which is written into the comment of its silence there. That is all that is
kept of the one belonging to the other, so nothing can be lost between both.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.conf import settings as site
from django.utils.crypto import constant_time_compare, salted_hmac

from otel_django.alerts.expressions import Match
from otel_django.alerts.keeping.rows import maintenance_of, silence_of, stored_time
from otel_django.alerts.promql import label_name
from otel_django.alerts.state import ALERT_NAME, SEVERITY

if TYPE_CHECKING:
    from typing import Any, Literal

    from otel_django.alerts.muting import Silence
    from otel_django.conf import Settings
    from otel_django.models import SystemAlert

    Kind = Literal["silence", "maintenance", "acknowledgement"]

MOST: Final = 1000
CRITICAL: Final = ("critical", "page", "error", "emergency")
"""Values of the label severity that are critical here; all others are warnings."""
_SALT: Final = "otel_django.alertmanager"
_MARK: Final = re.compile(
    r"\[otel_django (?P<named>(?:silence|maintenance|acknowledgement) \d+ [0-9a-f]{8})"
    r"-(?P<signature>[0-9a-f]{12})\]"
)


@dataclass(frozen=True, slots=True)
class Wish:
    """Alerts that match are to be silent from ``starts_ms`` until ``ends_ms``.

    ``pk`` is that of its row.
    """

    kind: Kind
    pk: int
    matchers: tuple[Match, ...]
    starts_ms: int
    ends_ms: int
    by: str
    comment: str

    @property
    def mark(self) -> str:
        """Another one when the wish is another; only this site could have made it."""
        told = [[label_name(one.key), one.operator, one.value] for one in self.matchers]
        text = json.dumps([told, self.starts_ms, self.ends_ms])
        named = f"{self.kind} {self.pk} {hashlib.sha256(text.encode()).hexdigest()[:8]}"
        return f"[otel_django {named}-{_signature(named, site.SECRET_KEY)}]"


def mark_in(comment: str) -> str:
    """The mark that a comment has; empty: none, or another site's."""
    for found in _MARK.finditer(comment):
        for secret in (site.SECRET_KEY, *site.SECRET_KEY_FALLBACKS):
            if constant_time_compare(found["signature"], _signature(found["named"], secret)):
                return found[0]
    return ""


def row_of(mark: str) -> tuple[str, int]:
    """The kind and id of the row that a mark is of."""
    _, kind, pk, _ = mark.split(" ")
    return kind, int(pk)


def without_mark(comment: str) -> str:
    """The comment as people read it."""
    return _MARK.sub("", comment).strip()


def _signature(named: str, secret: str | bytes) -> str:
    return salted_hmac(_SALT, named, secret, algorithm="sha256").hexdigest()[:12]


def wishes(settings: Settings, now_ms: int) -> list[Wish]:
    """Those that hold now or will; reads the database."""
    return [
        *_silences(settings.database, now_ms),
        *_maintenance(settings.database, now_ms),
        *_acknowledgements(settings, now_ms),
    ]


def _silences(database: str, now_ms: int) -> Iterator[Wish]:
    from otel_django.models import AlertSilence

    rows = AlertSilence._base_manager.using(database).filter(ends_at__gt=stored_time(now_ms))
    for row in rows.order_by("ends_at", "id")[:MOST]:
        with suppress(ValueError):  # what can't be read silences nothing
            yield _wish("silence", row.pk, silence_of(row), row.by, row.comment)


def _maintenance(database: str, now_ms: int) -> Iterator[Wish]:
    """Of those that come again only the next time: there they are silences like others."""
    from otel_django.models import AlertMaintenance

    rows = AlertMaintenance._base_manager.using(database).filter(enabled=True)
    for row in rows.order_by("id")[:MOST]:
        with suppress(ValueError):
            window = maintenance_of(row)
            rounds = 0
            if window.every_ms > 0 and now_ms >= window.until_ms:
                rounds = (now_ms - window.until_ms) // window.every_ms + 1
            one = _wish("maintenance", row.pk, window, row.by, row.name, rounds * window.every_ms)
            if one.ends_ms > now_ms:
                yield one


def _wish(kind: Kind, pk: int, one: Silence, by: str, comment: str, later_ms: int = 0) -> Wish:
    starts_ms, ends_ms = one.since_ms + later_ms, one.until_ms + later_ms
    return Wish(kind, pk, one.matchers, starts_ms, ends_ms, by, comment)


def _acknowledgements(settings: Settings, now_ms: int) -> Iterator[Wish]:
    from otel_django.models import SystemAlert

    rows = SystemAlert._base_manager.using(settings.database).filter(
        source="prometheus", resolved=False, acknowledged_ms__isnull=False
    )
    for row in rows.order_by("id")[:MOST]:
        began_ms = row.acknowledged_ms or 0
        ends_ms = began_ms + round(settings.alertmanager_acknowledged_s * 1000)
        if ends_ms <= now_ms:
            continue
        said = f"Acknowledged by {row.acknowledged_by}"
        comment = f"{said}: {row.acknowledged_note}" if row.acknowledged_note else said
        matchers = exactly(row)
        yield Wish(
            "acknowledgement", row.pk, matchers, began_ms, ends_ms, row.acknowledged_by, comment
        )


# --- alerts there and here


def exactly(row: SystemAlert) -> tuple[Match, ...]:
    """What only this alert has."""
    named = {**_labels(row), ALERT_NAME: row.alert_type, SEVERITY: row.severity}
    return tuple(Match(key, "=", value) for key, value in sorted(named.items()))


def for_alertmanager(matchers: tuple[Match, ...]) -> tuple[Match, ...]:
    """The same conditions there, where rules may call severities by more words."""
    return tuple(map(_translated, matchers))


def _translated(one: Match) -> Match:
    if (
        one.key != SEVERITY
        or one.operator not in ("=", "!=")
        or one.value not in ("critical", "warning")
    ):
        return one
    is_critical = (one.value == "critical") == (one.operator == "=")
    return Match(SEVERITY, "=~" if is_critical else "!~", "|".join(CRITICAL))


def identity(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """What an alert there and its row here have in common, from the labels there."""
    told = {key: value for key, value in labels.items() if value and key != SEVERITY}
    severity = "critical" if labels.get(SEVERITY) in CRITICAL else "warning"
    return frozenset({*told.items(), (SEVERITY, severity)})


def identity_of(row: SystemAlert) -> frozenset[tuple[str, str]]:
    """The same from the row."""
    told = {label_name(key): value for key, value in _labels(row).items()}
    return frozenset({*told.items(), (ALERT_NAME, row.alert_type), (SEVERITY, row.severity)})


def _labels(row: SystemAlert) -> dict[str, Any]:
    try:
        found = json.loads(row.labels)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}
