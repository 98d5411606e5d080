"""Real servers on loopback that take alerts: shaped like Slack, like PagerDuty, a webhook, mail.

    with slack() as server:
        ... SLACK_WEBHOOK_URL=server.url
        server.wait_for(1)
    server.answers.append(Answer(429, {"Retry-After": "7"}))   # to the next request

The first two hold what they get to the documented shapes, and refuse what isn't.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import jsonschema
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope, Session

from tests.stub_collector_process import free_port


@dataclass(frozen=True)
class Answer:
    """``delay_s`` is how long it takes."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_s: float = 0.0


@dataclass(frozen=True)
class Request:
    """What was posted."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


Judge = Callable[[Request], Answer]


class AlertStub:
    """A server; ``requests`` are all it got, ``taken`` those that it answered with 2xx."""

    def __init__(self, judge: Judge, path: str) -> None:
        self.answers: deque[Answer] = deque()
        self.requests: list[Request] = []
        self.taken: list[Request] = []
        self._judge = judge
        self._changed = threading.Condition()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                request = Request(self.path, dict(self.headers), self.rfile.read(length))
                answer = stub._take(request)
                with suppress(OSError):  # the client may be gone by now
                    self._answer(answer)

            def _answer(self, answer: Answer) -> None:
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)
                self.wfile.flush()

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}{path}"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def _take(self, request: Request) -> Answer:
        with self._changed:
            self.requests.append(request)
            answer = self.answers.popleft() if self.answers else self._judge(request)
            if 200 <= answer.status < 300:
                self.taken.append(request)
            self._changed.notify_all()
        self._ended.wait(answer.delay_s)
        return answer

    @property
    def documents(self) -> list[Any]:
        return [one.document for one in self.taken]

    def wait_for(self, count: int, timeout_s: float = 10.0) -> list[Any]:
        """The documents taken, once there are so many."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.taken) >= count, timeout_s)
        return self.documents

    def close(self) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def served(judge: Judge, path: str) -> Iterator[AlertStub]:
    """One that answers as it is told; closed with the block."""
    stub = AlertStub(judge, path)
    try:
        yield stub
    finally:
        stub.close()


def webhook(path: str = "/alerts") -> Any:
    """Takes anything."""
    return served(lambda _: Answer(), path)


def slack() -> Any:
    """As hooks.slack.com."""

    def judge(request: Request) -> Answer:
        fault = next(jsonschema.Draft202012Validator(SLACK).iter_errors(request.document), None)
        if fault is None:
            return Answer(200, {"Content-Type": "text/html"}, b"ok")
        return Answer(400, {}, b"invalid_blocks" if "blocks" in fault.path else b"invalid_payload")

    return served(judge, "/services/T0000/B0000/slack-mark")


def pagerduty() -> Any:
    """As events.pagerduty.com."""

    def judge(request: Request) -> Answer:
        said = request.document
        validator = jsonschema.Draft202012Validator(PAGERDUTY)
        faults = [fault.message for fault in validator.iter_errors(said)]
        if faults:
            body = {"status": "invalid event", "message": "Event object is invalid"}
            return Answer(400, {}, json.dumps({**body, "errors": faults}).encode())
        body = {"status": "success", "message": "Event processed", "dedup_key": said["dedup_key"]}
        return Answer(202, {"Content-Type": "application/json"}, json.dumps(body).encode())

    return served(judge, "/v2/enqueue")


# --- the documented shapes


def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def _text(longest: int, least: int = 1) -> dict[str, Any]:
    return {"type": "string", "minLength": least, "maxLength": longest}


def _plain(longest: int) -> dict[str, Any]:
    return _object(
        "type text", type={"const": "plain_text"}, text=_text(longest), emoji={"type": "boolean"}
    )


_URL = {"type": "string", "pattern": "^https?://", "maxLength": 3000}
_EITHER = {
    "oneOf": [
        _plain(3000),
        _object("type text", type={"const": "mrkdwn"}, text=_text(3000)),
    ]
}
_BUTTON = _object(
    "type text",
    type={"const": "button"},
    text=_plain(75),
    url=_URL,
    action_id=_text(255),
    style={"enum": ["primary", "danger"]},
)

