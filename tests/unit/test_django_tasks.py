"""Django's tasks framework and its back-port, with back-ends that run in this process."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.cache import caches
from django.test import override_settings
from django.utils import timezone
from opentelemetry import trace

from otel_django import guard, names
from otel_django.instrumentation.django_tasks_link import KEY_PREFIX
from otel_django.testing import Captured, capture
from tests.site.models import Author

SECRET = "Zx9MARKq7Zx9"


def _frameworks() -> Iterator[str]:
    """What can be imported: Django has its own from 6.0 on."""
    for name in ("django.tasks", "django_tasks"):
        try:
            importlib.import_module(name)
        except ImportError:
            continue
        yield name


def greet(name: str) -> str:
    Author.objects.filter(name=name).exists()
    return f"result {name}"


async def greet_async(name: str) -> None:
    await Author.objects.filter(name=name).aexists()


def fail(name: str) -> None:
    raise ValueError(f"password={name}")


def give_up(name: str) -> None:
    raise KeyboardInterrupt


def outer(name: str) -> None:
    _tasks["greet"].enqueue(name)


_FUNCTIONS = (greet, greet_async, fail, give_up, outer)
_tasks: dict[str, Any] = {}
HERE = f"{__name__}."


@pytest.fixture(params=list(_frameworks()))
def framework(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ModuleType]:
    """Tasks of one framework, by their function's name, under which back-ends import them too."""
    found = importlib.import_module(request.param)
    importlib.import_module(f"{request.param}.signals")
    backends = f"{request.param}.backends"
    aliases = {
        "default": {"BACKEND": f"{backends}.immediate.ImmediateBackend"},
        "stored": {"BACKEND": f"{backends}.dummy.DummyBackend"},
    }
    with override_settings(TASKS=aliases):
        for function in _FUNCTIONS:
            _tasks[function.__name__] = found.task(function)
            monkeypatch.setitem(globals(), function.__name__, _tasks[function.__name__])
        yield found
    _tasks.clear()


def tree(captured: Captured) -> list[str]:
    return [line.rpartition("  ")[0] for root in captured.roots for line in root.lines()]


@pytest.mark.usefixtures("framework", "database")
def test_a_task_that_runs_in_place_is_below_its_sending() -> None:
    with capture() as captured:
        result = _tasks["greet"].using(priority=7).enqueue(SECRET)
    assert tree(captured) == [
        f"send {HERE}greet",
        f"  process {HERE}greet",
        "    SELECT test_site_author",
    ]
    send, process, _ = captured.spans
    common = {
        "messaging.system": "django_tasks",
        "messaging.destination.name": "default",
        "messaging.message.id": result.id,
        "django.task.name": f"{HERE}greet",
        "django.task.backend": "default",
        "django.task.priority": 7,
    }
    assert (send.kind, process.kind) == ("PRODUCER", "CONSUMER")
    assert send.attributes == {
        **common,
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
    }
    queue_wait = process.attributes["django.task.queue_wait"]
    assert 0 <= queue_wait < 5
    assert process.attributes == {
        **common,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "django.task.status": "SUCCESSFUL",
        "django.task.queue_wait": queue_wait,
    }


@pytest.mark.usefixtures("framework", "database")
@pytest.mark.parametrize("name", ["greet", "greet_async"])
def test_it_is_the_same_when_sent_asynchronously(name: str) -> None:
    with capture() as captured:
        async_to_sync(_tasks[name].aenqueue)(SECRET)
    assert [span.name for span in captured.spans][:2] == [
        f"send {HERE}{name}",
        f"process {HERE}{name}",
    ]
    assert captured.one(f"process {HERE}{name}").status == "UNSET"
    assert not trace.get_current_span().get_span_context().is_valid


