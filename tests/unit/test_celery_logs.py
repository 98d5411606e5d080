"""Celery's own log lines: what tasks take, return and raise isn't in them."""

from __future__ import annotations

import importlib
import io
import logging
import logging.config
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.app.trace import build_tracer
from celery.exceptions import Ignore, Reject
from celery.utils.log import ColorFormatter
from django.db import IntegrityError

from otel_django import guard
from otel_django.conf import Settings
from otel_django.instrumentation.celery_logs import LOGGERS, CeleryLogsInstrumentation
from tests.tracing_kit import Collected

MARK = "Zx9MARKq7Zx9"

app = Celery("logs", broker="memory://", backend="cache+memory://", set_as_current=False)


@app.task(name="logs.give_back")
def give_back(value: Any = None) -> Any:
    return value


@app.task(name="logs.fail")
def fail(message: str) -> None:
    raise ValueError(message)


@app.task(name="logs.fail_in_the_database")
def fail_in_the_database(email: str) -> None:
    raise IntegrityError(f"Key (email)=({email}) already exists.")


@app.task(name="logs.fail_as_expected", throws=(IntegrityError,))
def fail_as_expected(email: str) -> None:
    raise IntegrityError(f"Key (email)=({email}) already exists.")


@app.task(name="logs.retry", bind=True, max_retries=9, default_retry_delay=5)
def retry(self: Any, email: str) -> None:
    try:
        raise IntegrityError(f"Key (email)=({email}) already exists.")
    except IntegrityError as exc:
        raise self.retry(exc=exc) from exc


@app.task(name="logs.reject")
def reject(message: str) -> None:
    raise Reject(message, requeue=False)


@app.task(name="logs.ignore")
def ignore() -> None:
    raise Ignore


class Unpicklable(Exception):
    """Celery logs a stand-in for it."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"token={first}")


@app.task(name="logs.fail_unpicklable")
def fail_unpicklable(secret: str) -> None:
    raise Unpicklable(secret, secret)


class Log:
    """What Celery's loggers write and hand on."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.records: list[logging.LogRecord] = []
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(ColorFormatter("%(levelname)s %(message)s", use_color=False))
        self.handler.addFilter(self._keep)

    def _keep(self, record: logging.LogRecord) -> bool:
        self.records.append(record)
        return True

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    def run(self, task: Any, *args: Any, **kwargs: Any) -> str:
        """Run a task as a worker does, without one; returns what was written."""
        before = len(self.text)
        request = {"id": "1", "delivery_info": {}, "hostname": "here", "retries": 0}
        build_tracer(task.name, task, app=app)("1", list(args), kwargs, request)
        return self.text[before:]


@pytest.fixture
def unmasked() -> Iterator[Log]:
    """Celery's loggers at INFO, as a worker sets them up."""
    found = Log()
    base = logging.getLogger("celery")
    level = base.level
    base.addHandler(found.handler)
    base.setLevel(logging.INFO)
    try:
        yield found
    finally:
        base.setLevel(level)
        base.removeHandler(found.handler)


@pytest.fixture
def log(unmasked: Log) -> Iterator[Log]:
    """The same with our filter."""
    instrumentation = CeleryLogsInstrumentation()
    for _ in range(2):  # a second time changes nothing
        instrumentation.install(Collected().tracer, Settings())
    try:
        yield unmasked
    finally:
        instrumentation.uninstall()


def test_the_line_of_a_success_has_its_format_and_level_and_not_the_value(log: Log) -> None:
    line = log.run(give_back, {"name": MARK})
    assert line.startswith("INFO Task logs.give_back[1] succeeded in 0.")
    assert line.endswith("s: [redacted]\n")


def test_handlers_find_no_arguments_and_no_value_on_the_record(log: Log) -> None:
    log.run(give_back, MARK)
    log.run(give_back, value=MARK)
    for record, args, kwargs in zip(
        log.records, ("[redacted]", "[]"), ("{}", "[redacted]"), strict=True
    ):
        found = vars(record)
        data = found["data"]
        assert found["args"] is data
        assert data.pop("runtime") >= 0
        assert data == {
            "id": "1",
            "name": "logs.give_back",
            "return_value": "[redacted]",
            "args": args,
            "kwargs": kwargs,
        }


def test_a_task_that_returns_nothing_still_says_so(log: Log) -> None:
    assert log.run(give_back).endswith("s: None\n")


