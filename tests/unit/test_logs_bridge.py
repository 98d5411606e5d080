"""What is logged through ``logging``, structlog and the API arrives as records."""

from __future__ import annotations

import json
import logging
import logging.config
import threading
from typing import Any

import pytest
import structlog
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import resolve
from django.utils.functional import SimpleLazyObject
from opentelemetry.context import Context

import otel_django
from otel_django import guard
from otel_django.logs.bridge import JournalHandler
from otel_django.testing import Captured, CapturedLog, capture
from otel_django.tracing.current import SPAN_KEY, get_context, reset_context, set_context
from otel_django.tracing.request_id import REQUEST_KEY

log = logging.getLogger("shop.orders")


def only(captured: Captured, logger: str = "shop.orders") -> CapturedLog:
    (record,) = [one for one in captured.logs if one.logger == logger]
    return record


def test_a_record_of_logging_has_its_message_level_code_line_and_trace() -> None:
    with capture() as captured, otel_django.span("pay") as span:
        log.warning("paid %s of %d", "a", 3, extra={"order": 7})
    record = only(captured)
    context = span.get_span_context()
    assert (record.event, record.level, record.severity_number) == ("paid a of 3", "warning", 13)
    assert record.trace_id == f"{context.trace_id:032x}"
    assert record.span_id == f"{context.span_id:016x}"
    assert record.attributes["order"] == 7
    assert record.attributes["code.function.name"] == (
        "test_a_record_of_logging_has_its_message_level_code_line_and_trace"
    )
    assert record.attributes["code.file.path"].endswith("test_logs_bridge.py")


def test_an_exception_comes_without_local_values_or_rows() -> None:
    from django.db import IntegrityError

    hidden = "Zx9MARK"
    with capture() as captured:
        try:
            raise IntegrityError(f"Key (email)=({hidden}) already exists.")
        except IntegrityError as exc:
            log.warning("refused %s", exc, exc_info=exc)
    record = only(captured)
    assert record.attributes["exception.type"] == "django.db.utils.IntegrityError"
    assert "in test_an_exception_comes" in record.attributes["exception.stacktrace"]
    assert hidden not in json.dumps([record.event, dict(record.attributes)])


def test_djangos_debug_lines_with_the_values_of_statements_are_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "django.db.backends")
    with capture(log_threshold="debug") as captured, CaptureQueriesContext(connection):
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s", ["Zx9MARK"])
        logging.getLogger("django.db.backends").debug("another word")
    assert "Zx9MARK" in caplog.text
    assert [one.event for one in captured.logs] == ["another word"]


def test_records_of_structlog_take_the_same_way_with_bound_context() -> None:
    with capture() as captured:
        structlog.contextvars.bind_contextvars(tenant="acme")
        try:
            otel_django.get_logger("shop.orders", basket=3).info("order.placed", order=7)
            otel_django.get_logger().warning("n %s", 3)
        finally:
            structlog.contextvars.clear_contextvars()
    record = only(captured)
    assert record.event == "order.placed"
    assert {"tenant": "acme", "basket": 3, "order": 7}.items() <= record.attributes.items()
    assert record.attributes["code.file.path"].endswith("test_logs_bridge.py")
    assert only(captured, __name__).event == "n 3"


def test_other_handlers_see_a_structlog_record_as_text(caplog: pytest.LogCaptureFixture) -> None:
    otel_django.get_logger("shop.orders").warning("order.placed", order=7)
    assert caplog.messages == ["order.placed order=7"]


