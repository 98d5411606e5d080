"""Real Celery workers, each a process group of its own, that export to a stub collector.

    with StubCollector() as collector, celery_worker(tmp_path, collector) as worker:
        sent = worker.send("work", 3)
        runs = worker.runs(sent)          # the spans "process …" of that task, when there is one
        worker.stop()

By default broker and results lie in the file system; ``broker`` and ``backend`` take other URLs.
Each task is sent below a remote span of its own, so that every span can be told whose it is.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from celery import Celery

from tests.server_process import ROOT, children_of
from tests.stub_collector import StubCollector

SPAN = dict[str, Any]
MODULE = "tests.celery_site.app"


class Sent(NamedTuple):
    """A task that was sent, and the span it was sent from."""

    id: str
    trace_id: str
    span_id: str


def _remote_span() -> tuple[dict[str, str], str, str]:
    """Headers that name a span of somebody else's, and its ids."""
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    return {"traceparent": f"00-{trace_id}-{span_id}-01"}, trace_id, span_id


class CeleryWorker:
    """A running worker; ``client`` is an app that sends to it, ``log`` its output.

    ``environ`` is what it was started with.
    """

    def __init__(self, folder: Path, collector: StubCollector, client: Celery) -> None:
        self.folder = folder
        self.collector = collector
        self.client = client
        self.log = folder / "worker.log"
        self.process: subprocess.Popen[bytes]
        self.environ: dict[str, str] = {}

    # --- the process

    def start(self, options: tuple[str, ...], environ: dict[str, str]) -> None:
        """Start it (again) and wait until it takes tasks."""
        self.environ = environ
        command = [sys.executable, "-m", "celery", "-A", MODULE, "worker", *options]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environ,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wait_for(lambda: " ready." in self.output(), 30)

    @property
    def children(self) -> list[int]:
        """The pool's processes."""
        return children_of(self.process.pid)

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 30.0) -> float:
        """Ask it to stop; how many seconds it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout_s)
        return time.monotonic() - began

    def kill(self) -> None:
        """SIGKILL to the whole process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def output(self) -> str:
        """What it has printed."""
        return self.log.read_text(errors="replace")

    def wait_for(self, condition: Callable[[], Any], timeout_s: float = 15.0) -> None:
        """Until ``condition`` holds.

        Raises:
            AssertionError: after ``timeout_s``, or when the worker has ended.
        """
        deadline = time.monotonic() + timeout_s
        while not condition():
            if self.process.poll() is not None and not condition():
                raise AssertionError("the worker has ended")
            assert time.monotonic() < deadline, f"not within {timeout_s} s"
            time.sleep(0.05)

    # --- tasks

    def send(self, task: str, *args: Any, **options: Any) -> Sent:
        """Send a task of the test app by its function's name."""
        headers, trace_id, span_id = _remote_span()
        result = self.client.send_task(f"{MODULE}.{task}", args, headers=headers, **options)
        return Sent(result.id, trace_id, span_id)

    def send_raw(self, task: str, body: bytes, more: dict[str, str]) -> Sent:
        """Send a JSON message as it is, with ``more`` headers than its task and id."""
        headers, trace_id, span_id = _remote_span()
        task_id = secrets.token_hex(8)
        headers.update({"task": f"{MODULE}.{task}", "id": task_id, "lang": "py", **more})
        with self.client.producer_or_acquire() as producer:
            producer.publish(
                body,
                routing_key=self.client.conf.task_default_queue,
                exchange="",
                headers=headers,
                content_type="application/json",
                content_encoding="utf-8",
                declare=[self.client.amqp.queues[self.client.conf.task_default_queue]],
            )
        return Sent(task_id, trace_id, span_id)

    def control_commands(self) -> list[str]:
        """What the worker was told by remote control, by whomever; for a broker in a folder."""
        messages = self.folder.glob("processed/*.pidbox.msg")
        bodies = [json.loads(message.read_text())["body"] for message in messages]
        return [json.loads(base64.b64decode(body))["method"] for body in bodies]

    # --- spans

    def spans(self, sent: Sent) -> list[SPAN]:
        """Every span of a task's trace, duplicates too."""
        return [span for span in self.collector.spans() if span["trace_id"] == sent.trace_id]

    def runs(self, sent: Sent, count: int = 1, timeout_s: float = 15.0) -> list[SPAN]:
        """The task's ``process`` spans by their start; waits until there are ``count``."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = [span for span in self.spans(sent) if span["name"].startswith("process ")]
            if len(found) >= count:
                return sorted(found, key=lambda span: span["start_ns"])
            assert time.monotonic() < deadline, f"only {len(found)} after {timeout_s} s"
            time.sleep(0.05)

    def run(self, sent: Sent, state: str, *below: str, timeout_s: float = 15.0) -> SPAN:
        """The only ``process`` span of a task; it has ``state``, and ``below`` it these spans."""
        (span,) = self.runs(sent, timeout_s=timeout_s)
        assert span["attributes"]["messaging.message.id"] == sent.id
        assert span["attributes"]["celery.task.state"] == state
        assert span["parent_span_id"] == sent.span_id
        self.wait_for_spans(1 + len(below), sent)
        others = [one for one in self.spans(sent) if one is not span and one != span]
        assert sorted(one["name"] for one in others) == sorted(below)
        assert {one["parent_span_id"] for one in others} <= {span["span_id"]}
        return span

    def wait_for_spans(self, count: int, sent: Sent, timeout_s: float = 15.0) -> None:
        """Until ``count`` spans of a task's trace have arrived."""
        deadline = time.monotonic() + timeout_s
        while len(self.spans(sent)) < count:
            assert time.monotonic() < deadline, [one["name"] for one in self.spans(sent)]
            time.sleep(0.05)

    def assert_only_of(self, *sent: Sent) -> None:
        """No span arrived twice, and none is of another trace than these tasks'."""
        assert {span["trace_id"] for span in self.collector.spans()} <= {
            one.trace_id for one in sent
        }
        assert self.collector.counts()["duplicates"] == 0


@contextlib.contextmanager
def celery_worker(
    folder: Path,
    collector: StubCollector,
    *options: str,
    broker: str = "filesystem://",
    backend: str | None = None,
    pool: str = "prefork",
    concurrency: int = 2,
    **environ: str,
) -> Iterator[CeleryWorker]:
    """Start a worker with Celery's ``options``; it is killed at the end if it still runs.

    ``environ`` is added to this process's environment less its ``OTEL_*`` variables.
    """
    folder.mkdir(exist_ok=True)
    for name in ("messages", "processed", "control", "results"):
        (folder / name).mkdir(exist_ok=True)
    backend = backend or f"file://{folder / 'results'}"
    own = {
        "CELERY_BROKER": broker,
        "CELERY_BACKEND": backend,
        "CELERY_FOLDER": str(folder),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "TESTS_BASE_DIR": str(folder),
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.base_endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "PYTHONPATH": str(ROOT),
    }
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "PYTEST_", "CELERY_"))
    }
    with _variables(own):
        from tests.celery_site.app import make_app
    worker = CeleryWorker(folder, collector, make_app(broker, backend, folder))
    chosen = ("--pool", pool, "--concurrency", str(concurrency), "--loglevel", "INFO")
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    try:
        worker.start((*chosen, *quiet, *options), {**kept, **own, **environ})
        yield worker
    except BaseException:
        if worker.log.exists():
            print(worker.output())
        raise
    finally:
        worker.kill()
        worker.client.close()


@contextlib.contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
