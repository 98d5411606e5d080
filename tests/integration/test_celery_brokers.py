"""One trace from the publish through the worker on real brokers, whatever route a task takes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.celery_workers import (
    celery_env,
    filesystem_conf,
    publish,
    rabbitmq_conf,
    redis_conf,
    wait_until_done,
    working,
)
from tests.integration.servers import Server
from tests.stub_collector import StubCollector

BROKERS = ["redis", "rabbitmq", "filesystem"]
PRODUCER, CONSUMER = 4, 5
Spans = dict[str, tuple[dict[str, Any], dict[str, Any]]]


@pytest.fixture(scope="module", params=BROKERS)
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Its name, the configuration for it, and the address spans are to show."""
    name = request.param
    if name == "filesystem":
        return name, filesystem_conf(tmp_path_factory.mktemp("broker")), {}
    server: Server = request.getfixturevalue(name)
    conf = {"redis": redis_conf, "rabbitmq": rabbitmq_conf}[name](server)
    return name, conf, {"server.address": server.host, "server.port": server.port}


@pytest.fixture(scope="module")
def routed(broker: Any, tmp_path_factory: pytest.TempPathFactory) -> Spans:
    """The spans of each case: of its publish and of its run."""
    _, conf, _ = broker
    with StubCollector() as collector:
        env = celery_env(collector, tmp_path_factory.mktemp("routes"), conf)
        with working(env, "--concurrency", "2") as worker:
            publish("routes", env=env)
            spans = wait_until_done(collector, 7)
            worker.terminate()
        assert len(collector.spans()) == len(spans) == 21
    found: Spans = {}
    for root in spans:
        if root["name"].startswith("case "):
            (sent,) = [span for span in spans if span["parent_span_id"] == root["span_id"]]
            (run,) = [span for span in spans if span["parent_span_id"] == sent["span_id"]]
            assert root["trace_id"] == sent["trace_id"] == run["trace_id"]
            found[root["name"].removeprefix("case ")] = (sent, run)
    return found


def test_C5_publish_and_run_follow_the_messaging_conventions(broker: Any, routed: Spans) -> None:
    name, _, address = broker
    sent, run = routed["plain"]
    assert (sent["name"], sent["kind"]) == ("send tests.integration.jobs.add", PRODUCER)
    assert (run["name"], run["kind"]) == ("process tests.integration.jobs.add", CONSUMER)
    message_id = sent["attributes"]["messaging.message.id"]
    common = {
        "messaging.system": name,
        "messaging.destination.name": "jobs",
        "messaging.message.id": message_id,
        "celery.task.name": "tests.integration.jobs.add",
    }
    assert without_priority(sent) == {
        **common,
        **address,
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
    }
    attributes = without_priority(run)
    assert 0 <= attributes.pop("celery.task.queue_wait") < 10
    assert attributes.pop("celery.worker").startswith("celery@")
    assert attributes == {
        **common,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "celery.task.state": "SUCCESS",
    }


def without_priority(span: dict[str, Any]) -> dict[str, Any]:
    """Virtual transports set a priority of their own where none was asked for."""
    return {key: value for key, value in span["attributes"].items() if "priority" not in key}


def test_the_destination_is_the_queue_on_both_sides(routed: Spans) -> None:
    destinations = {
        case: [span["attributes"]["messaging.destination.name"] for span in pair]
        for case, pair in routed.items()
    }
    assert destinations == {
        "plain": ["jobs", "jobs"],
        "queue": ["urgent", "urgent"],
        "topic": ["report.daily", "report.daily"],
        "topic by queue": ["reports", "reports"],
        "countdown": ["jobs", "jobs"],
        "eta": ["jobs", "jobs"],
        "headers": ["jobs", "jobs"],
    }


def test_a_priority_is_told_on_both_sides(routed: Spans) -> None:
    sent, run = routed["queue"]
    assert sent["attributes"]["celery.task.priority"] == 5
    assert run["attributes"]["celery.task.priority"] == 5


def test_the_wait_for_a_later_time_is_not_a_wait_in_the_queue(routed: Spans) -> None:
    for case in ("countdown", "eta"):
        sent, run = routed[case]
        assert sent["attributes"]["celery.task.eta"] == run["attributes"]["celery.task.eta"]
        assert run["start_ns"] - sent["start_ns"] > 0.9e9
        assert run["attributes"]["celery.task.queue_wait"] < 0.9
    sent, run = routed["countdown"]
    assert sent["attributes"]["celery.task.countdown"] == 1
    assert sent["attributes"]["celery.task.expires"] == run["attributes"]["celery.task.expires"]


def test_headers_of_the_site_arrive_with_ours(routed: Spans) -> None:
    _, run = routed["headers"]
    assert run["attributes"]["celery.task.state"] == "SUCCESS"