def test_a_users_own_structlog_that_ends_in_logging_works() -> None:
    factory = structlog.stdlib.LoggerFactory()
    logger = structlog.wrap_logger(
        factory("shop.orders"),
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    with capture() as captured:
        logger.error("order.lost", order=7, password="hunter2")
    record = only(captured)
    assert record.event == "order.lost"
    assert record.attributes["order"] == 7
    assert record.attributes["password"] == "[redacted]"
    assert "timestamp" not in record.attributes


def test_an_event_has_its_name_and_fields() -> None:
    with capture() as captured, otel_django.span("x") as span:
        otel_django.event("order.placed", order=7, token="abc")
    record = only(captured, "otel_django.events")
    assert (record.event, record.level) == ("order.placed", "info")
    assert dict(record.attributes) == {"order": 7, "token": "[redacted]"}
    assert record.span_id == f"{span.get_span_context().span_id:016x}"
    otel_django.event("nobody.listens")


def test_the_logs_api_has_a_provider_whose_records_arrive() -> None:
    from opentelemetry import _logs as api

    with capture() as captured, otel_django.span("x") as span:
        api.get_logger("vendor", "1.0").emit(
            body="hello password=abc",
            severity_number=api.SeverityNumber.WARN,
            attributes={"secret": "abc", "n": 1},
            event_name="greeted",
        )
    record = only(captured, "vendor")
    assert record.event == "hello password=[redacted]"
    assert record.severity_number == 13
    assert dict(record.attributes) == {"secret": "[redacted]", "n": 1}
    assert record.span_id == f"{span.get_span_context().span_id:016x}"


@pytest.fixture
def client() -> Client:
    return Client()


def test_a_line_in_a_request_has_its_id_and_route(client: Client) -> None:
    with capture(trust_inbound="always") as captured:
        client.get("/logs/order/7/", HTTP_X_REQUEST_ID="caller-7")
    record = only(captured, "site.logs")
    assert record.attributes["django.request_id"] == "caller-7"
    assert record.attributes["http.route"] == "/logs/order/<int:pk>/"
    (request,) = captured.roots
    assert record.trace_id == request.trace_id


def test_a_request_that_is_not_sampled_has_id_and_route_on_its_lines_too(client: Client) -> None:
    with capture(traces_sampler="always_off") as captured:
        client.get("/logs/order/7/")
    record = only(captured, "site.logs")
    assert record.attributes["http.route"] == "/logs/order/<int:pk>/"
    assert record.attributes["django.request_id"] == record.trace_id


def test_records_that_follow_each_other_have_each_the_ids_of_their_own_span() -> None:
    with capture() as captured:
        with otel_django.span("outer") as outer:
            log.info("1")
            log.info("2")
            with otel_django.span("inner") as inner:
                log.info("3")
            log.info("4")
        log.info("5")
    ids = {one.event: one.span_id for one in captured.logs if one.logger == "shop.orders"}
    in_outer = f"{outer.get_span_context().span_id:016x}"
    in_inner = f"{inner.get_span_context().span_id:016x}"
    assert [ids[event] for event in "1234"] == [in_outer, in_outer, in_inner, in_outer]
    assert ids["5"] not in (in_outer, in_inner)


def test_a_line_has_the_route_as_soon_as_it_is_known() -> None:
    request = RequestFactory().get("/logs/order/7/")
    context = Context({**get_context(), REQUEST_KEY: [request]})
    with capture() as captured, otel_django.span("x") as span:
        token = set_context(Context({**context, SPAN_KEY: span}))
        log.info("before")
        request.resolver_match = resolve("/logs/order/7/")
        log.info("after")
        reset_context(token)
    routes = [one.attributes.get("http.route") for one in captured.logs]
    assert routes == [None, "/logs/order/<int:pk>/"]


def test_correlation_holds_in_threads_of_asgiref_and_in_coroutines() -> None:
    async def work() -> None:
        log.info("in a coroutine")
        await sync_to_async(log.info)("in a thread")

    with capture() as captured, otel_django.span("x") as span:
        async_to_sync(work)()
    ids = {one.span_id for one in captured.logs if one.logger == "shop.orders"}
    assert ids == {f"{span.get_span_context().span_id:016x}"}
    assert len(captured.logs) == 2


def test_P5_a_failing_request_is_one_record_and_the_request_object_is_never_read(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    client.raise_request_exception = False
    with capture() as captured:
        client.get("/raises/")
    record = only(captured, "django.request")
    assert record.event == "Internal Server Error: /raises/"
    assert record.attributes["status_code"] == 500
    assert record.attributes["exception.type"]
    assert "request" not in record.attributes
    assert capsys.readouterr().err == ""


def handle(message: str, *arguments: Any, **extra: Any) -> None:
    """Give a record to our handler alone: pytest's ask every object for its text."""
    record = log.makeRecord(
        log.name, logging.INFO, __file__, 1, message, arguments, None, None, extra
    )
    (handler,) = [one for one in logging.getLogger().handlers if type(one) is JournalHandler]
    handler.handle(record)


def test_lazy_objects_and_querysets_are_never_asked_for_their_text(
    database_queries: Any, database: None
) -> None:
    from tests.site.models import Author

    asked = []

    def user() -> object:
        asked.append(1)
        return "user"

    lazy = SimpleLazyObject(user)
    with capture() as captured, database_queries() as queries:
        handle("for %s and %s", lazy, Author.objects.all(), user=lazy)
    record = only(captured)
    assert (asked, queries) == ([], [])
    assert record.event == "for <SimpleLazyObject> and <QuerySet>"
    assert record.attributes["user"] == "<SimpleLazyObject>"


def test_P6_what_our_own_logger_and_the_exporters_thread_say_is_not_sent() -> None:
    def export() -> None:
        logging.getLogger("urllib3.connectionpool").warning("Connection pool is full")

    with capture() as captured:
        logging.getLogger(guard.LOGGER_NAME).warning("can't deliver")
        thread = threading.Thread(target=export, name="otel_django")
        thread.start()
        thread.join()
        log.info("sent")
    assert [one.event for one in captured.logs] == ["sent"]


def test_a_record_that_is_caused_by_handling_another_is_left_out() -> None:
    class Talkative:
        def __str__(self) -> str:
            log.info("inner")
            return "text"

    with capture() as captured:
        handle("outer %s", Talkative())
    assert [one.event for one in captured.logs] == ["outer text"]


def test_a_message_whose_arguments_dont_fit_breaks_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    with capture(strict=False) as captured:
        monkeypatch.setattr(guard, "_strict", False)
        log.info("%d", "x")
        log.info("goes on")
    assert [one.event for one in captured.logs][-1] == "goes on"


def test_contribs_handler_of_logging_brings_no_record_twice() -> None:
    sdk = pytest.importorskip("opentelemetry.sdk._logs")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        handler = sdk.LoggingHandler()
    log.addHandler(handler)
    try:
        with capture() as captured:
            log.warning("once")
    finally:
        log.removeHandler(handler)
    assert [one.event for one in captured.logs] == ["once"]


def test_a_logger_that_keeps_its_records_is_heard_and_a_silenced_one_is_not() -> None:
    apart, silent = logging.getLogger("apart"), logging.getLogger("silent")
    handler = logging.StreamHandler()
    apart.addHandler(handler)
    apart.propagate = silent.propagate = False
    try:
        with capture() as captured:
            apart.warning("kept")
            silent.warning("nobody wants this")
    finally:
        apart.removeHandler(handler)
        apart.propagate = silent.propagate = True
    assert [one.event for one in captured.logs] == ["kept"]


def test_after_capture_logging_is_as_before() -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    with capture():
        assert root.level == logging.INFO
    assert (root.level, list(root.handlers)) == before
