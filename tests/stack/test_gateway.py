"""An agent before two gateways: what is kept of traces, metrics and logs, quietly and when killed.

About a minute in all.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.stack.gateway_kit import (
    DECISION_WAIT_S,
    SHARE,
    SPANS_A_TRACE,
    Sender,
    Sent,
    Tier,
    tier,
)
from tests.stack.stack_kit import wait_until

DEADLINE_S = 60.0
CHECKED_S = 3.0  # tail sampling looks once a second for what is due, and batches take a moment


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tier]:
    """An agent, two gateways, Jaeger."""
    with tier(tmp_path_factory.mktemp("tier")) as started:
        yield started


def whole(programs: Tier, sent: Sent) -> set[str]:
    """The traces that Jaeger has with all their spans."""
    kept = programs.kept(sent)
    return {trace_id for trace_id, count in kept.items() if count == SPANS_A_TRACE}


def wait_for_all(programs: Tier, sent: Sent) -> None:
    """Until each span has reached a gateway, each point and line the end."""
    numbers = set(range(sent.numbers))
    spans = SPANS_A_TRACE * len(sent.traces)
    wait_until(
        lambda: len(set(programs.spans_that_reached(sent))) == spans, DEADLINE_S, "the spans"
    )
    wait_until(lambda: set(programs.numbers_in_metrics(sent)) == numbers, DEADLINE_S, "the metrics")
    wait_until(lambda: set(programs.numbers_in_logs(sent)) == numbers, DEADLINE_S, "the lines")


def reaches_one_gateway_each(programs: Tier, sent: Sent) -> bool:
    """Whether each trace is at one gateway, and both have some."""
    where = programs.where(sent)
    return len(where) == len(sent.traces) and {frozenset(at) for at in where.values()} == {
        frozenset({0}),
        frozenset({1}),
    }


def test_what_matters_is_kept_of_the_traces_and_all_of_the_rest(programs: Tier) -> None:
    sender = Sender("quiet", programs.agent)
    sender.send(ticks=150)
    sent = sender.sent
    wait_for_all(programs, sent)
    matter, usual = sent.those("error", "slow"), sent.those("usual")

    assert reaches_one_gateway_each(programs, sent)
    assert max(Counter(programs.spans_that_reached(sent)).values()) == 1
    assert programs.numbers_in_metrics(sent) == list(range(sent.numbers))
    assert sorted(programs.numbers_in_logs(sent)) == list(range(sent.numbers))
    wait_until(lambda: matter <= whole(programs, sent), DEADLINE_S, "errors and slow ones")
    time.sleep(CHECKED_S)  # for what should not come
    kept = programs.kept(sent)
    assert set(kept.values()) == {SPANS_A_TRACE}
    assert SHARE / 2 < len(kept.keys() & usual) / len(usual) < SHARE * 2
    spans = SPANS_A_TRACE * len(sent.traces)
    wait_until(lambda: programs.calls(sent) == spans, DEADLINE_S, "span metrics of all spans")


def test_a_killed_gateway_loses_only_what_waited_for_its_decision(programs: Tier) -> None:
    sender = Sender("gateway-killed", programs.agent)
    gateway = programs.gateways[0]
    with sender.sending():
        time.sleep(DECISION_WAIT_S + 2 * CHECKED_S)
        gateway.kill()
        killed_s = time.time()
        time.sleep(6)
        gateway.start()
        time.sleep(2)
    sent = sender.sent
    wait_for_all(programs, sent)
    where, matter = programs.where(sent), sent.those("error", "slow")
    waited = {
        trace_id
        for trace_id in matter
        if 0 in where[trace_id]
        and -DECISION_WAIT_S - CHECKED_S < sent.at_s[trace_id] - killed_s < CHECKED_S
    }
    wait_until(lambda: matter - waited <= whole(programs, sent), DEADLINE_S, "errors and slow ones")
    lost = matter - whole(programs, sent)
    twice = Counter(programs.spans_that_reached(sent))
    print(
        f"{len(lost)} of {len(matter)} traces lost that matter, {len(waited)} at risk; "
        f"{sum(count > 1 for count in twice.values())} of {len(twice)} spans came twice or more, "
        f"at most {max(twice.values())} times"
    )

    assert reaches_one_gateway_each(programs, sent)
    assert lost <= waited


def test_a_killed_agent_sends_what_it_took_when_it_is_back(programs: Tier) -> None:
    sender = Sender("agent-killed", programs.agent)
    for gateway in programs.gateways:
        gateway.kill()
    sender.send(ticks=50)  # to the agent's disk, as no gateway is there
    with sender.sending():
        time.sleep(1)
        programs.agent.kill()
        programs.agent.start()
        time.sleep(1)
    assert not programs.spans_that_reached(sender.sent)
    for gateway in programs.gateways:
        gateway.launch()
    for gateway in programs.gateways:
        gateway.wait_until_ready()
    sent = sender.sent
    wait_for_all(programs, sent)

    assert reaches_one_gateway_each(programs, sent)
    matter = sent.those("error", "slow")
    wait_until(lambda: matter <= whole(programs, sent), DEADLINE_S, "errors and slow ones")
