"""Many instances of one check."""

from __future__ import annotations

import threading
import time

from otel_django.health.instances import MOST_AT_ONCE, ask_each
from otel_django.health.results import CheckError, Result


def test_each_is_asked_once_at_the_same_time_with_a_bound_to_the_threads() -> None:
    names = [f"n{number}" for number in range(3 * MOST_AT_ONCE)]
    asked: list[str] = []
    threads: list[int] = []

    def ask(name: str) -> Result:
        asked.append(name)
        threads.append(sum(each.name == "asks" for each in threading.enumerate()))
        time.sleep(0.01)
        if name == "n7":
            raise CheckError("It is away.")
        return Result(message=name)

    found = ask_each(names, ask, "asks")
    assert sorted(asked) == sorted(names)
    assert 1 <= max(threads) < MOST_AT_ONCE  # and the one that asks for all of them
    assert [each.instance for each in found] == names
    assert found[7] == Result("unhealthy", "It is away.", instance="n7")
    assert found[8].message == "n8"


def test_of_none_nothing_is_found() -> None:
    assert ask_each([], lambda name: Result(), "asks") == []
