"""Probes of real servers whose database, cache, broker and partner hang, are gone or are slow."""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.services_kit import (
    BUDGET_S,
    CHECKS,
    Probed,
    Services,
    gunicorn,
    probe,
    probe_on,
    quantile,
    services,
    uvicorn,
    wait_for,
    workers,
)
from tests.misbehaving import Proxy
from tests.server_process import Command, Server, serving

FAR_TOO_LATE_S = 2.0
DELAYS_S = {"database": 0.3, "cache": 0.15, "broker": 0.15, "http": 0.6}
"""Of each step: all of them take longer than an answer waits, and are within the time-out."""


class _Held(NamedTuple):
    threads: int
    descriptors: int


@pytest.fixture(scope="module")
def site() -> Iterator[Services]:
    with services() as made:
        yield made


@pytest.fixture
def well(site: Services) -> Iterator[Services]:
    yield site
    site.well()


@pytest.fixture(scope="module")
def four_workers(site: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with _served(gunicorn("--workers=4"), site, tmp_path_factory.mktemp("four")) as server:
        yield server


def _served(
    command: Command, site: Services, folder: Path, ttl: str = "1"
) -> AbstractContextManager[Server]:
    env = site.environ(OTEL_DJANGO_HEALTH_TTL=ttl, OTEL_DJANGO_RUN_DIR=str(folder))
    return serving(command, env)


def misbehave(name: str, proxy: Proxy, how: str) -> None:
    if how == "slow":
        proxy.delay(DELAYS_S[name])
    else:
        {"hangs": proxy.hang, "is gone": proxy.gone}[how]()


def is_well(found: Probed) -> bool:
    return found.status == 200 and all(
        each["status"] == "healthy" for each in found.checks.values()
    )


def assert_in_time(found: list[Probed]) -> None:
    """A machine that is busy with others is late now and then."""
    took_s = [each.took_s for each in found]
    assert quantile(took_s, 0.9) <= BUDGET_S, sorted(took_s)[-20:]
    assert max(took_s) <= FAR_TOO_LATE_S


@pytest.mark.parametrize("how", ["hangs", "is gone", "slow"])
@pytest.mark.parametrize("name", CHECKS)
def test_whatever_one_does_each_answer_is_in_time_and_right_and_others_are_unaffected(
    four_workers: Server, well: Services, name: str, how: str
) -> None:
    _one_misbehaves(four_workers, well, name, how)


@pytest.mark.parametrize("how", ["hangs", "is gone", "slow"])
def test_the_same_on_an_asynchronous_server(well: Services, tmp_path: Path, how: str) -> None:
    with _served(uvicorn, well, tmp_path) as server:
        _one_misbehaves(server, well, "cache", how)


def _one_misbehaves(server: Server, site: Services, name: str, how: str) -> None:
    check = CHECKS[name]
    wait_for(server, is_well)
    misbehave(name, site.proxies[name], how)
    found = probe_on(server, 4, 25, "/ready/", "/health/", "/livez")
    assert_in_time(found)
    assert {each.status for each in found if each.path == "/livez"} == {200}
    told = [each for each in found if each.path != "/livez"]
    others = [each.checks[other] for each in told for other in set(CHECKS.values()) - {check}]
    assert {each["status"] for each in others if "status" in each} == {"healthy"}
    fails = how != "slow"
    for each in told:
        ill = {name for name, one in each.checks.items() if one["status"] == "unhealthy"}
        assert ill & set(CHECKS.values()) <= ({check} if fails else set())
        assert (each.status == 503) == any(each.checks[one]["critical"] for one in ill), each
    assert told[-1].checks[check]["status"] == ("unhealthy" if fails else "healthy")
    if how != "is gone":  # meanwhile it is shown what was found last, and how old that is
        assert any(each.checks[check].get("running_s", 0) > 0 for each in told)
        assert all(each.checks[check]["age_s"] > 0 for each in told)


def test_with_database_cache_and_broker_down_only_liveness_is_well(
    four_workers: Server, well: Services
) -> None:
    wait_for(four_workers, is_well)
    for name, how in (("database", "is gone"), ("cache", "hangs"), ("broker", "is gone")):
        misbehave(name, well.proxies[name], how)
    down = {CHECKS[name] for name in ("database", "cache", "broker")}

    def named(found: Probed) -> set[str]:
        return {name for name, each in found.checks.items() if each["status"] == "unhealthy"}

    known = wait_for(four_workers, lambda found: named(found) == down)
    assert known.status == 503
    assert four_workers.get("/livez").body == b"OK"
    for path in ("/ready/", "/health/"):
        told = four_workers.get(path)
        assert told.status == 503
        assert json.loads(told.body).keys() == {"status", "timestamp"}
        assert json.loads(told.body)["status"] == "unhealthy"
        assert not {"Server-Version", "X-Powered-By"} & set(told.headers)


def test_10_000_probes_leave_no_thread_descriptor_or_connection(
    four_workers: Server, well: Services
) -> None:
    before = _held_after(four_workers, well, probes=200)
    after = _held_after(four_workers, well, probes=10_000)
    assert after.keys() == before.keys()
    assert all(_is_no_more(held, before[pid]) for pid, held in after.items()), (before, after)


def _held_after(server: Server, site: Services, probes: int) -> dict[int, _Held]:
    """What the workers have open after so many, in which a service hangs and another is gone."""
    wait_for(server, is_well)
    site.proxies["cache"].hang()
    site.proxies["broker"].gone()
    assert_in_time(probe_on(server, probes / 400, 400))
    site.well()
    wait_for(server, is_well)
    _settle(server, site)
    return {
        pid: _Held(_count(f"/proc/{pid}/task"), _count(f"/proc/{pid}/fd"))
        for pid in workers(server)
    }


def _count(folder: str) -> int:
    return sum(1 for _ in Path(folder).iterdir())


def _is_no_more(held: _Held, before: _Held) -> bool:
    """Telemetry's own thread begins when there is something to send, and has a descriptor."""
    return held.threads <= before.threads + 1 and held.descriptors <= before.descriptors + 2


def _settle(server: Server, site: Services) -> None:
    """Until no check is under way: none is begun while nobody asks."""
    for each in site.proxies.values():
        each.wait_until(lambda proxy: proxy.open == 0, timeout_s=10)
    deadline_s = time.monotonic() + 10
    while any(_is_checking(pid) for pid in workers(server)) and time.monotonic() < deadline_s:
        time.sleep(0.1)


def _is_checking(pid: int) -> bool:
    return any(
        path.joinpath("comm").read_text().startswith("otel_django-hea")
        for path in Path(f"/proc/{pid}/task").iterdir()
    )


def test_N1_50_probes_a_second_ask_each_service_once_a_ttl(site: Services, tmp_path: Path) -> None:
    site.well()
    ttl_s, seconds = 5.0, 15.0
    with _served(gunicorn("--workers=4"), site, tmp_path, ttl=f"{ttl_s:g}") as server:
        before = {name: each.connections for name, each in site.proxies.items()}
        found = probe_on(server, seconds, 50)
        asked = {name: each.connections - before[name] for name, each in site.proxies.items()}
    assert {each.status for each in found[1:]} == {200}
    runs = {**asked, "database": asked["database"] / 2}  # of two aliases
    assert all(1 <= each <= seconds / ttl_s + 1 for each in runs.values()), asked
    assert max(runs.values()) < 0.01 * len(found)


def test_a_full_check_is_at_most_ten_queries(site: Services, tmp_path: Path) -> None:
    import psycopg

    site.well()
    with _served(gunicorn(), site, tmp_path, ttl="600") as server:
        at = f"host=127.0.0.1 port={site.proxies['database'].port} user=postgres"
        with psycopg.connect(at, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET log_statement = 'all'")
            connection.execute("SELECT pg_reload_conf()")
            time.sleep(0.5)
            before = _statements(site)
            found = probe(server, "/health/")
            time.sleep(0.5)
            asked = _statements(site)[len(before) :]
            connection.execute("ALTER SYSTEM RESET log_statement")
            connection.execute("SELECT pg_reload_conf()")
    assert found.checks["database"]["instances"].keys() == {"default", "other"}
    assert found.checks["migrations"]["status"] == "healthy"
    assert 4 <= len(asked) <= 10, asked


def _statements(site: Services) -> list[str]:
    lines = site.database_log.read_text(errors="replace").splitlines()
    return [line for line in lines if "statement: " in line]


def test_when_the_worker_that_asks_is_killed_another_goes_on_and_nothing_false_is_shown(
    four_workers: Server, well: Services, tmp_path_factory: pytest.TempPathFactory
) -> None:
    wait_for(four_workers, is_well)
    cache = well.proxies["cache"]
    cache.hang()
    folder = next(tmp_path_factory.getbasetemp().glob("four*"))
    asker = _asker(four_workers, folder)
    os.kill(asker, signal.SIGKILL)
    cache.pass_on()
    deadline_s = time.monotonic() + 5
    shown = []
    while time.monotonic() < deadline_s:
        shown.append(_again(four_workers))
    assert {each.checks["cache"]["status"] for each in shown} == {"healthy"}
    assert {each.status for each in shown} == {200}
    assert min(each.checks["cache"]["age_s"] for each in shown) < 1
    assert asker not in workers(four_workers)


def _again(server: Server) -> Probed:
    """A connection that the killed worker had taken is broken."""
    for _ in range(10):
        try:
            return probe(server)
        except OSError:
            time.sleep(0.05)
    raise AssertionError("no answer")


def _asker(server: Server, folder: Path) -> int:
    """Who holds the lock of the check of the cache."""
    [lock] = folder.rglob("health-cache.lock")
    inode = lock.stat().st_ino
    for _ in itertools.repeat(None, 100):
        probe(server)
        for line in Path("/proc/locks").read_text().splitlines():
            _, _, _, _, pid, place, *_ = line.replace("-> ", "").split()
            if place.endswith(f":{inode}") and int(pid) in workers(server):
                return int(pid)
        time.sleep(0.05)
    raise AssertionError("nobody asks")
