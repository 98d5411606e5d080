"""Sentry's SDK with its Django integration, at the sample rate in ``BENCH_SAMPLE_RATE``."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from benchmarks.site.observers import Observer


class Sentry(Observer):
    def configure(self, settings: dict[str, Any]) -> None:
        import_module("sentry_sdk").init(
            traces_sample_rate=float(os.environ["BENCH_SAMPLE_RATE"]),
            # One item a request: the default of 100 can't hold a burst.
            transport_queue_size=2000,
        )

    def flush(self) -> None:
        import_module("sentry_sdk").flush(timeout=30)


observer = Sentry()
