"""``manage.py otel health``, in process."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from django.core.management import CommandError, call_command

from otel_django.health import CheckError, Result
from tests.health_kit import Add, only_checks_of_the_test


class Ran(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def site(tmp_path: Path) -> Iterator[None]:
    with only_checks_of_the_test(tmp_path):
        yield


def health(*arguments: str) -> Ran:
    out, err = io.StringIO(), io.StringIO()
    code = 0
    try:
        call_command("otel", "health", *arguments, stdout=out, stderr=err)
    except SystemExit as ended:
        code = int(ended.code or 0)
    return Ran(code, out.getvalue(), err.getvalue())


def broken() -> None:
    raise CheckError("refused")


def test_healthy_and_degraded_end_with_0(add: Add) -> None:
    add("orders", lambda: None)
    assert health().code == 0
    add("mail", broken, critical=False)
    ran = health("--group", "ready")
    assert ran.code == 0
    first, *lines = ran.out.splitlines()
    assert first == "ready: degraded"
    assert [line.split()[0] for line in lines] == ["orders", "mail"]
    assert lines[1].endswith("refused")


def test_unhealthy_ends_with_1(add: Add) -> None:
    add("orders", broken)
    assert health("--group", "ready").code == 1
    assert health("--group", "startup").code == 0
    assert health("--check", "orders").code == 1


def test_json_is_the_whole_report(add: Add) -> None:
    add("orders", lambda: Result("degraded", "slow", {"duration_ms": 3}))
    ran = health("--json")
    report = json.loads(ran.out)
    assert (ran.code, report["status"]) == (0, "degraded")
    assert report["checks"]["orders"]["observed"] == {"duration_ms": 3}


def test_checks_are_named_one_by_one_or_with_commas(add: Add) -> None:
    for name in ("orders", "mail", "stock"):
        add(name, lambda: None)
    for arguments in (["orders,stock"], ["orders", "stock"], ["orders", "--check", "stock"]):
        told = json.loads(health("--json", "--check", *arguments).out)
        assert told["checks"].keys() == {"orders", "stock"}


def test_wrong_use_ends_with_2_and_says_what_there_is(add: Add) -> None:
    add("orders", lambda: None)
    ran = health("--check", "nothing")
    assert ran.code == 2
    assert "nothing" in ran.err
    assert "orders" in ran.err
    for arguments in (["--group", "nothing"], ["--wait", "soon"], ["--wait", "-1"]):
        with pytest.raises(CommandError):
            health(*arguments)


def test_it_waits_for_checks_longer_than_a_probe_does(add: Add) -> None:
    def slow() -> None:
        time.sleep(0.6)

    add("slow", slow)
    ran = health()
    assert ran.code == 0
    assert "pending" not in ran.out


def test_it_waits_until_what_is_critical_works_and_says_for_what(add: Add) -> None:
    asked = iter([False, True])

    def starts() -> None:
        if not next(asked):
            raise CheckError("is starting")

    add("orders", starts, ttl_s=0.2)
    ran = health("--wait", "30")
    assert ran.code == 0
    assert ran.out.splitlines()[0] == "0 s: waiting for orders (is starting)"


def test_it_waits_no_longer_than_told(add: Add) -> None:
    add("orders", broken, ttl_s=0.2)
    ran = health("--wait", "1s", "--json")
    assert ran.code == 1
    assert json.loads(ran.out)["status"] == "unhealthy"
    assert ran.err.splitlines() == ["0 s: waiting for orders (refused)"]


def test_a_check_that_hangs_has_failed_after_its_timeout(
    add: Add, hang: Callable[[], None]
) -> None:
    add("hangs", hang, timeout_s=0.2)
    ran = health()
    assert ran.code == 1
    assert "did not come back within 0.2 s" in ran.out
