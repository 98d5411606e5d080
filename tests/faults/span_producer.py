"""Records spans as fast as it can, in several processes: run by ``test_load``.

    python span_producer.py PROCESSES SPANS_EACH THREADS

Ids are written to standard output as the count of spans each process ended, and nothing else.
"""

from __future__ import annotations

import os
import sys
import threading
import time


def produce(count: int, pace_s: float) -> None:
    """End ``count`` spans of about the usual size; ``pace_s``: a rest after each hundred."""
    from opentelemetry import trace

    tracer = trace.get_tracer("load")
    for number in range(count):
        with tracer.start_as_current_span("work") as span:
            span.set_attribute("number", number)
            span.set_attribute("text", "some text of an ordinary length")
        if pace_s and number % 100 == 0:
            time.sleep(pace_s)


def main() -> None:
    """Fork the processes after Django is set up, wait for all, leave in an orderly way."""
    import django

    django.setup()
    processes, count, threads = (int(argument) for argument in sys.argv[1:4])
    pace_s = float(sys.argv[4]) if len(sys.argv) > 4 else 0.0
    children = []
    for _ in range(processes):
        child = os.fork()
        if child == 0:
            workers = [
                threading.Thread(target=produce, args=(count // threads, pace_s))
                for _ in range(threads)
            ]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            from otel_django import bootstrap

            bootstrap.flush(60.0)
            running = bootstrap.runtime()
            assert running is not None
            print(os.getpid(), running.drops.snapshot(), flush=True)
            sys.exit(0)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    sys.exit(max(codes))


if __name__ == "__main__":
    main()
