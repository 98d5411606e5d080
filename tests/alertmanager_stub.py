"""Alertmanager's API on loopback, as its version 0.25 answers, with silences and alerts in memory.

with alertmanager() as server:
    ... ALERTMANAGER_URL=server.url
    server.silences, server.fire(alertname="HighCpu")
server.answers.append((503, b"", 0.0))   # to the next request: status, body, delay
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NS_DIGITS = "000"


def moment(ahead_s: float = 0.0) -> str:
    """As its documents have times: with nine digits of a second."""
    at = datetime.now(timezone.utc) + timedelta(seconds=ahead_s)
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}{NS_DIGITS}Z"


class AlertmanagerStub:
    """``requests`` are method, path and headers."""

    def __init__(self) -> None:
        self.silences: dict[str, dict[str, Any]] = {}
        self.alerts: list[dict[str, str]] = []
        self.uptime = moment(-3600)
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.answers: deque[tuple[int, bytes, float]] = deque()
        self._ended = threading.Event()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length)
                stub.requests.append((self.command, self.path, dict(self.headers)))
                status, answer, delay_s = (
                    stub.answers.popleft()
                    if stub.answers
                    else (*stub._answer(self.command, self.path, body), 0.0)
                )
                stub._ended.wait(delay_s)
                with suppress(OSError):
                    self.send_response(status)
                    if status == 302:
                        self.send_header("Location", "http://127.0.0.1:9/")
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            def do_POST(self) -> None:
                self.do_GET()

            def do_DELETE(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def active(self) -> list[dict[str, Any]]:
        """Silences that haven't ended."""
        return [one for one in self.silences.values() if one["status"]["state"] != "expired"]

    def fire(self, **labels: str) -> None:
        """It has this alert."""
        self.alerts.append(labels)

    def hold(self, **changes: Any) -> dict[str, Any]:
        """A silence that somebody makes there."""
        held = {
            "id": str(uuid.uuid4()),
            "status": {"state": "active"},
            "matchers": [{"name": "alertname", "value": "X", "isRegex": False, "isEqual": True}],
            "startsAt": moment(),
            "endsAt": moment(3600),
            "updatedAt": moment(),
            "createdBy": "amtool",
            "comment": "",
            **changes,
        }
        self.silences[held["id"]] = held
        return held

    def expire(self, silence: dict[str, Any]) -> None:
        """Somebody ends it there."""
        silence["status"] = {"state": "expired"}
        silence["endsAt"] = moment()

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        path = path.removeprefix("/api/v2/")
        if method == "DELETE":
            self.expire(self.silences[path.removeprefix("silence/")])
            return 200, b""
        if method == "POST":
            return self._made(json.loads(body))
        found: Any = {
            "silences": list(self.silences.values()),
            "alerts": [{"labels": each} for each in self.alerts],
            "status": {"uptime": self.uptime},
        }.get(path)
        return (404, b"") if found is None else (200, json.dumps(found).encode())

    def _made(self, given: dict[str, Any]) -> tuple[int, bytes]:
        for matcher in given["matchers"]:
            assert re.fullmatch(r"[a-zA-Z_]\w*", matcher["name"])
            if "{2000}" in matcher["value"]:
                return 400, b'"bad matcher: invalid repeat count: `{2000}`"'
        return 200, json.dumps({"silenceID": self.hold(**given)["id"]}).encode()

    def close(self) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def alertmanager() -> Iterator[AlertmanagerStub]:
    """One that answers."""
    stub = AlertmanagerStub()
    try:
        yield stub
    finally:
        stub.close()
