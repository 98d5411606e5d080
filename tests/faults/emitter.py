"""A process that ends numbered spans at a steady rate, with the package's own pipeline.

``python emitter.py FOLDER RATE SECONDS`` with the usual variables; it prints, flushed, a line
``<wall time> <spans ended so far>`` about every 50 ms, ``done`` after the last span, and at its
end, as the last line, what was dropped as JSON.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import time
from pathlib import Path

from opentelemetry import trace

from otel_django import bootstrap, conf


def main() -> None:
    folder, rate, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    settings = conf.load(os.environ, {}, base_dir=folder, debug=False, settings_module=None)
    atexit.register(report)  # before the runtime's own hook, so run after it
    bootstrap.start(settings)
    tracer = trace.get_tracer("emitter")
    started_s = time.monotonic()
    ended = 0
    while (passed_s := time.monotonic() - started_s) < seconds:
        while ended < passed_s * rate:
            tracer.start_span("numbered", attributes={"number": ended}).end()
            ended += 1
        print(time.time(), ended, flush=True)
        time.sleep(0.05)
    print(time.time(), ended)
    print("done", flush=True)


def report() -> None:
    runtime = bootstrap.runtime()
    drops = {} if runtime is None else runtime.drops.snapshot()
    print(json.dumps({f"{name}.{cause}": count for (name, cause), count in drops.items()}))


if __name__ == "__main__":
    main()
