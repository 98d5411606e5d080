"""Each of the four is killed under load, is away for a minute and comes back: nothing is lost."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.integration.shop_kit import shop
from tests.stack.load_kit import Arrived, Load
from tests.stack.stack_kit import Stack, exporting_to

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

        assert load.unanswered() == 0
        Arrived(programs, service, began_s).wait_for(load.counts())
