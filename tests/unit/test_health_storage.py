"""The check of the default file storage: real folders, and storages that fail at each step."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, Storage
from django.test import override_settings

from otel_django.conf import Settings
from otel_django.health.check import Registered
from otel_django.health.checks import storage
from otel_django.health.results import CheckError
from tests.misbehaving import Proxy, proxy


class Faulty(FileSystemStorage):
    """On disk, and fails where it is told to."""

    fails_at = ""

    def _fail(self, step: str) -> None:
        if self.fails_at == step:
            raise PermissionError(13, "Permission denied", "/srv/secret/place")

    def _save(self, name: str, content: Any) -> str:
        saved: str = super()._save(name, content)  # type: ignore[misc]
        self._fail("save")
        return saved

    def open(self, name: str, mode: str = "rb") -> File[Any]:
        self._fail("open")
        if self.fails_at == "content":
            Path(self.path(name)).write_bytes(b"another")
        return super().open(name, mode)

    def delete(self, name: str) -> None:
        self._fail("delete")
        super().delete(name)


@pytest.fixture
def media(tmp_path: Path) -> Iterator[Path]:
    with override_settings(MEDIA_ROOT=str(tmp_path)):
        yield tmp_path


@pytest.fixture
def faulty(media: Path) -> Iterator[type[Faulty]]:
    backend = {"BACKEND": f"{__name__}.Faulty"}
    static = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    with override_settings(STORAGES={"default": backend, "staticfiles": static}):
        yield Faulty
    Faulty.fails_at = ""


def check(**settings: Any) -> Registered:
    (found,) = storage.checks(Settings(**settings))
    return found


def test_a_file_is_saved_read_and_deleted(media: Path) -> None:
    assert check().is_possible()
    assert check().run() is None
    assert list(media.iterdir()) == []


def test_it_is_asked_seldom_and_keeps_nobody_from_the_balancer() -> None:
    assert check().ttl_s == 60
    assert check(health_ttl_s=90).ttl_s == 90
    assert not check().groups


def test_without_a_place_for_uploads_there_is_nothing_to_check() -> None:
    with override_settings(MEDIA_ROOT=""):
        assert not check().is_possible()


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("save", "It can't save a file. Permission is denied."),
        ("open", "It can't read a file. Permission is denied."),
        ("content", "A file was read back with another content."),
    ],
)
def test_a_failure_says_at_which_step_and_leaves_nothing_behind(
    media: Path, faulty: type[Faulty], step: str, said: str
) -> None:
    faulty.fails_at = step
    with pytest.raises(CheckError) as caught:
        check().run()
    assert str(caught.value) == said
    assert list(media.iterdir()) == []


def test_a_storage_that_keeps_what_is_deleted_is_unhealthy(faulty: type[Faulty]) -> None:
    faulty.fails_at = "delete"
    with pytest.raises(CheckError, match="can't delete"):
        check().run()


def test_a_folder_that_is_a_file_is_unhealthy_and_its_path_not_told(tmp_path: Path) -> None:
    place = tmp_path / "media"
    place.write_bytes(b"")
    with override_settings(MEDIA_ROOT=str(place)), pytest.raises(CheckError) as caught:
        check().run()
    assert str(place) not in str(caught.value)
    assert list(tmp_path.iterdir()) == [place]


def test_a_storage_that_cannot_be_made_is_unhealthy_not_unknown() -> None:
    with override_settings(STORAGES={"default": {"BACKEND": "no.such.Storage"}}):
        assert check().is_possible()
        with pytest.raises(CheckError, match="InvalidStorageError"):
            check().run()


class Bucket(Storage):
    """Keeps files in a server across the network, as those of providers do."""

    port = 0
    timeout_s = 0.3

    def _ask(self, method: str, name: str, body: bytes | None = None) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout_s)
        with contextlib.closing(connection):
            connection.request(method, f"/{name}", body)
            return connection.getresponse().read()

    def exists(self, name: str) -> bool:
        return False

    def _save(self, name: str, content: Any) -> str:
        self._ask("PUT", name, content.read())
        return name

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        return ContentFile(self._ask("GET", name))

    def delete(self, name: str) -> None:
        self._ask("DELETE", name)


class Provider(BaseHTTPRequestHandler):
    """What a ``Bucket`` asks; ``files`` are what is there."""

    files: ClassVar[dict[str, bytes]] = {}

    def do_PUT(self) -> None:
        self.files[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(self.files[self.path])

    def do_DELETE(self) -> None:
        self.files.pop(self.path, None)
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def bucket() -> Iterator[Proxy]:
    """What is between the site and the provider of its files."""
    Provider.files.clear()
    static = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    storages = {"default": {"BACKEND": f"{__name__}.Bucket"}, "staticfiles": static}
    with HTTPServer(("127.0.0.1", 0), Provider) as server, proxy(server.server_port) as between:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        Bucket.port = between.port
        with override_settings(STORAGES=storages):
            yield between
        server.shutdown()
        thread.join()


def test_a_storage_across_the_network_has_three_requests_and_keeps_nothing(bucket: Proxy) -> None:
    assert check().is_possible()
    check().run()
    assert bucket.requests == 3
    assert not Provider.files
    bucket.wait_until(lambda one: not one.open)


def test_a_slow_storage_is_healthy(bucket: Proxy) -> None:
    bucket.delay(0.05)
    check().run()
    assert not Provider.files


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("hang", "It can't save a file. It did not answer in time."),
        ("cut", "It can't save a file. It closed the connection."),
        ("gone", "It can't save a file. Nothing listens there."),
    ],
)
def test_a_storage_that_is_away_is_unhealthy_and_keeps_no_connection(
    bucket: Proxy, fault: str, said: str
) -> None:
    getattr(bucket, fault)()
    with pytest.raises(CheckError) as caught:
        check().run()
    assert str(caught.value) == said
    bucket.wait_until(lambda one: not one.open)