# Block Kit: docs.slack.dev/reference/block-kit/blocks, of an incoming webhook's message.
SLACK = _object(
    "text",
    text=_text(40_000),
    blocks={
        "type": "array",
        "minItems": 1,
        "maxItems": 50,
        "items": {
            "oneOf": [
                _object("type text", type={"const": "header"}, text=_plain(150)),
                _object("type text", type={"const": "section"}, text=_EITHER),
                _object(
                    "type elements",
                    type={"const": "context"},
                    elements={"type": "array", "minItems": 1, "maxItems": 10, "items": _EITHER},
                ),
                _object(
                    "type elements",
                    type={"const": "actions"},
                    elements={"type": "array", "minItems": 1, "maxItems": 25, "items": _BUTTON},
                ),
            ]
        },
    },
)

# Events API v2: developer.pagerduty.com/docs/send-alert-event.
PAGERDUTY = {
    **_object(
        "routing_key event_action dedup_key",
        routing_key={"type": "string", "minLength": 32, "maxLength": 32},
        event_action={"enum": ["trigger", "acknowledge", "resolve"]},
        dedup_key=_text(255),
        client=_text(1024),
        client_url=_URL,
        payload=_object(
            "summary source severity",
            summary=_text(1024),
            source=_text(1024),
            severity={"enum": ["critical", "error", "warning", "info"]},
            timestamp={"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"},
            component=_text(1024),
            group=_text(1024),
            custom_details={"type": "object"},
            **{"class": _text(1024, 0)},
        ),
        links={"type": "array", "items": _object("href", href=_URL, text=_text(1024))},
        images={"type": "array"},
    ),
    "if": {"properties": {"event_action": {"const": "trigger"}}},
    "then": {"required": ["payload"]},
}

_WORDS = {"type": "object", "additionalProperties": {"type": "string"}}
_TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"}

# prometheus.io/docs/alerting/latest/configuration/#webhook_config; more keys are let pass there.
ALERTMANAGER = {
    "type": "object",
    "required": [
        *("version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels"),
        *("commonLabels", "commonAnnotations", "externalURL", "alerts"),
    ],
    "properties": {
        "version": {"const": "4"},
        "groupKey": _text(1000),
        "truncatedAlerts": {"type": "integer", "minimum": 0},
        "status": {"enum": ["firing", "resolved"]},
        "receiver": _text(100),
        "groupLabels": _WORDS,
        "commonLabels": _WORDS,
        "commonAnnotations": _WORDS,
        "externalURL": {"type": "string"},
        "alerts": {
            "type": "array",
            "minItems": 1,
            "items": _object(
                "status labels annotations startsAt endsAt generatorURL fingerprint",
                status={"enum": ["firing", "resolved"]},
                labels=_WORDS,
                annotations=_WORDS,
                startsAt=_TIME,
                endsAt=_TIME,
                generatorURL={"type": "string"},
                fingerprint=_text(64),
            ),
        },
    },
}


# --- mail


class Mailbox:
    """``refuse`` is said to the next messages, one each."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.refuse: deque[str] = deque()

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:
        if self.refuse:
            return self.refuse.popleft()
        content = cast("bytes", envelope.content)
        self.messages.append(message_from_bytes(content, policy=policy.default))
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 OK"

    def wait_for(self, count: int, timeout_s: float = 10.0) -> list[EmailMessage]:
        end_s = time.monotonic() + timeout_s
        while len(self.messages) < count:
            assert time.monotonic() < end_s
            time.sleep(0.02)
        return self.messages


@contextmanager
def mail_server(**options: Any) -> Iterator[tuple[Mailbox, int]]:
    """A mailbox, and the port of its SMTP server."""
    mailbox = Mailbox()
    server = Controller(mailbox, hostname="127.0.0.1", port=free_port(), **options)
    server.start()
    try:
        yield mailbox, server.port
    finally:
        server.stop()
