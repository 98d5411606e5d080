"""A process that writes to a store: ``python -m tests.store_process <path> <traces> [endless]``.

Prints "ready" after the first batch and, at the end, how much it lost.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from otel_django.store.metric_writer import MetricWriter
from otel_django.store.writer import LogWriter, StoreWriter
from tests.store_logs import record
from tests.store_metrics import counter, of
from tests.store_spans import Losses, SpanSource


def main(path: Path, traces: int, *, endless: bool) -> None:
    losses = Losses()
    writer = StoreWriter(path, retention_hours=24, max_mb=256, drops=losses)
    logs = LogWriter(writer.file, drops=losses)
    metrics = MetricWriter(writer.file, drops=losses)
    source = SpanSource()
    instance = f"process {os.getpid()}"
    first = True
    while first or endless:
        for _ in range(traces // 10):
            for _ in range(10):
                source.request(queries=9)
            writer.accept(source.take())
            logs.accept([record(f"message {index}") for index in range(10)])
            metrics.take([of(counter(time.monotonic(), time.time_ns()), instance=instance)])
            if first:
                first = False
                print("ready", flush=True)
    for each in (writer, logs, metrics):
        each.close(time.monotonic() + 20)
    print(sum(losses.counts.values()), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), endless=len(sys.argv) > 3)
