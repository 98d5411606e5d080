"""What becomes of alerts long resolved, month by month."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from otel_django.alerts.keeping import archive as archiving
from otel_django.alerts.keeping.archive import archive, put_by
from otel_django.alerts.keeping.contract import Changes, Entry
from otel_django.alerts.keeping.database import AlertDatabase
from otel_django.alerts.keeping.documents import entry_of
from otel_django.models import (
    AlertArchive,
    AlertAttempt,
    AlertEvent,
    AlertNotification,
    SystemAlert,
)
from tests.keeping_kit import (
    ALIAS,
    FENCE,
    delivered,
    entry,
    event,
    keeper,
    kept_in_sqlite,
    key,
    outgoing,
    told,
)


def ms(year: int, month: int, day: int, hour: int = 12) -> int:
    return round(datetime(year, month, day, hour, tzinfo=timezone.utc).timestamp() * 1000)


NOW_MS = ms(2026, 11, 22)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    with kept_in_sqlite(tmp_path):
        yield tmp_path


def save(**changes: Any) -> None:
    AlertDatabase(ALIAS).save(Changes(**changes), FENCE)


def rows(model: Any) -> Any:
    return model._base_manager.using(ALIAS)


def ended(name: str, since_ms: int) -> Entry:
    return entry(key(name), "resolved", since_ms)


def run(keep_months: int = 12, now_ms: int = NOW_MS) -> int:
    steps = 1
    while archive(now_ms, keep_months, database=ALIAS):
        steps += 1
    return steps


def archived() -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for row in rows(AlertArchive).order_by("month", "first_ms"):
        entries = [entry_of(json.loads(line)) for line in row.document.splitlines()]
        assert row.alerts == len(entries)
        found.setdefault(row.month, []).extend(entries)
    return found


def test_alerts_of_months_long_over_are_put_by_as_they_were() -> None:
    last_of_august = ended("A1", ms(2026, 8, 31, 23))
    first_of_september = ended("B1", ms(2026, 9, 1, 0))
    last_of_september = ended("C1", ms(2026, 9, 30, 23))
    october, firing = ended("D1", ms(2026, 10, 1)), entry(key("E1"), since_ms=ms(2026, 1, 1))
    save(alerts=[last_of_august, first_of_september, last_of_september, october, firing])
    run()
    assert archived() == {
        "2026-08": [last_of_august],
        "2026-09": [first_of_september, last_of_september],
    }
    left = rows(SystemAlert).order_by("alert_type").values_list("alert_type", flat=True)
    assert list(left) == ["D1", "E1"]
    assert run() == 1


def test_by_hand_only_what_is_over_and_was_told_goes() -> None:
    over, untold = ended("A1", ms(2026, 11, 20)), told(ended("B1", ms(2026, 11, 20)))
    older = ended("C1", ms(2026, 10, 20))
    save(alerts=[over, untold, older, entry(key("D1"), since_ms=NOW_MS)])
    put = put_by(rows(SystemAlert).all(), ALIAS)
    assert sorted(row.alert_type for row in put) == ["A1", "C1"]
    assert archived() == {"2026-10": [older], "2026-11": [over]}
    assert put_by(put, ALIAS) == []
    assert rows(AlertArchive).count() == 2


@pytest.mark.parametrize(("day", "months"), [(ms(2026, 12, 1), 1), (ms(2026, 12, 3), 2)])
def test_history_has_a_month_at_least(day: int, months: int) -> None:
    save(alerts=[ended("A1", ms(2026, 9, 30)), ended("B1", ms(2026, 10, 31))])
    run(now_ms=day)
    assert len(archived()) == months


def test_it_goes_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving, "AT_ONCE", 10)
    save(
        alerts=[ended(f"A{number}", ms(2026, 8, 1)) for number in range(25)],
        events=[event(number) for number in range(25)],
    )
    assert run(now_ms=ms(2027, 12, 1), keep_months=24) == 4
    assert len(archived()["2026-08"]) == 25
    assert rows(AlertArchive).count() == 3


def test_what_is_too_old_is_let_go_of() -> None:
    save(alerts=[ended("A1", ms(2026, 2, 28)), ended("B1", ms(2026, 3, 1))], events=[event()])
    run(keep_months=10**15, now_ms=ms(2026, 6, 15))
    run(keep_months=3, now_ms=ms(2026, 6, 15))
    assert list(archived()) == ["2026-03"]
    assert rows(AlertEvent).count() == 1
    run(keep_months=3, now_ms=ms(2026, 7, 1))
    assert not archived()
    run(keep_months=1, now_ms=ms(2028, 1, 1))
    assert not rows(AlertEvent).exists()


def test_what_was_told_goes_unless_it_still_waits(folder: Path) -> None:
    save(
        outgoing=[
            outgoing("old", at_ms=ms(2026, 9, 1)),
            outgoing("waits", at_ms=ms(2026, 9, 1)),
            outgoing("new", at_ms=ms(2026, 11, 1)),
        ]
    )
    kept = keeper(folder)
    kept.attempted(delivered("old"))
    kept.attempted(delivered("new"))
    kept.close()
    run()
    left = rows(AlertNotification).order_by("key").values_list("key", flat=True)
    assert list(left) == ["new", "waits"]
    assert rows(AlertAttempt).count() == 1
