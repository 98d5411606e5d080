"""Counting what was lost and saying so."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from otel_django.pipeline.drops import Drops

if TYPE_CHECKING:
    import pytest


def test_counts_by_signal_and_cause() -> None:
    drops = Drops()
    drops.add("traces", "queue_full", 3)
    drops.add("traces", "queue_full", 4)
    drops.add("logs", "rejected", 1)
    drops.add("logs", "shutdown", 0)
    assert drops.snapshot() == {("traces", "queue_full"): 7, ("logs", "rejected"): 1}


def test_P2_a_loss_is_reported_at_once_and_then_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    drops = Drops()
    with caplog.at_level(logging.WARNING, "otel_django"):
        drops.report(0.0)
        assert not caplog.records
        drops.add("traces", "queue_full", 3)
        drops.report(1.0)
        drops.add("traces", "queue_full", 2)
        drops.add("traces", "rejected", 1)
        drops.report(60.0)
        assert [record.getMessage() for record in caplog.records] == [
            "telemetry.dropped: traces.queue_full 3"
        ]
        drops.report(61.0)
        drops.report(200.0)
    assert caplog.records[1].getMessage() == (
        "telemetry.dropped: traces.queue_full 2, traces.rejected 1"
    )
    assert len(caplog.records) == 2


def test_the_last_report_of_a_process_does_not_wait_for_its_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    drops = Drops()
    drops.add("traces", "rejected", 1)
    drops.report(0.0)
    drops.add("traces", "shutdown", 9)
    drops.report(float("inf"))
    assert caplog.records[-1].getMessage() == "telemetry.dropped: traces.shutdown 9"


def test_a_forked_child_starts_from_nothing() -> None:
    drops = Drops()
    drops.add("traces", "rejected", 1)
    drops.after_fork()
    assert drops.snapshot() == {}
