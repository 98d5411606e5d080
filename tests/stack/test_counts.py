"""As many are found as were sent."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.integration.shop_kit import shop
from tests.stack.load_kit import Arrived, ask_for
from tests.stack.stack_kit import Stack, exporting_to

REQUESTS = int(os.environ.get("TESTS_STACK_REQUESTS", "10000"))


def test_all_requests_are_the_same_number_everywhere(programs: Stack, tmp_path: Path) -> None:
    began_s = time.time()
    env = {**exporting_to(programs.collector), "OTEL_SERVICE_NAME": "counted"}
    with shop(tmp_path, "--workers", "2", more_env=env) as site:
        sent = ask_for(site.server.port, REQUESTS)

        assert sent.total() == REQUESTS
        Arrived(programs, "counted", began_s).wait_for(sent)
