"""Which checks there are: registered, built in, and as the settings want them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from otel_django import health
from otel_django.conf import Settings
from otel_django.errors import ConfigurationError
from otel_django.health.builtin import builtin
from otel_django.health.check import Registered
from otel_django.health.registry import SITE, Registry, UnknownCheckError


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = {check.name for check in SITE.checks("all")}
    yield
    for check in SITE.checks("all"):
        if check.name not in before:
            SITE.remove(check.name)


def nothing() -> None:
    pass


def names(registry: Registry, group: Any = "all") -> list[str]:
    return [check.name for check in registry.checks(group)]


def test_functions_and_classes_are_registered_under_their_names() -> None:
    @health.register(critical=True, groups=("ready", "startup"), timeout_s=0.5, ttl_s=30)
    def payments() -> None:
        pass

    @health.register()
    class StockLevel:
        async def run(self) -> health.Result:
            return health.Result("degraded")

    found = {check.name: check for check in SITE.checks("all")}
    assert found["payments"].run is payments
    assert found["payments"].groups == {"ready", "startup"}
    assert (found["payments"].critical, found["payments"].timeout_s) == (True, 0.5)
    assert found["payments"].ttl_s == 30
    assert found["stock_level"].groups == {"ready"}
    assert isinstance(StockLevel(), StockLevel)


def test_two_checks_of_one_name_are_refused() -> None:
    health.register("payments")(nothing)
    with pytest.raises(ConfigurationError, match="gives this one another name"):
        health.register("payments")(nothing)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a b", "", "é", "-cache", "a\n", "x" * 65, "A", "a/b", "\x00", "7"]
)
def test_names_that_could_be_anything_else_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="can't be a check's name"):
        Registry().add(Registered(name, nothing))


def test_a_group_that_there_is_not_is_refused() -> None:
    group: Any = "redy"
    with pytest.raises(ConfigurationError, match="live, ready, startup, all"):
        health.register("payments", groups=[group])(nothing)


def test_the_decorator_without_parentheses_is_explained() -> None:
    decorator: Any = health.register
    with pytest.raises(ConfigurationError, match="with parentheses"):
        decorator(nothing)


def test_groups_and_names_narrow_the_checks_down() -> None:
    registry = Registry()
    registry.add(Registered("cache", nothing, frozenset({"ready"})))
    registry.add(Registered("disk", nothing, frozenset()))
    assert names(registry) == ["cache", "disk"]
    assert names(registry, "ready") == ["cache"]
    assert names(registry, "live") == []
    assert [check.name for check in registry.checks("all", {"disk"})] == ["disk"]
    with pytest.raises(UnknownCheckError, match="not in the group ready: disk, nope"):
        registry.checks("ready", ["nope", "disk", "cache"])


def test_settings_leave_out_add_and_weigh() -> None:
    below = Registry()
    for name in ("cache", "disk", "storage", "cpu"):
        below.add(Registered(name, nothing, critical=name == "cache"))
    settings = Settings(
        health_disabled=("cpu", "nowhere"),
        health_critical=("storage", "-cache"),
        health_ready=("-disk", "storage"),
    )
    registry = Registry(settings, [below])
    assert names(registry) == ["cache", "disk", "storage"]
    assert names(registry, "ready") == ["cache", "storage"]
    assert [check.critical for check in registry.checks("all")] == [False, False, True]
    below.remove("disk")
    assert names(registry) == ["cache", "storage"]


def test_a_check_of_the_sites_own_takes_the_place_of_a_built_in_one() -> None:
    built_in, site = Registry(), Registry()
    built_in.add(Registered("cache", nothing, critical=True))
    site.add(Registered("cache", nothing))
    assert [check.critical for check in Registry(below=[built_in, site]).checks("all")] == [False]


def test_each_file_of_the_folder_is_found() -> None:
    found = builtin(Settings())
    assert {"database", "migrations", "cache"} <= set(names(found))
    assert names(found, "live") == []


def test_registering_loads_neither_opentelemetry_nor_psutil() -> None:
    code = (
        "import sys, otel_django.health as h\n"
        "h.register('a')(lambda: None)\n"
        "print([m for m in ('opentelemetry', 'psutil', 'django', 'asyncio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
