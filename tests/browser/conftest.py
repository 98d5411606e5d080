"""The demonstration, running, and a real browser that looks at it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.looking import Browser, chromium
from tests.demo_kit import DEMO, demo_environment

READY_WITHIN_S = 150


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the demonstration's pages, once there is something to see on each."""
    with running_demo(tmp_path_factory.mktemp("demo")) as address:
        yield address


@contextlib.contextmanager
def running_demo(folder: Path) -> Iterator[str]:
    """The demonstration with its visitors, until a checkout has been through."""
    environment = demo_environment(folder / "data")
    with (folder / "output").open("w+b") as output:
        process = subprocess.Popen(
            [sys.executable, DEMO],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            address = f"http://127.0.0.1:{environment['PORT']}/monitoring/"
            _wait_for_checkouts(address, process, folder)
            yield address
            assert process.poll() is None, output_of(folder)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def output_of(folder: Path) -> str:
    """The last of what the demonstration said."""
    return (folder / "output").read_text("utf-8", "replace")[-2000:]


def _wait_for_checkouts(address: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"{address}traces/?q=confirm", timeout=10) as answer,
        ):
            if b"<tbody" in answer.read():
                return
        time.sleep(1)
    raise AssertionError(output_of(folder))


@pytest.fixture(scope="session")
def _browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def browser(_browser: Browser) -> Iterator[Browser]:
    """One window; after each test nothing may have gone wrong in it."""
    _browser.begin()
    yield _browser
    _browser.assert_nothing_went_wrong()
