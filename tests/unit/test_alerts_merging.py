"""Two stories of one alert: which counts; and the database's going away and coming back."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from django.db import connections

from otel_django.alerts.keeping import merging
from otel_django.alerts.keeping.contract import Changes, Entry
from otel_django.alerts.keeping.database import AlertDatabase
from otel_django.alerts.keeping.journal import NAME
from otel_django.alerts.keeping.keeper import AlertKeeper
from otel_django.alerts.keeping.merging import Backlog, merged, settled
from otel_django.alerts.keeping.switching import WHY, end_of_others
from otel_django.alerts.telling import Told
from otel_django.models import AlertAttempt, AlertEvent, AlertNotification, SystemAlert
from otel_django.testing import capture
from tests.keeping_kit import (
    ALIAS,
    FENCE,
    NOW_MS,
    away,
    delivered,
    entry,
    event,
    full_disk,
    keeper,
    kept_in_sqlite,
    key,
    outgoing,
    taken,
    told,
)


def at(one: Entry, at_ms: int) -> Entry:
    return replace(one, at_ms=at_ms)


def test_the_later_of_two_counts_in_either_order() -> None:
    early, late = at(entry(), NOW_MS), replace(at(entry(), NOW_MS + 1), message="late")
    assert merged(early, late) == merged(late, early) == late
    assert merged(None, early) == early


def test_what_ended_does_not_begin_again() -> None:
    ended, late = entry(state="resolved"), at(entry(), NOW_MS + 99)
    assert merged(ended, late).alert.state == merged(late, ended).alert.state == "resolved"


def test_who_takes_care_and_what_was_said_come_from_whichever_knows_more() -> None:
    ours = told(at(entry(), NOW_MS + 9), NOW_MS + 3)
    theirs = taken(told(entry(), NOW_MS))
    both = merged(theirs, ours)
    assert both == merged(ours, theirs)
    assert both.told == Told("firing", NOW_MS + 3)
    assert both.alert.acknowledged == theirs.alert.acknowledged
    assert both.at_ms == ours.at_ms


def test_of_two_that_go_on_the_one_seen_last_stays_and_nobody_is_told_again() -> None:
    one = told(entry(since_ms=NOW_MS))
    other = at(entry(since_ms=NOW_MS + 15_000), NOW_MS + 60_000)
    for order in ((one, other), (other, one)):
        ended, stays = sorted(settled(order), key=lambda each: each.alert.since_ms)
        assert stays == replace(other, told=one.told)
        assert (ended.alert.state, ended.told) == ("resolved", None)
    resolved = entry(state="resolved")
    assert settled([resolved, other]) == [resolved, other]


def test_what_waits_for_the_database_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "MOST", 3)
    backlog = Backlog()
    for number in range(10):
        backlog.add(Changes(events=[event(number)]))
        backlog.attempted(delivered(at_ms=number))
    assert list(backlog.events) == ["event-7", "event-8", "event-9"]
    assert len(backlog.attempts) == 3


# --- with a database


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with kept_in_sqlite(tmp_path):
        yield tmp_path


@pytest.fixture
def kept(folder: Path) -> Iterator[AlertKeeper]:
    made = keeper(folder)
    yield made
    made.close()


def states() -> dict[str, str]:
    rows = AlertNotification._base_manager.using(ALIAS)
    return dict(rows.values_list("key", "state"))


def count(model: type) -> int:
    found: int = model._base_manager.using(ALIAS).count()  # type: ignore[attr-defined]
    return found


def test_without_the_database_all_goes_on_and_is_there_when_it_is_back(kept: AlertKeeper) -> None:
    before = told(entry(key("A1")))
    kept.save(Changes([before], outgoing=[outgoing("n0", at_ms=NOW_MS - 1)]), FENCE)
    assert kept.load(NOW_MS).alerts == {before.alert.key: before}
    with away():
        known = kept.load(NOW_MS + 1)
        assert known.away == "OperationalError"
        assert known.alerts == {before.alert.key: before}
        one = entry(key("B1"))
        kept.save(Changes([one], (), [event()], [outgoing("n1"), outgoing("n2")]), FENCE)
        assert set(kept.load(NOW_MS + 2).alerts) == {key("A1"), key("B1")}
        due = kept.due(NOW_MS + 2, FENCE)
        assert [each.key for each in due] == ["n0", "n1", "n2"]
        assert not kept.due(NOW_MS + 3, FENCE)
        kept.attempted(delivered("n0"))
        kept.attempted(delivered("n1"))
    known = kept.load(NOW_MS + 3)
    assert (set(known.alerts), known.away) == ({key("A1"), key("B1")}, "")
    assert states() == {"n0": "delivered", "n1": "delivered", "n2": "waiting"}
    assert (count(AlertEvent), count(AlertAttempt)) == (1, 2)
    assert [each.key for each in kept.due(NOW_MS + 60_000, FENCE)] == ["n2"]


def test_what_users_did_in_the_database_meanwhile_is_kept(kept: AlertKeeper, folder: Path) -> None:
    one = entry()
    kept.save(Changes([one]), FENCE)
    with away():
        kept.save(Changes([at(one, NOW_MS + 30_000)]), FENCE)
    AlertDatabase(ALIAS).save(Changes([taken(one)]), FENCE)  # another host reached it
    alert = kept.load(NOW_MS).alerts[key()]
    assert alert.at_ms == NOW_MS + 30_000
    assert alert.alert.acknowledged is not None
    assert alert.alert.acknowledged.by == "ann"


def test_a_restart_while_it_is_away_neither_loses_nor_repeats(folder: Path) -> None:
    first = keeper(folder)
    before = told(entry(key("A1")))
    first.save(Changes([before], outgoing=[outgoing("n0"), outgoing("n1")]), FENCE)
    first.load(NOW_MS)
    first.attempted(delivered("n0"))
    with away():
        first.save(Changes([told(entry(key("B1")))], outgoing=[outgoing("n2")]), FENCE)
        first.attempted(delivered("n1"))
        first.close()  # as the end of the process does
        second = keeper(folder)
        known = second.load(NOW_MS + 5)
        assert {one.alert.key: one.told for one in known.alerts.values()} == {
            key("A1"): Told("firing", NOW_MS),
            key("B1"): Told("firing", NOW_MS),
        }
        assert [each.key for each in second.due(NOW_MS + 5, FENCE)] == ["n2"]
        second.close()
    third = keeper(folder)
    assert len(third.load(NOW_MS + 6).alerts) == 2
    assert states() == {"n0": "delivered", "n1": "delivered", "n2": "waiting"}
    third.close()


def test_what_another_host_has_delivered_is_not_sent_when_the_database_goes(folder: Path) -> None:
    ours, theirs = keeper(folder / "a"), keeper(folder / "b")
    ours.save(Changes(outgoing=[outgoing()]), FENCE)
    theirs.attempted(delivered())
    theirs.close()
    ours.load(NOW_MS)
    with away():
        assert not ours.due(NOW_MS, FENCE)
        ours.close()
        again = keeper(folder / "a")
        assert not again.due(NOW_MS, FENCE)
        again.close()


def test_killed_at_any_record_all_before_is_merged_and_again_harmless(folder: Path) -> None:
    first = keeper(folder)
    first.load(NOW_MS)
    with away():
        for number in range(3):
            one = entry(key(host=f"h{number}"))
            first.save(Changes([one], (), [event(number)], [outgoing(f"n{number}")]), FENCE)
            first.attempted(delivered(f"n{number}"))
    first.close()
    path = folder / "journal" / NAME
    lines = path.read_bytes().splitlines(keepends=True)
    for whole, torn in itertools.product(range(len(lines) + 1), (0, 1, 50)):
        after = lines[whole][:torn] if whole < len(lines) else b""
        path.write_bytes(b"".join(lines[:whole]) + after)
        again = keeper(folder)
        again.load(NOW_MS)
        saves = whole // 2  # the first line is what was known
        assert count(SystemAlert) == count(AlertEvent) == saves
        assert list(states()) == [f"n{number}" for number in range(saves)][::-1]
        assert count(AlertAttempt) == max(0, whole - 1) // 2
        again.close()


def test_a_hanging_database_is_waited_for_only_so_long(folder: Path) -> None:
    kept = keeper(folder, patience_s=0.2)
    kept.save(Changes([entry()]), FENCE)
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("BEGIN EXCLUSIVE")
        kept.save(Changes([entry(key("B1"))], outgoing=[outgoing()]), FENCE)
        known = kept.load(NOW_MS)
        assert known.away == "TimeoutError"
        assert set(known.alerts) == {key(), key("B1")}
        assert [one.key for one in kept.due(NOW_MS, FENCE)] == ["n1"]
        kept.attempted(delivered())
        cursor.execute("COMMIT")
    while kept.load(NOW_MS).away:
        pass
    assert set(kept.load(NOW_MS).alerts) == {key(), key("B1")}
    assert states() == {"n1": "delivered"}
    kept.close()


def test_of_two_hosts_that_were_on_their_own_one_story_is_left(folder: Path) -> None:
    ours, theirs = keeper(folder / "a"), keeper(folder / "b")
    with away():
        ours.save(Changes([told(entry(since_ms=NOW_MS))]), FENCE)
        later = at(entry(since_ms=NOW_MS + 15_000), NOW_MS + 60_000)
        theirs.save(Changes([later]), FENCE)
    theirs.load(NOW_MS)
    known = ours.load(NOW_MS).alerts[key()]
    assert (known.alert.since_ms, known.told) == (NOW_MS + 15_000, Told("firing", NOW_MS))
    assert count(SystemAlert) == 2
    ours.close()
    theirs.close()


def test_what_comes_after_the_end_is_for_the_database_only(kept: AlertKeeper, folder: Path) -> None:
    kept.save(Changes(outgoing=[outgoing()]), FENCE)
    kept.close()
    kept.attempted(delivered())
    assert states() == {"n1": "delivered"}
    next_one = keeper(folder)
    next_one.load(NOW_MS)
    assert (folder / "journal" / NAME).stat().st_size > 0  # it has got the journal
    next_one.close()


def test_its_queries_are_not_counted_among_the_sites_and_no_thread_is_left(
    kept: AlertKeeper,
) -> None:
    before = set(threading.enumerate())
    with capture() as captured:
        kept.save(Changes([entry()], outgoing=[outgoing()]), FENCE)
        kept.load(NOW_MS)
    assert not captured.spans
    assert not [one for one in captured.metrics if one.name.startswith("db.")]
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()


def test_a_full_disk_is_said_once_and_all_is_written_when_there_is_room(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = keeper(folder)
    kept.load(NOW_MS)
    with away(), full_disk(300):
        for number in range(3):
            one = entry(key(host=f"h{number}"))
            kept.save(Changes([one], (), (), [outgoing(f"n{number}")]), FENCE)
            assert kept.load(NOW_MS).away
            assert [due.key for due in kept.due(NOW_MS, FENCE)] == [f"n{number}"]
    said = [record for record in caplog.records if "journal of alerts" in record.msg]
    assert len(said) == 1
    with away():
        kept.attempted(delivered("n1"))
        kept.close()
        again = keeper(folder)
        assert len(again.load(NOW_MS).alerts) == 3
        assert list(again._outbox.waiting) == [("n0", "slack"), ("n2", "slack")]
        again.close()


def test_of_two_evaluators_only_what_was_said_here_counts() -> None:
    pending = entry(state="pending", since_ms=NOW_MS + 1)
    elsewhere = replace(told(entry()), source="prometheus")
    ended, goes_on = settled([elsewhere, pending])
    assert (ended.alert.state, goes_on) == ("resolved", pending)


def test_what_another_evaluator_left_is_over_and_is_not_told(tmp_path: Path) -> None:
    with kept_in_sqlite(tmp_path):
        database = AlertDatabase(ALIAS)
        theirs = replace(told(entry(since_ms=NOW_MS + 9)), source="prometheus")
        ours = told(entry(key("Mine")))
        database.save(Changes([theirs, ours]), FENCE)
        assert not end_of_others("embedded", NOW_MS + 60_000, database=ALIAS)
        assert database.load(NOW_MS).alerts[key("Mine")] == ours
        (over,) = SystemAlert._base_manager.using(ALIAS).filter(resolved=True)
        assert (over.source, over.told_state) == ("prometheus", "resolved")
        assert AlertEvent._base_manager.using(ALIAS).get().text == WHY
        end_of_others("prometheus", NOW_MS + 60_000, database=ALIAS)
        assert not SystemAlert._base_manager.using(ALIAS).filter(resolved=False).exists()


def test_a_row_of_another_evaluator_hides_none_of_ours(tmp_path: Path) -> None:
    with kept_in_sqlite(tmp_path):
        database = AlertDatabase(ALIAS)
        database.save(Changes([entry(state="resolved")]), FENCE)
        database.save(Changes([replace(entry(since_ms=NOW_MS + 9), source="prometheus")]), FENCE)
        assert database.load(NOW_MS).alerts[key()].source == "embedded"


@pytest.mark.parametrize("document", ["{", "[]", "", "null"])
def test_a_notification_that_cannot_be_read_holds_up_nothing(tmp_path: Path, document: str) -> None:
    with kept_in_sqlite(tmp_path):
        kept = keeper(tmp_path)
        kept.save(Changes(outgoing=[outgoing(), outgoing("n2")]), FENCE)
        spoilt = AlertNotification._base_manager.using(ALIAS).filter(key="n1")
        spoilt.update(document=document)
        kept.load(NOW_MS)
        assert [one.key for one in kept.due(NOW_MS, FENCE)] == ["n1", "n2"]
        kept.close()
