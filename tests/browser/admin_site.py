"""A site with an admin, people who log in, and the real monitoring service beside it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests import server_process
from tests.browser.looking import Browser
from tests.server_process import Server, runserver
from tests.servers.test_run_monitoring import environ_of, manage, monitoring
from tests.stub_collector_process import free_port

PASSWORD: Final = "only-for-tests"
_PEOPLE: Final = f"""
from django.contrib.auth.models import Permission, User
User.objects.create_superuser("root", "", "{PASSWORD}")
User.objects.create_user("bob", "", "{PASSWORD}", is_staff=True)
ada = User.objects.create_user("ada", "", "{PASSWORD}", is_staff=True)
ada.user_permissions.add(
    *Permission.objects.filter(codename__in=["acknowledge_alerts", "silence_alerts"])
)
"""
"""``ada`` may acknowledge and silence alerts, ``bob`` is of the staff and may do nothing."""


class AdminSite:
    """Reached at ``address``; it keeps what it measures, and can go away and come back."""

    def __init__(self, folder: Path, theme: str = "admin") -> None:
        self.environ = environ_of(
            folder, DJANGO_SETTINGS_MODULE=f"tests.site.settings_with_{theme}"
        )
        for arguments in (("migrate", "-v0"), ("shell", "-v0", "-c", _PEOPLE)):
            done = manage(self.environ, *arguments)
            assert done.returncode == 0, done.stderr
        self._port = free_port()
        self._running = contextlib.ExitStack()
        self._server: Server | None = None
        self.root = f"http://127.0.0.1:{self._port}/"
        self.address = f"{self.root}monitoring/"

    def begin(self) -> None:
        """Answer, from now on."""
        command = runserver("--noreload", "--skip-checks", "--insecure")
        serving = server_process.serving(command, self.environ, port=self._port)
        self._server = self._running.enter_context(serving)

    def end(self) -> None:
        """Be away."""
        self._running.close()

    def fail(self) -> None:
        """Answer a request with 500."""
        assert self._server is not None
        assert self._server.get("/answers-500/").status == 500

    def log_in(self, browser: Browser, name: str, path: str = "monitoring/") -> None:
        """By the form that whoever isn't known is led to; then back at the page."""
        browser.forget()
        browser.expected.append("favicon.ico")  # of the login; the site has none
        browser.open(self.root + path)
        browser.one("#id_username").send_keys(name)
        browser.type("#id_password", PASSWORD)
        browser.wait(lambda: "/login/" not in browser.address)


@contextlib.contextmanager
def admin_site(folder: Path, theme: str = "admin") -> Iterator[AdminSite]:
    """``theme`` is ``admin`` or ``unfold``."""
    site = AdminSite(folder, theme)
    site.begin()
    try:
        yield site
    finally:
        site.end()


@contextlib.contextmanager
def firing(site: AdminSite, folder: Path) -> Iterator[None]:
    """The service runs, and has found that requests fail."""
    with monitoring(site.environ, folder / "monitoring.log", "--interval", "1") as service:
        deadline = time.monotonic() + 45
        while "alert.fired" not in service.output():
            assert time.monotonic() < deadline, service.output()
            site.fail()
            time.sleep(0.2)
        yield