@pytest.mark.usefixtures("framework")
def test_an_error_is_recorded_once_without_secrets_and_the_sending_has_none() -> None:
    with capture() as captured:
        _tasks["fail"].enqueue(SECRET)
    send, process = captured.spans
    assert (send.status, process.status) == ("UNSET", "ERROR")
    assert process.attributes[names.ERROR_TYPE] == "ValueError"
    assert process.attributes[names.DJANGO_TASK_STATUS] == "FAILED"
    (event,) = process.events
    assert event.attributes[names.EXCEPTION_TYPE] == "ValueError"
    assert SECRET not in str([span.attributes for span in captured.spans])
    assert SECRET not in str(event.attributes)


@pytest.mark.usefixtures("framework")
def test_arguments_that_cannot_be_sent_end_the_sending_with_an_error() -> None:
    with capture() as captured, pytest.raises(TypeError):
        _tasks["greet"].enqueue(object())
    (send,) = captured.spans
    assert (send.status, send.attributes[names.ERROR_TYPE]) == ("ERROR", "TypeError")
    assert not trace.get_current_span().get_span_context().is_valid


@pytest.mark.usefixtures("framework", "database")
def test_an_interrupted_task_ends_as_lost_and_nothing_stays_current() -> None:
    with capture() as captured:
        with pytest.raises(KeyboardInterrupt):
            _tasks["give_up"].enqueue(SECRET)
        _tasks["greet"].enqueue(SECRET)
    lost = captured.one(f"process {HERE}give_up")
    assert (lost.status, lost.attributes[names.ERROR_TYPE]) == ("ERROR", "lost")
    assert captured.one(f"send {HERE}give_up").attributes[names.ERROR_TYPE] == "KeyboardInterrupt"
    assert captured.one(f"send {HERE}greet").parent_span_id is None


@pytest.mark.usefixtures("framework", "database")
def test_a_task_that_a_task_sends_is_below_it() -> None:
    with capture() as captured:
        _tasks["outer"].enqueue(SECRET)
    assert tree(captured)[:4] == [
        f"send {HERE}outer",
        f"  process {HERE}outer",
        f"    send {HERE}greet",
        f"      process {HERE}greet",
    ]


def started(framework: ModuleType, result: Any, worker: str = "w1") -> Any:
    """A worker takes the task that was stored."""
    result.worker_ids.append(worker)
    object.__setattr__(result, "started_at", timezone.now())
    framework.signals.task_started.send(type(framework), task_result=result)
    return result


def finished(framework: ModuleType, result: Any, status: str = "SUCCESSFUL") -> None:
    object.__setattr__(result, "status", framework.TaskResultStatus(status))
    framework.signals.task_finished.send(type(framework), task_result=result)


def test_in_a_worker_each_task_is_a_trace_of_its_own(framework: ModuleType) -> None:
    with capture() as captured:
        sent = [_tasks["greet"].using(backend="stored").enqueue(SECRET) for _ in range(2)]
        for result in sent:
            finished(framework, started(framework, result))
    runs = captured.find(f"process {HERE}greet")
    assert [run.attributes["messaging.message.id"] for run in runs] == [one.id for one in sent]
    assert {run.parent_span_id for run in runs} == {None}
    assert len({span.trace_id for span in captured.spans}) == 4


def test_a_task_whose_worker_gave_up_is_closed_by_the_next_one(framework: ModuleType) -> None:
    with capture() as captured:
        first, second = (_tasks["greet"].using(backend="stored").enqueue("") for _ in range(2))
        started(framework, first)
        finished(framework, started(framework, second))
    lost, run = captured.find(f"process {HERE}greet")
    assert (lost.attributes["error.type"], run.attributes["django.task.status"]) == (
        "lost",
        "SUCCESSFUL",
    )
    assert run.parent_span_id is None
    assert not trace.get_current_span().get_span_context().is_valid


def test_the_end_of_another_task_does_not_end_this_one(framework: ModuleType) -> None:
    with capture() as captured:
        first, second = (_tasks["greet"].using(backend="stored").enqueue("") for _ in range(2))
        started(framework, first)
        finished(framework, second)
        finished(framework, first)
    (run,) = captured.find(f"process {HERE}greet")
    assert run.attributes["messaging.message.id"] == first.id


