"""A process that writes to a store: ``python -m tests.store_process <path> <traces> [endless]``.

Prints "ready" after the first batch and, at the end, how many spans it lost.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from otel_django.store.writer import StoreWriter
from tests.store_spans import Losses, SpanSource


def main(path: Path, traces: int, *, endless: bool) -> None:
    losses = Losses()
    writer = StoreWriter(path, retention_hours=24, max_mb=256, drops=losses)
    source = SpanSource()
    first = True
    while first or endless:
        for _ in range(traces // 10):
            for _ in range(10):
                source.request(queries=9)
            writer.accept(source.take())
            if first:
                first = False
                print("ready", flush=True)
    writer.close(time.monotonic() + 20)
    print(sum(losses.counts.values()), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), endless=len(sys.argv) > 3)
