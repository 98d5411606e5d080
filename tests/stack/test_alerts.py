"""Real faults fire real rules: people are told once, the site keeps it once, and both hear the end.

Prometheus 3 evaluates the deployed rules, Debian's Alertmanager tells people (a webhook) and the
site. The site's own channel says nothing: who evaluates tells.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.integration.shop_kit import BAD_CARD, GOOD_CARD, Visitor
from tests.stack.alerting_kit import PATIENCE_S, Stand, stand
from tests.stack.stack_kit import wait_until

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """Everything, well."""
    with stand(tmp_path_factory.mktemp("alerts")) as running:
        yield running


class Expected:
    """An alert that doesn't fire yet, and what is to be heard of it from now on."""

    def __init__(self, site: Stand, name: str, **labels: str) -> None:
        self._site, self._name, self._labels = site, name, labels
        self._until(lambda: not self._fires(), "quiet before")
        self._until(lambda: not self._active(), "quiet at the site before")
        self._told_before = len(site.told(name, **labels))
        self._kept_before = site.has(name, "history", **labels)

    def fires(self) -> None:
        """In Prometheus, and people are told, once."""
        self._until(self._fires, "in Prometheus")
        self._until(self.told, "at people")
        assert self.told() == ["firing"]

    def is_kept(self) -> None:
        """The site shows it, once."""
        self._until(lambda: self._active() == 1, "at the site")
        assert self._over() == 0

    def still_fires(self) -> None:
        """In Prometheus as it runs now, and the site has heard so since; nobody is told again."""
        self._until(self._fires, "in Prometheus again")
        self._site.is_heard_of(self._name)
        assert self.told() == ["firing"]
        self.is_kept()

    def ends(self) -> None:
        """Everybody hears of it, once; nothing came out of the site's own channel."""
        self._until(lambda: len(self.told()) > 1, "its end at people")
        self._until(self._over, "its end at the site")
        assert self.told() == ["firing", "resolved"]
        assert (self._over(), self._active()) == (1, 0)
        assert self._site.channel.requests == []

    def told(self) -> list[str]:
        """What people were told."""
        return self._site.told(self._name, **self._labels)[self._told_before :]

    def _fires(self) -> bool:
        return self._site.prometheus.firing(self._name, **self._labels)

    def _active(self) -> int:
        return self._site.has(self._name, "active", **self._labels)

    def _over(self) -> int:
        return self._site.has(self._name, "history", **self._labels) - self._kept_before

    def _until(self, condition: Callable[[], object], what: str) -> None:
        def holds() -> bool:
            with contextlib.suppress(OSError):  # what is asked comes back in time
                return bool(condition())
            return False

        wait_until(holds, PATIENCE_S, f"{self._name}: {what}")


@contextlib.contextmanager
def again_and_again(do: Callable[[], object]) -> Iterator[None]:
    """While the block runs."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(0.5):
            do()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_errors_are_told_once_whatever_is_killed_meanwhile(site: Stand) -> None:
    expected = Expected(site, "HighErrorRate", job="shop")
    visitor = Visitor(site.web.port)
    visitor.buy(BAD_CARD)  # what is in the cart stays there
    [token] = set(TOKEN.findall(visitor.ask("/checkout/")))
    form = {"email": "v@example.org", "card": BAD_CARD, "csrfmiddlewaretoken": token}
    with again_and_again(lambda: visitor.ask("/checkout/", **form)):
        expected.fires()
        expected.is_kept()
        for program in (site.prometheus, site.alertmanager, site.web):
            program.kill()
            program.start()
            expected.still_fires()
    expected.ends()


def test_a_killed_worker(site: Stand) -> None:
    expected = Expected(site, "NoWorkers", job="shop")
    site.worker.kill()
    Visitor(site.web.port).buy(GOOD_CARD)
    expected.fires()
    expected.is_kept()
    site.worker.start()
    expected.ends()


def test_a_database_that_is_away_is_kept_once_it_is_back(site: Stand) -> None:
    expected = Expected(site, "HealthCheckFailing", job="shop", health_check_name="database")
    site.database.stop()
    expected.fires()  # though the site has nowhere to keep it
    site.database.start()
    expected.ends()


@pytest.mark.parametrize(("name", "job"), [("web", "shop"), ("collector", "collector")])
def test_a_target_that_is_gone(site: Stand, name: str, job: str) -> None:
    program = getattr(site, name)
    instance = f"127.0.0.1:{getattr(program, 'metrics_port', program.port)}"
    expected = Expected(site, "TargetDown", job=job, instance=instance)
    program.kill()
    expected.fires()
    program.start()
    expected.ends()
