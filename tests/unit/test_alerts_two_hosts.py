"""Two hosts that evaluate without knowing of each other, and what becomes of their two stories."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from otel_django import metric_definitions as metrics
from otel_django.alerts.definitions import defined
from otel_django.alerts.delivery.routes import routes
from otel_django.alerts.delivery.stages import Delivery, planned
from otel_django.alerts.keeping.contract import Attempt, Outgoing
from otel_django.alerts.keeping.merging import settled
from otel_django.alerts.service.evaluation import Evaluation
from otel_django.alerts.telling import Policy
from otel_django.models import AlertNotification, SystemAlert
from tests.alert_series import Memory, Told, flat
from tests.keeping_kit import ALIAS, FENCE, NOW_MS, away, entry, keeper, kept_in_sqlite, told

BUSY = defined(
    {
        "name": "Busy",
        "form": "level",
        "metric": metrics.CELERY_QUEUE_LENGTH.name,
        "critical": 100,
        "summary": "{value} wait",
    }
)
DELIVERY = Delivery(routes((), ["webhook"]), group_interval_s=0)


class Host:
    """One that evaluates each 15 s, from ``lengths`` of a queue; ``sent`` are keys."""

    def __init__(self, folder: Path, lengths: list[float | None]) -> None:
        self.keeper = keeper(folder)
        source: Any = Memory([Told(metrics.CELERY_QUEUE_LENGTH, lengths)], 15)
        self.sent: list[tuple[str, str]] = []
        self._evaluation = Evaluation(
            keeper=self.keeper,
            rules=lambda rows: [BUSY],
            source=lambda: source,
            announce=lambda notices, entries, rules, now_ms, newest: planned(
                notices, entries, rules, DELIVERY, now_ms, newest
            ),
            policy=Policy(),
        )

    def stand_by(self, step: int) -> None:
        self.keeper.load(step * 15_000)

    def step(self, step: int) -> None:
        """Evaluate, and send what is due."""
        self._evaluation.step(step * 15_000, FENCE)
        for one in self.keeper.due(step * 15_000, FENCE):
            self.sent.append((one.kind, one.key))
            self.keeper.attempted(_delivered(one, step * 15_000 + 1))


def _delivered(one: Outgoing, at_ms: int) -> Attempt:
    return Attempt(one.key, one.channel, at_ms, "delivered")


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    """The queue is too long in steps 2 and 3, and from 6 to 11."""
    lengths = flat((2, 0), (2, 500), (2, 0), (6, 500), (9, 0))
    with kept_in_sqlite(tmp_path):
        one, other = (Host(tmp_path / name, lengths) for name in ("one", "other"))
        yield one, other
        one.keeper.close()
        other.keeper.close()


def states() -> list[str]:
    rows = SystemAlert._base_manager.using(ALIAS).order_by("since_ms")
    return list(rows.values_list("state", flat=True))


def test_both_tell_of_the_same_with_the_same_key_while_the_database_is_away(
    hosts: tuple[Host, Host],
) -> None:
    one, other = hosts
    for step in range(1, 6):
        one.step(step)
        other.stand_by(step)
    assert [kind for kind, _ in one.sent] == ["fired", "resolved"]
    with away():
        for step in range(6, 10):
            one.step(step)
        other.step(8)  # it has not heard of the first one for half a minute
        other.step(9)
    assert one.sent[2:] == other.sent
    assert [kind for kind, _ in other.sent] == ["fired"]
    for step in range(10, 14):
        one.step(step)
        other.stand_by(step)
    assert [kind for kind, _ in one.sent] == ["fired", "resolved"] * 2
    assert len(set(one.sent)) == 4
    assert set(states()) == {"resolved"}
    rows = AlertNotification._base_manager.using(ALIAS)
    assert rows.count() == rows.filter(state="delivered").count() == 4


def test_who_stood_by_tells_nothing_that_was_told_before(hosts: tuple[Host, Host]) -> None:
    one, other = hosts
    one.step(2)
    other.stand_by(2)
    with away():
        other.step(3)
    assert other.sent == []
    other.step(4)
    assert [kind for kind, _ in other.sent] == ["resolved"]


def test_a_story_that_comes_late_does_not_have_an_alert_fire_anew(
    hosts: tuple[Host, Host],
) -> None:
    one, other = hosts
    one.stand_by(5)
    other.stand_by(5)
    with away():
        one.step(10)
        other.step(11)
    for step in range(11, 15):
        one.step(step)
    other.stand_by(15)
    one.step(15)
    assert [kind for kind, _ in one.sent] == ["fired", "resolved"]
    assert set(states()) == {"resolved"}


def test_what_fires_anew_after_it_was_over_stays() -> None:
    over = entry(state="resolved")
    anew = told(entry(since_ms=NOW_MS + 60_001))
    assert settled([over, anew], {anew.id}) == [over, anew]
    early = replace(anew, at_ms=NOW_MS + 59_000)
    assert [one.alert.state for one in settled([over, early], {early.id})] == ["resolved"] * 2
    assert settled([over, early]) == [over, early]