def test_the_queue_wait_leaves_out_what_it_was_told_to_wait(framework: ModuleType) -> None:
    due = timezone.now() - timedelta(seconds=2)
    with capture() as captured:
        sent = _tasks["greet"].using(backend="stored", run_after=due).enqueue("")
        object.__setattr__(sent, "enqueued_at", due - timedelta(hours=1))
        finished(framework, started(framework, sent))
    (run,) = captured.find(f"process {HERE}greet")
    assert run.attributes["django.task.run_after"] == due.isoformat()
    assert 2 <= run.attributes["django.task.queue_wait"] < 30


def test_a_second_attempt_says_so(framework: ModuleType) -> None:
    with capture() as captured:
        sent = _tasks["greet"].using(backend="stored").enqueue("")
        finished(framework, started(framework, sent), "FAILED")
        finished(framework, started(framework, sent, "w2"))
    first, second = captured.find(f"process {HERE}greet")
    assert names.DJANGO_TASK_ATTEMPT not in first.attributes
    assert second.attributes[names.DJANGO_TASK_ATTEMPT] == 2
    assert names.DJANGO_TASK_QUEUE_WAIT not in second.attributes


FILES = "django.core.cache.backends.filebased.FileBasedCache"
LOCAL = "django.core.cache.backends.locmem.LocMemCache"


def cache_of(backend: str, folder: Path, **options: Any) -> Any:
    return override_settings(
        CACHES={"default": {"BACKEND": backend, "LOCATION": str(folder), "OPTIONS": options}}
    )


def test_a_shared_cache_links_the_run_to_its_sending(framework: ModuleType, tmp_path: Path) -> None:
    with cache_of(FILES, tmp_path, MAX_ENTRIES=50_000), capture() as captured:
        sent = _tasks["greet"].using(backend="stored").enqueue("")
        assert caches["default"].get(f"{KEY_PREFIX}{sent.id}").startswith("00-")
        finished(framework, started(framework, sent))
        assert caches["default"].get(f"{KEY_PREFIX}{sent.id}") is None
    send = captured.one(f"send {HERE}greet")
    assert captured.one(f"process {HERE}greet").links == (send.trace_id,)
    ours = [span for span in captured.spans if names.DJANGO_CACHE_OPERATION in span.attributes]
    assert len(ours) == 2  # this test's own look-ups


@pytest.mark.parametrize(
    ("backend", "options"),
    [(LOCAL, {}), (FILES, {}), ("django.core.cache.backends.dummy.DummyCache", {})],
)
def test_other_caches_are_left_alone(
    framework: ModuleType, tmp_path: Path, backend: str, options: dict[str, Any]
) -> None:
    with cache_of(backend, tmp_path, **options), capture() as captured:
        sent = _tasks["greet"].using(backend="stored").enqueue("")
        assert list(tmp_path.iterdir()) == []
        assert f":1:{KEY_PREFIX}{sent.id}" not in getattr(caches["default"], "_cache", {})
        finished(framework, started(framework, sent))
    assert captured.one(f"process {HERE}greet").links == ()


def test_a_cache_that_fails_costs_the_link_and_one_try_a_minute(
    framework: ModuleType, tmp_path: Path
) -> None:
    broken = "tests.site.caches.BrokenCache"
    before = guard.faults().get("django_tasks.keep", 0)
    try:
        with cache_of(broken, tmp_path), capture() as captured:
            guard.set_strict(False)
            for _ in range(3):
                sent = _tasks["greet"].using(backend="stored").enqueue("")
                finished(framework, started(framework, sent))
    finally:
        guard.set_strict(True)
    assert guard.faults()["django_tasks.keep"] == before + 1
    assert len(captured.find(f"process {HERE}greet")) == 3


def test_nothing_is_left_of_it_afterwards(framework: ModuleType) -> None:
    task = importlib.import_module(f"{framework.__name__}.base").Task
    before = task.enqueue, task.aenqueue, len(framework.signals.task_started.receivers)
    with capture():
        assert task.enqueue is not before[0]
    after = task.enqueue, task.aenqueue, len(framework.signals.task_started.receivers)
    assert after == before
