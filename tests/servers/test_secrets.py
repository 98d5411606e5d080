"""Nothing secret leaves: requests and errors full of marked secrets, through everything."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server_process import Server, gunicorn, serving, uvicorn
from tests.site.secrets import VIEWS
from tests.stub_collector import StubCollector

MARK = "Zx9MARKq7Zx9"


@pytest.fixture(scope="module", params=["gunicorn", "uvicorn"])
def traffic(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[StubCollector, Path]]:
    """Every view asked with marks everywhere; what was exported, and the folder of all files."""
    folder = tmp_path_factory.mktemp("secrets")
    with StubCollector() as collector:
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.base_endpoint,
            "OTEL_DJANGO_STORE": str(folder / "store.sqlite3"),
            "OTEL_DJANGO_SPOOL_DIR": str(folder / "spool"),
            "OTEL_DJANGO_DETAIL": "full",
            "OTEL_DJANGO_N_PLUS_ONE": "2",
            "OTEL_DJANGO_SLOW_QUERY_MS": "0",
            "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": ".*",
            "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE": ".*",
            "OTEL_DJANGO_STRICT": "0",
            "TESTS_BASE_DIR": str(folder),
        }
        subprocess.run(
            [sys.executable, "-m", "django", "migrate", "--run-syncdb", "-v", "0"],
            env={
                "DJANGO_SETTINGS_MODULE": "tests.settings",
                "PYTHONPATH": str(Path(__file__).parents[2]),
                **env,
            },
            check=True,
        )
        with serving({"gunicorn": gunicorn(), "uvicorn": uvicorn()}[request.param], env) as server:
            ask_all(server)
            collector.wait_until(lambda counts: counts["unique"] >= 40)
            server.terminate()
            collector.set_mode("unavailable")
        with serving(gunicorn(), env) as server:  # the same once more, into the spool
            ask_all(server)
            server.terminate()
        yield collector, folder


def ask_all(server: Server) -> None:
    headers = {
        "X_Mark_Secret": MARK,
        "Authorization": f"Bearer {MARK}",
        "Cookie": f"sessionid={MARK}; csrftoken={MARK}",
        "Proxy_Authorization": f"Basic {MARK}",
        "X_Api_Key": MARK,
        "Referer": f"https://user:{MARK}@example.com/?a={MARK}",
        "tracestate": "vendor=value",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "Content_Type": "application/x-www-form-urlencoded",
    }
    for view in VIEWS:
        path = f"/secrets/{view.__name__}/?q={MARK}&password={MARK}"
        server.get(path, "POST", f"password={MARK}&card={MARK}".encode(), **headers)
    server.get(f"/secrets/reset/{MARK}/", "GET", None, **headers)
    server.get(f"/nowhere?token={MARK}", "GET", None, **headers)


def test_no_mark_is_in_any_exported_byte(traffic: tuple[StubCollector, Path]) -> None:
    collector, _ = traffic
    bodies = collector.raw_bodies()
    assert len(bodies) >= 1
    assert sum(body.count(b"/secrets/") for body in bodies) >= len(VIEWS)
    for body in bodies:
        at = body.find(MARK.encode())
        assert at < 0, body[max(0, at - 300) : at + 60]


def test_no_mark_is_in_the_store_or_the_spool(traffic: tuple[StubCollector, Path]) -> None:
    _, folder = traffic
    files = [
        path
        for path in folder.rglob("*")
        if path.is_file() and (path.name.startswith("store.") or "spool" in path.parts)
    ]
    assert any(path.name == "store.sqlite3" for path in files)
    assert any("spool" in path.parts and path.stat().st_size > 1000 for path in files)
    for path in files:
        content = path.read_bytes()
        at = content.find(MARK.encode())
        assert at < 0, (path.name, content[max(0, at - 300) : at + 60])


def test_what_was_left_out_is_still_told_apart(traffic: tuple[StubCollector, Path]) -> None:
    collector, _ = traffic
    spans = collector.spans()
    errors = {span["attributes"].get("error.type") for span in spans}
    assert {"ConnectionError", "FileNotFoundError", "RuntimeError"} <= errors
    by_hand = next(span for span in spans if span["name"] == "work")
    assert by_hand["attributes"]["password"] == "[redacted]"
    assert by_hand["attributes"]["http.url"] == "http://example.com/?a=[redacted]"
