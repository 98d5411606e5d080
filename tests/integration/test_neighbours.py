"""With many instrumentors installed each call has one span, and no secret is in any.

The site is a process of its own; nothing in it switches an instrumentor on.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import pytest

from tests import server_process
from tests.integration.servers import Server
from tests.stub_collector import StubCollector

SECRET = "s3cret"
CACHES = ("default", "redis", "django_redis", "memcached")


class Peer(BaseHTTPRequestHandler):
    """Answers everything."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.dumps({"TableNames": [], "MessageId": "1"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def peer() -> Iterator[str]:
    """The URL of somebody who isn't instrumented."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Peer)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class Stock(grpc.GenericRpcHandler):
    def service(self, details: grpc.HandlerCallDetails) -> Any:
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"")


@pytest.fixture(scope="module")
def grpc_peer() -> Iterator[str]:
    """The same over gRPC."""
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((Stock(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


class Site:
    """A running site and the receiver of its spans."""

    def __init__(self, server: server_process.Server, collector: StubCollector) -> None:
        self._server = server
        self._collector = collector

    def below(self, page: str) -> list[str]:
        """Scope and name of each span below the request for ``page``, by their beginning."""
        assert self._server.get(f"/{page}/").status == 200
        request = self._span(f"GET /{page}/")
        trace = [
            span for span in self._collector.spans() if span["trace_id"] == request["trace_id"]
        ]
        assert SECRET not in json.dumps(trace)
        return [
            f"{span['scope']['name'].rpartition('instrumentation.')[2]}: {span['name']}"
            for span in sorted(trace, key=lambda span: int(span["start_ns"]))
            if span != request
        ]

    def _span(self, name: str) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            return [span for span in self._collector.spans() if span["name"] == name]

        self._collector.wait_until(lambda _: bool(found()))
        return found()[0]


@pytest.fixture(scope="module")
def site(redis: Server, memcached: Server, peer: str, grpc_peer: str) -> Iterator[Site]:
    with StubCollector() as collector:
        environ = {
            "DJANGO_SETTINGS_MODULE": "tests.integration.neighbours.settings",
            "TESTS_REDIS": f"redis://127.0.0.1:{redis.port}",
            "TESTS_MEMCACHED": str(memcached.port),
            "TESTS_PEER": peer,
            "TESTS_GRPC": grpc_peer,
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.base_endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }
        with server_process.serving(server_process.gunicorn(), environ) as server:
            yield Site(server, collector)


@pytest.mark.parametrize(
    ("page", "spans"),
    [
        ("requests", ["requests: GET"]),
        ("failing_requests", ["requests: GET"]),
        ("urllib3", ["urllib3: GET"]),
        ("urllib", ["urllib: GET"]),
        ("httpx", ["httpx: GET"]),
        ("aiohttp", ["aiohttp_client: GET"]),
        ("grpc", ["grpc: /shop.Stock/Count"]),
        ("dynamodb", ["botocore.dynamodb: DynamoDB.ListTables"]),
        ("sqs", ["botocore.sqs: SQS.SendMessage"]),
        ("sqlalchemy", ["sqlalchemy: connect", "sqlalchemy: SELECT"]),
        ("sqlite3", []),
        ("jinja2", ["jinja2: jinja2.compile", "jinja2: jinja2.render"]),
        ("redis", ["redis: GET"]),
        ("redis_pipeline", ["redis: SET GET"]),
        ("async_redis", ["redis: GET"]),
        ("memcached", ["pymemcache: get"]),
        ("a_thread", ["redis: GET"]),
        ("a_query", ["otel_django: CONNECT", "otel_django: SELECT"]),
        ("a_task", ["otel_django: send remember"]),
        *((f"cache-{alias}", [f"otel_django: set {alias}"]) for alias in CACHES),
        *((f"many-{alias}", [f"otel_django: set_many {alias}"]) for alias in CACHES),
        (
            "a_default_of_its_own",
            ["otel_django: delete redis", "otel_django: get_or_set redis", "redis: GET"],
        ),
    ],
)
def test_a_call_has_one_span(site: Site, page: str, spans: list[str]) -> None:
    assert site.below(page) == spans
