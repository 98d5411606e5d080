"""Each of the four is killed under load, is away for a minute and comes back: nothing is lost."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.integration.shop_kit import shop
from tests.stack.conftest import exporting_to
from tests.stack.load_kit import Arrived, Load
from tests.stack.stack_kit import Stack, wait_until

OUTAGE_S = 60.0


@pytest.mark.parametrize("away", ["jaeger", "loki", "prometheus", "collector"])
def test_nothing_is_lost_while_it_is_away(away: str, programs: Stack, tmp_path: Path) -> None:
    service, began_s = f"without-{away}", time.time()
    env = {**exporting_to(programs.collector), "OTEL_SERVICE_NAME": service}
    with shop(tmp_path, "--workers", "2", more_env=env) as site:
        load = Load(site.server.port)
        with load.coming():
            time.sleep(5)  # under way before it goes
            getattr(programs, away).kill()
            time.sleep(OUTAGE_S)
            getattr(programs, away).start()
            time.sleep(5)
        sent, arrived = load.counts(), Arrived(programs, service, began_s)

        assert load.unanswered() == 0
        wait_until(lambda: arrived.in_prometheus() == sent, 60, "the metrics")
        wait_until(lambda: arrived.in_loki() == sent.total(), 60, "the lines")
        wait_until(lambda: arrived.in_jaeger() == sent, 180, "the spans")
