"""Instrumentors of installed packages are found and switched on, each with its library.

The packages are made for the test: a library, its instrumentor and the metadata that pip writes.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from otel_django.bootstrap.instrumentations import _of_this_package
from otel_django.conf import Settings
from otel_django.conf.standard_variables import INSTRUMENTATION
from otel_django.instrumentation import semconv_opt_in
from otel_django.instrumentation.contrib import ContribInstrumentation
from otel_django.instrumentation.contrib_libraries import NEVER
from otel_django.instrumentation.contrib_offers import GROUP, Offer, installed, offers
from tests.tracing_kit import Collected

INSTRUMENTOR = """
import {library}
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

class Instrumentor(BaseInstrumentor):
    given = None

    def instrumentation_dependencies(self):
        return {requires!r}

    def _instrument(self, **given):
        {body}
        type(self).given = given

    def _uninstrument(self, **given):
        type(self).given = None
"""

Offering = Callable[..., str]
Install = Callable[..., ContribInstrumentation]


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Offering]:
    """Install a library and an instrumentor of it; gives the instrumentor's module."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def offer(
        name: str, library: str = "", requires: tuple[str, ...] = (), body: str = "pass"
    ) -> str:
        module = f"instrumentor_{name.replace('-', '_')}"
        source = INSTRUMENTOR.format(library=library or "sys", requires=requires, body=body)
        (tmp_path / f"{module}.py").write_text(source)
        if library:
            (tmp_path / f"{library}.py").touch()
        metadata = tmp_path / f"{module}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Name: {module}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {module}:Instrumentor\n")
        importlib.invalidate_caches()
        return module

    yield offer
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Switch on what is offered, until the test ends."""
    monkeypatch.setenv(semconv_opt_in.VARIABLE, "")
    made: list[ContribInstrumentation] = []

    def install(*disabled: str) -> ContribInstrumentation:
        instrumentation = ContribInstrumentation()
        made.append(instrumentation)
        settings = Settings(disabled_instrumentations=frozenset(disabled))
        instrumentation.install(Collected().tracer, settings)
        return instrumentation

    yield install
    for instrumentation in made:
        instrumentation.uninstall()


def given(module: str) -> dict[str, Any] | None:
    """What the instrumentor of ``module`` was switched on with; None: it is off."""
    loaded = sys.modules.get(module)
    return None if loaded is None else loaded.Instrumentor.given


def test_an_instrumentor_is_loaded_when_its_library_is_imported(
    offer: Offering, install: Install
) -> None:
    module = offer("pika", "pika")
    install()
    assert module not in sys.modules
    importlib.import_module("pika")
    assert list(given(module) or {}) == ["tracer_provider"]


def test_one_of_a_library_that_nobody_knows_is_loaded_at_once(
    offer: Offering, install: Install
) -> None:
    module = offer("somebodys-own", "somebodys_library")
    install()
    assert given(module) is not None


@pytest.mark.parametrize("name", sorted({*NEVER, "system-metrics"}))
def test_what_this_package_observes_itself_is_never_loaded(
    offer: Offering, install: Install, name: str
) -> None:
    module = offer(name)
    install()
    assert module not in sys.modules


@pytest.mark.parametrize("disabled", ["aiohttp-thing", "aiohttp_thing"])
def test_a_disabled_one_is_not_loaded(offer: Offering, install: Install, disabled: str) -> None:
    module = offer("aiohttp-thing")
    install(disabled)
    assert module not in sys.modules


def test_of_two_that_would_tell_the_same_call_one_is_on(offer: Offering, install: Install) -> None:
    outer, inner = offer("boto3", "boto3"), offer("botocore")
    first = install()
    importlib.import_module("boto3")
    assert outer not in sys.modules
    first.uninstall()
    install("botocore")
    assert given(outer) is not None
    assert given(inner) is None


def test_one_for_another_version_is_left_off_and_said_once(
    offer: Offering, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    module = offer("pika", "pika", requires=("django<1",))
    install()
    with caplog.at_level(logging.INFO, "otel_django"):
        importlib.import_module("pika")
    (record,) = caplog.records
    assert (record.levelname, "'pika' is left off" in record.message) == ("WARNING", True)
    assert "django<1" in record.message
    assert given(module) is None


@pytest.mark.parametrize(
    "options",
    [{"requires": ("not-there-at-all>=1",)}, {"library": "thing", "body": "import not_there"}],
)
def test_one_whose_library_is_not_installed_is_left_off_silently(
    offer: Offering, install: Install, caplog: pytest.LogCaptureFixture, options: dict[str, Any]
) -> None:
    offer("somebodys", **options)
    with caplog.at_level(logging.INFO):
        install()
    assert caplog.records == []


def test_one_that_fails_is_said_and_its_library_works(
    offer: Offering, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    module = offer("pika", "pika", body="raise RuntimeError('bad')")
    install()
    importlib.import_module("pika")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "'pika' can't be switched on: RuntimeError('bad')" in caplog.text
    assert given(module) is None


def test_one_that_the_site_has_switched_on_is_left_as_it_is(
    offer: Offering, install: Install
) -> None:
    module = offer("somebodys")
    instrumentor = importlib.import_module(module).Instrumentor()
    instrumentor.instrument(hook="mine")
    install().uninstall()
    assert given(module) == {"hook": "mine"}


def test_one_that_the_site_imports_is_the_sites_to_switch_on(
    offer: Offering, install: Install
) -> None:
    module = offer("pika", "pika")
    install()
    instrumentor = importlib.import_module(module).Instrumentor()  # imports pika in turn
    assert given(module) is None
    instrumentor.instrument(hook="mine")
    assert given(module) == {"hook": "mine"}


def test_uninstall_switches_off_and_takes_back_what_waits(
    offer: Offering, install: Install
) -> None:
    on, waiting = offer("somebodys"), offer("pika", "pika")
    instrumentation = install()
    instrumentation.uninstall()
    importlib.import_module("pika")
    assert given(on) is None
    assert waiting not in sys.modules
    instrumentation.install(Collected().tracer, Settings())
    instrumentation.install(Collected().tracer, Settings())
    assert given(on) is not None
    assert given(waiting) is not None
    instrumentation.uninstall()
    assert given(on) is None


@pytest.mark.parametrize(
    ("chosen", "written"),
    [
        (set(), "http,database"),
        ({"http/dup"}, "http/dup,database"),
        ({"http", "database/dup"}, "database/dup,http"),
        ({"gen_ai_latest_experimental"}, "gen_ai_latest_experimental,http,database"),
    ],
)
def test_instrumentors_write_stable_names_beside_what_the_user_chose(
    monkeypatch: pytest.MonkeyPatch, chosen: set[str], written: str
) -> None:
    monkeypatch.setenv(semconv_opt_in.VARIABLE, "x")
    semconv_opt_in.opt_in(chosen)
    assert os.environ[semconv_opt_in.VARIABLE] == written


def test_what_is_installed_is_found_as_the_library_finds_it(offer: Offering) -> None:
    offer("pika", "pika")
    expected = entry_points(group=GROUP)
    assert sorted(installed()) == sorted((each.name, each.module, each.attr) for each in expected)


def test_packages_in_a_zip_file_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("packed-1.dist-info/METADATA", "Name: packed\nVersion: 1\n")
        file.writestr("packed-1.dist-info/entry_points.txt", f"[{GROUP}]\npacked = a.b:C.d\n")
    monkeypatch.syspath_prepend(packed)
    assert Offer("packed", "a.b", "C.d") in installed()


def test_of_a_package_that_is_there_twice_the_first_counts(tmp_path: Path) -> None:
    for folder, module in (("first", "mine"), ("second", "theirs")):
        metadata = tmp_path / folder / "shop-1.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "entry_points.txt").write_text(
            f"[other]\na = b:C\n\n[{GROUP}]\n# why\nshop = {module}:Shop [extra]\n[more]\nx = y:Z"
        )
    paths = [str(tmp_path / name) for name in ("not-there", "first", "second")]
    assert offers(paths) == [Offer("shop", "mine", "Shop")]


def test_the_setting_says_all_names_that_it_knows() -> None:
    text = next(each.doc for each in INSTRUMENTATION if each.field == "disabled_instrumentations")
    life: Any = None  # nothing is made
    for name in _of_this_package(Settings(detail="full"), life):
        assert f"`{name}`" in text
