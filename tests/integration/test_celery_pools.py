"""The same tasks under every pool give the same spans as under prefork."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.celery_workers import (
    APP,
    celery_env,
    migrate,
    publish,
    redis_conf,
    wait_until_done,
    working,
)
from tests.integration.servers import Server
from tests.stub_collector import StubCollector

POOLS = ["prefork", "threads", "solo", "gevent", "eventlet"]
CASES = 9
UNSET, ERROR = 0, 2

DIFFERENT_EACH_TIME = {
    "messaging.message.id",
    "celery.task.queue_wait",
    "celery.task.root_id",
    "celery.task.parent_id",
    "celery.task.group_id",
}

_RUN = ["send add", ["process add"]]
_QUERY = ["CONNECT", "SELECT test_site_author"]
_LAST = ["send query", ["process query", _QUERY]]
EXPECTED: Final[dict[str, list[Any]]] = {
    "case success": _RUN,
    "case failure": ["send fail", ["process fail"]],
    "case retry": ["send retry", ["process retry", ["send retry", ["process retry"]]]],
    "case chain": ["send add", ["process add", ["send add", ["process add", _LAST]]]],
    "case group": [*_RUN, *_RUN, *_RUN],
    "case chord": ["send add", ["process add", ["send total", ["process total"]]], *_RUN],
    "case nested": [
        "send nested",
        ["process nested", [*_QUERY, "SELECT test_site_author", *_LAST]],
    ],
    "case reject": ["send reject", ["process reject"]],
    "case ignore": ["send ignore", ["process ignore"]],
}
"""The names in each case's tree, as ``words`` gives them."""

Tree = tuple[Any, ...]


def trees(spans: list[dict[str, Any]]) -> dict[str, Tree]:
    """The tree of each case by its name, without what is different each time."""
    below: dict[str, list[dict[str, Any]]] = {}
    for span in spans:
        below.setdefault(span["parent_span_id"], []).append(span)

    def tree(span: dict[str, Any]) -> Tree:
        attributes = {
            key: "some" if key in DIFFERENT_EACH_TIME else value
            for key, value in span["attributes"].items()
        }
        return (
            span["name"],
            span["kind"],
            span["status"]["code"],
            sorted(attributes.items(), key=repr),
            [event["name"] for event in span["events"]],
            len(span["links"]),
            sorted((tree(child) for child in below.get(span["span_id"], [])), key=repr),
        )

    known = {span["span_id"] for span in spans}
    roots = [span for span in spans if span["parent_span_id"] not in known]
    return {root["name"]: tree(root) for root in roots}


def outcomes(pool: str, redis: Server, folder: Path) -> list[dict[str, Any]]:
    """All spans of all cases under a pool."""
    with StubCollector() as collector:
        env = celery_env(collector, folder, redis_conf(redis))
        migrate(env)
        with working(env, "--pool", pool, "--concurrency", "2") as worker:
            publish("outcomes", env=env)
            wait_until_done(collector, CASES)
            worker.terminate()
        return collector.spans()


@pytest.fixture(scope="module")
def under_prefork(redis: Server, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return outcomes("prefork", redis, tmp_path_factory.mktemp("prefork"))


def words(tree: Tree) -> list[Any]:
    """The names below a tree's root, each followed by the list of those below it."""
    found: list[Any] = []
    for child in tree[-1]:
        found.append(child[0].replace(f"{APP}.", ""))
        if child[-1]:
            found.append(words(child))
    return found


def test_prefork_gives_each_case_its_tree(under_prefork: list[dict[str, Any]]) -> None:
    assert {name: words(tree) for name, tree in trees(under_prefork).items()} == EXPECTED
    states = {
        span["attributes"]["celery.task.name"].rpartition(".")[2]: (
            span["attributes"]["celery.task.state"],
            span["status"]["code"],
        )
        for span in under_prefork
        if span["name"].startswith("process ")
    }
    assert states == {
        "add": ("SUCCESS", UNSET),
        "total": ("SUCCESS", UNSET),
        "query": ("SUCCESS", UNSET),
        "nested": ("SUCCESS", UNSET),
        "fail": ("FAILURE", ERROR),
        "retry": ("SUCCESS", UNSET),
        "reject": ("REJECTED", UNSET),
        "ignore": ("IGNORED", UNSET),
    }


def test_the_soft_limit_of_prefork_fails_the_run(redis: Server, tmp_path: Path) -> None:
    with StubCollector() as collector:
        env = celery_env(collector, tmp_path, redis_conf(redis))
        with working(env, "--concurrency", "1"):
            publish("soft_limit", env=env)
            spans = wait_until_done(collector, 1)
    (run,) = [span for span in spans if span["name"].startswith("process ")]
    assert run["status"]["code"] == ERROR
    assert run["attributes"]["celery.task.state"] == "FAILURE"
    assert run["attributes"]["error.type"] == "billiard.exceptions.SoftTimeLimitExceeded"


@pytest.mark.parametrize("pool", [pool for pool in POOLS if pool != "prefork"])
def test_another_pool_gives_the_same_trees(
    pool: str, under_prefork: list[dict[str, Any]], redis: Server, tmp_path: Path
) -> None:
    expected = trees(under_prefork)
    found = trees(outcomes(pool, redis, tmp_path))
    assert found.keys() == expected.keys()
    for case, tree in expected.items():
        assert words(found[case]) == words(tree)
        assert found[case] == tree
