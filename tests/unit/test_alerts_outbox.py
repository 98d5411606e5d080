"""The outbox: in order, each once at a time, again if nothing was heard of it, never twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otel_django.alerts.keeping.contract import SENDING_MS, Attempt, Changes, Fence, NotLeaderError
from otel_django.alerts.keeping.keeper import AlertKeeper
from otel_django.alerts.keeping.outbox import MemoryOutbox, to_send
from otel_django.models import AlertAttempt, AlertNotification, Lease
from tests.keeping_kit import ALIAS, FENCE, NOW_MS, delivered, keeper, kept_in_sqlite, outgoing

Due = Callable[[int], list[str]]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[AlertKeeper]:
    with kept_in_sqlite(tmp_path):
        made = keeper(tmp_path)
        yield made
        made.close()


def due(kept: AlertKeeper, at_ms: int) -> list[str]:
    return [f"{one.key}/{one.channel}" for one in kept.due(at_ms, FENCE)]


def put(kept: AlertKeeper, *names: str, **more: object) -> None:
    kept.save(Changes(outgoing=[outgoing(name, **more) for name in names]), FENCE)  # type: ignore[arg-type]


def test_what_is_due_goes_out_the_oldest_first_and_once_at_a_time(kept: AlertKeeper) -> None:
    put(kept, "b", at_ms=NOW_MS + 1)
    put(kept, "a", at_ms=NOW_MS)
    put(kept, "later", at_ms=NOW_MS + 60_000)
    assert due(kept, NOW_MS + 2) == ["a/slack", "b/slack"]
    assert due(kept, NOW_MS + 3) == []


def test_what_nobody_heard_of_is_sent_again(kept: AlertKeeper) -> None:
    put(kept, "a")
    due(kept, NOW_MS)
    assert due(kept, NOW_MS + SENDING_MS - 1) == []
    assert due(kept, NOW_MS + SENDING_MS) == ["a/slack"]


def test_the_same_key_is_kept_once_for_each_channel(kept: AlertKeeper) -> None:
    put(kept, "a")
    put(kept, "a")
    put(kept, "a", channel="mail")
    assert sorted(due(kept, NOW_MS)) == ["a/mail", "a/slack"]
    kept.attempted(delivered("a"))
    put(kept, "a")  # decided again after a crash
    assert due(kept, NOW_MS + SENDING_MS) == ["a/mail"]


def test_one_waits_for_those_before_it_of_its_group_and_channel(kept: AlertKeeper) -> None:
    put(kept, "fired", group="g")
    put(kept, "resolved", group="g", at_ms=NOW_MS + 1)
    put(kept, "other", group="h", at_ms=NOW_MS + 2)
    assert due(kept, NOW_MS + 5) == ["fired/slack", "other/slack"]
    kept.attempted(Attempt("fired", "slack", NOW_MS + 6, "retry", "503", NOW_MS + 90_000))
    assert due(kept, NOW_MS + 80_000) == ["other/slack"]
    assert due(kept, NOW_MS + 90_000) == ["fired/slack"]
    kept.attempted(delivered("fired", at_ms=NOW_MS + 90_001))
    assert due(kept, NOW_MS + 90_002) == ["resolved/slack"]


def test_each_attempt_is_noted_once_and_what_came_of_it(kept: AlertKeeper) -> None:
    put(kept, "a", "b")
    kept.attempted(Attempt("a", "slack", 1, "retry", "503", NOW_MS))
    kept.attempted(Attempt("a", "slack", 1, "retry", "503", NOW_MS))
    (again,) = [one for one in kept.due(NOW_MS, FENCE) if one.key == "a"]
    assert again.attempts == 1
    kept.attempted(Attempt("a", "slack", 2, "refused", "404"))
    kept.attempted(delivered("b"))
    kept.attempted(Attempt("b", "slack", NOW_MS + 9, "retry", "late", NOW_MS + 10))
    rows = AlertNotification._base_manager.using(ALIAS).order_by("key")
    assert list(rows.values_list("key", "state", "attempts")) == [
        ("a", "failed", 2),
        ("b", "delivered", 1),
    ]
    tries = AlertAttempt._base_manager.using(ALIAS).filter(notification__key="a")
    assert list(tries.order_by("at_ms").values_list("result", "detail")) == [
        ("retry", "503"),
        ("refused", "404"),
    ]
    assert due(kept, NOW_MS + 10 * SENDING_MS) == []


def test_who_lost_the_lease_may_say_what_came_of_it_but_gets_no_more(kept: AlertKeeper) -> None:
    put(kept, "a", "b")
    kept.due(NOW_MS, FENCE, 1)
    Lease._base_manager.using(ALIAS).update(owner="other")
    with pytest.raises(NotLeaderError):
        kept.due(NOW_MS, FENCE)
    kept.attempted(delivered("a"))
    found = kept.due(NOW_MS + SENDING_MS, Fence(FENCE.lease, "other"))
    assert [one.key for one in found] == ["b"]


def test_memory_does_as_the_database_does() -> None:
    outbox = MemoryOutbox()
    outbox.add([outgoing("a", group="g"), outgoing("b", group="g"), outgoing("c")])
    outbox.add([outgoing("a", group="g")])
    assert [one.key for one in outbox.due(NOW_MS, 10)] == ["a", "c"]
    outbox.attempted(Attempt("a", "slack", 1, "retry", "", NOW_MS + 5))
    outbox.attempted(Attempt("c", "slack", 1, "refused"))
    assert [one.key for one in outbox.due(NOW_MS + 4, 10)] == []
    (again,) = outbox.due(NOW_MS + 5, 10)
    assert (again.key, again.attempts) == ("a", 1)
    outbox.attempted(delivered("a"))
    assert [one.key for one in outbox.due(NOW_MS + 6, 10)] == ["b"]


def test_only_so_many_go_out_at_once() -> None:
    waiting = [outgoing(f"n{number}") for number in range(50)]
    assert len(to_send(waiting, NOW_MS, 20)) == 20
