"""One check is asked: whatever it does or returns, there is a plain answer."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from otel_django.health.asking import LONGEST, MOST_RESULTS, ask, timed_out
from otel_django.health.check import Registered
from otel_django.health.results import CheckError, Result
from otel_django.testing import capture


def asked(run: Callable[[], Any], timeout_s: float = 2.0) -> tuple[Result, ...]:
    """On a thread, as the engine does."""
    found: list[tuple[Result, ...]] = []
    thread = threading.Thread(target=lambda: found.append(ask(Registered("it", run), timeout_s)))
    thread.start()
    thread.join()
    return found[0]


def raising(error: BaseException) -> Callable[[], Any]:
    def run() -> None:
        raise error

    return run


def raising_later(error: BaseException) -> Callable[[], Any]:
    async def run() -> None:
        await asyncio.sleep(0)
        raise error

    return run


def nothing() -> None:
    pass


async def degraded() -> list[Result]:
    await asyncio.sleep(0.001)
    return [Result("degraded", instance="a"), Result(instance="b")]


def test_none_is_healthy() -> None:
    assert asked(lambda: None) == (Result("healthy"),)


def test_an_asynchronous_check_is_awaited() -> None:
    assert [one.status for one in asked(degraded)] == ["degraded", "healthy"]


def test_several_instances_may_be_generated() -> None:
    def run() -> Iterator[Result]:
        yield Result("degraded", "slow", instance="a")
        yield Result(instance="b")

    assert [one.instance for one in asked(run)] == ["a", "b"]


def test_nothing_to_tell_of_is_healthy_without_a_finding() -> None:
    assert asked(list) == ()


@pytest.mark.parametrize("make", [raising, raising_later])
def test_a_check_error_is_shown_with_its_text(make: Callable[..., Any]) -> None:
    assert asked(make(CheckError("no stock"))) == (Result("unhealthy", "no stock"),)


@pytest.mark.parametrize("make", [raising, raising_later])
@pytest.mark.parametrize(
    "error",
    [
        ValueError("postgres://me:secret@db"),
        asyncio.CancelledError("secret"),
        SystemExit("secret"),
        KeyboardInterrupt("secret"),
        GeneratorExit("secret"),
        MemoryError("secret"),
        StopIteration("secret"),
        RecursionError("secret"),
    ],
    ids=lambda error: type(error).__name__ if isinstance(error, BaseException) else None,
)
def test_N1_of_any_other_exception_the_type_alone_is_shown(
    make: Callable[..., Any], error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    asked(lambda: None)
    with caplog.at_level(logging.WARNING):
        (result,) = asked(make(error))
    assert result.status == "unhealthy"
    assert result.message.startswith("raised ")
    assert result.message.removeprefix("raised ") in {type(error).__name__, "RuntimeError"}
    assert "secret" not in result.message + caplog.text
    assert "The health check it failed" in caplog.text


def test_a_fault_is_logged_once_until_it_is_another_one(caplog: pytest.LogCaptureFixture) -> None:
    for run in (nothing, *[raising(OSError())] * 3, lambda: 7, nothing, raising(OSError())):
        asked(run)
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == [
        "The health check it failed",
        "The health check it returned int: None, a Result or several are expected.",
        "The health check it failed",
    ]


def test_a_generator_that_fails_half_way_has_failed() -> None:
    def run() -> Iterator[Result]:
        yield Result(instance="a")
        raise LookupError

    assert asked(run) == (Result("unhealthy", "raised LookupError"),)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (True, "returned bool"),
        ("ok", "returned str"),
        ({"status": "ok"}, "returned dict"),
        (["ok"], "returned str where a Result is expected"),
        (Result, "returned type"),
        (Result("great"), "returned the status 'great'"),  # type: ignore[arg-type]
        ([Result(instance="a"), Result(instance="a")], "two results of the instance 'a'"),
        ([Result(), Result()], "two results of the instance ''"),
    ],
)
def test_rubbish_is_unhealthy_and_says_what_was_expected(found: Any, said: str) -> None:
    (result,) = asked(lambda: found)
    assert result.status == "unhealthy"
    assert said in result.message


def test_endless_results_end() -> None:
    (result,) = asked(lambda: (Result(instance=str(number)) for number in itertools.count()))
    assert result.message == f"returned more than {MOST_RESULTS} results"


def test_what_was_observed_fits_into_json_whatever_it_is() -> None:
    circle: list[Any] = []
    circle.append(circle)
    observed: dict[Any, Any] = {
        "nan": float("nan"),
        "set": {1},
        "deep": [1, {"a": None}],
        "circle": circle,
        7: "seven",
    }
    (result,) = asked(lambda: Result(message="x" * 5000, observed=observed))
    assert result.status == "healthy"
    assert result.observed["nan"] is None
    assert result.observed["deep"] == [1, {"a": None}]
    assert result.observed["7"] == "seven"
    assert len(result.message) == LONGEST + 1
    json.dumps(dict(result.observed), allow_nan=False)


def test_an_asynchronous_check_that_hangs_is_cancelled() -> None:
    ended = []

    async def run() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    (result,) = asked(run, timeout_s=0.05)
    assert result.status == "unhealthy"
    assert ended == [True]


def test_a_time_out_is_said_in_plain_words() -> None:
    assert timed_out(2.0) == (Result("unhealthy", "did not come back within 2 s"),)


def test_nothing_that_a_check_calls_is_traced_and_its_connections_are_closed(
    migrated: Any,
) -> None:
    seen = []

    def run() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        seen.append(connection.connection)

    async def run_async() -> None:
        from asgiref.sync import sync_to_async

        await sync_to_async(run)()

    before = threading.active_count()
    with capture() as captured:
        assert asked(run)[0].status == "healthy"
        assert asked(run_async)[0].status == "healthy"
    assert captured.spans == []
    for opened in seen:
        with pytest.raises(Exception, match="closed"):
            opened.execute("SELECT 1")
    deadline_s = time.monotonic() + 10
    while threading.active_count() > before:  # asgiref's ends a moment after its context
        assert time.monotonic() < deadline_s
        time.sleep(0.005)