def test_the_text_of_an_exception_is_redacted_and_its_traceback_kept(log: Log) -> None:
    written = log.run(fail, f"card 9: password={MARK}")
    assert MARK not in written
    assert (
        "ERROR Task logs.fail[1] raised unexpected: ValueError('card 9: password=[redacted]')"
        in (written)
    )
    assert "Traceback (most recent call last):" in written
    assert "test_celery_logs.py" in written
    assert written.endswith("\nValueError: card 9: password=[redacted]\n")
    (record,) = log.records
    assert MARK not in repr(getattr(record, "data", None))


@pytest.mark.parametrize(
    ("task", "begins"),
    [
        (
            fail_in_the_database,
            "ERROR Task logs.fail_in_the_database[1] raised unexpected: ",
        ),
        (
            fail_as_expected,
            "INFO Task logs.fail_as_expected[1] raised expected: ",
        ),
        (
            retry,
            "INFO Task logs.retry[1] retry: Retry in 5s: ",
        ),
    ],
    ids=["unexpected", "expected", "retry"],
)
def test_the_message_of_a_database_driver_is_left_out(log: Log, task: Any, begins: str) -> None:
    written = log.run(task, MARK)
    line = f"{begins}IntegrityError('database error')"
    assert written.splitlines()[0] == line
    assert MARK not in written


def test_an_exception_that_cannot_be_pickled_is_shown_as_what_it_was(log: Log) -> None:
    written = log.run(fail_unpicklable, MARK)
    assert MARK not in written
    assert written.endswith("test_celery_logs.Unpicklable: token=[redacted]\n")


def test_rejecting_and_ignoring_is_told_as_ever(log: Log) -> None:
    rejected = log.run(reject, f"secret={MARK}")
    assert rejected.startswith(
        "WARNING Task logs.reject[1] reject requeue=False: secret=[redacted]"
    )
    assert MARK not in rejected
    assert log.run(ignore) == "INFO Task logs.ignore[1] ignored\n"


def test_logging_that_is_configured_later_does_not_bring_the_values_back(log: Log) -> None:
    logger = logging.getLogger("celery.app.trace")
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "loggers": {"celery.app.trace": {"level": "INFO", "handlers": []}},
        }
    )
    try:
        assert log.run(give_back, MARK).endswith("s: [redacted]\n")
    finally:
        logger.setLevel(logging.NOTSET)


def test_uninstalled_it_leaves_the_lines_as_celery_writes_them(unmasked: Log) -> None:
    instrumentation = CeleryLogsInstrumentation()
    instrumentation.install(Collected().tracer, Settings())
    instrumentation.uninstall()
    assert unmasked.run(give_back, 42).endswith("s: 42\n")
    assert not [name for name in LOGGERS if logging.getLogger(name).filters]


def test_an_exception_without_a_text_does_not_stop_the_line(log: Log) -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

        __repr__ = __str__

    logging.getLogger("celery.worker.request").error("Task handler raised error: %r", Broken())
    assert log.text.startswith("ERROR Task handler raised error: <Unrepresentable")


def test_a_record_that_cannot_be_masked_says_nothing(log: Log) -> None:
    class Odd(dict[str, Any]):
        def items(self) -> Any:
            raise RuntimeError("no items")

    guard.set_strict(False)
    try:
        logging.getLogger("celery.worker.request").error("%s %s", Odd(), MARK)
    finally:
        guard.set_strict(True)
    assert log.text == "ERROR [redacted]\n"


def test_what_a_worker_says_of_messages_it_cannot_run_has_no_bodies(log: Log) -> None:
    consumer: Any = importlib.import_module("celery.worker.consumer.consumer")
    headers = {"task": "logs.gone", "argsrepr": MARK, "kwargsrepr": MARK, "id": "1", "own": MARK}
    delivery = {"routing_key": "celery", "exchange": ""}
    logger = logging.getLogger("celery.worker.consumer.consumer")
    logger.error(consumer.UNKNOWN_TASK_ERROR, KeyError("logs.gone"), MARK, headers, delivery)
    assert "unregistered task of type 'logs.gone'" in log.text
    assert "'task': 'logs.gone', 'argsrepr': '[redacted]'" in log.text
    assert "'routing_key': 'celery'" in log.text
    logger.error(consumer.INVALID_TASK_ERROR, ValueError("no id"), MARK)
    logger.warning(consumer.UNKNOWN_FORMAT, MARK)
    logger.critical(
        consumer.MESSAGE_DECODE_ERROR, ValueError("at byte 3"), "text", "utf-8", MARK, MARK
    )
    assert "at byte 3" in log.text
    assert MARK not in log.text
    assert MARK in headers["argsrepr"]
