"""Acting on a module when it is imported, and not before."""

from __future__ import annotations

import importlib
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_django import guard
from otel_django.instrumentation import on_import
from otel_django.instrumentation.on_import import when_imported


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of modules that can be imported, forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]
    assert on_import._finder not in sys.meta_path


def test_the_action_runs_after_the_module_and_once(modules: Path) -> None:
    (modules / "late_one.py").write_text("value = 1")
    seen: list[int] = []
    when_imported("late_one", lambda: seen.append(sys.modules["late_one"].value))
    assert seen == []
    importlib.import_module("late_one")
    importlib.reload(sys.modules["late_one"])
    assert seen == [1]
    assert "exec_module" not in vars(sys.modules["late_one"].__spec__.loader)  # type: ignore[union-attr]


def test_an_action_may_wish_for_more_of_the_same_module(modules: Path) -> None:
    (modules / "late_two.py").write_text("value = 1")
    seen: list[int] = []

    def wish() -> None:
        when_imported("late_two", lambda: seen.append(sys.modules["late_two"].value))

    when_imported("late_two", wish)
    importlib.import_module("late_two")
    assert seen == [1]


def test_an_imported_module_is_acted_on_at_once() -> None:
    seen: list[str] = []
    when_imported("json", lambda: seen.append("json"))
    assert seen == ["json"]


def test_one_whose_import_is_going_on_is_waited_for(modules: Path) -> None:
    (modules / "half_done.py").write_text(
        "from otel_django.instrumentation.on_import import when_imported\n"
        "seen = []\n"
        "import sys\n"
        "when_imported('half_done', lambda: seen.append(sys.modules['half_done'].last))\n"
        "last = 'done'\n"
    )
    module = importlib.import_module("half_done")
    assert module.seen == []  # too late to watch this import; nothing half done is touched
    on_import._actions.pop("half_done")
    sys.meta_path.remove(on_import._finder)


def test_several_actions_and_a_submodule(modules: Path) -> None:
    (modules / "parcel").mkdir()
    (modules / "parcel" / "__init__.py").write_text("")
    (modules / "parcel" / "inner.py").write_text("")
    seen: list[str] = []
    when_imported("parcel.inner", lambda: seen.append("first"))
    when_imported("parcel.inner", lambda: seen.append("second"))
    importlib.import_module("parcel")
    assert seen == []
    importlib.import_module("parcel.inner")
    assert seen == ["first", "second"]


def test_a_wish_can_be_taken_back(modules: Path) -> None:
    (modules / "unwanted.py").write_text("")
    seen: list[str] = []
    forget = when_imported("unwanted", lambda: seen.append("acted"))
    forget()
    forget()
    importlib.import_module("unwanted")
    assert seen == []


def test_a_failing_action_leaves_the_import_alone(
    modules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "_strict", False)
    (modules / "fragile.py").write_text("value = 1")
    seen: list[str] = []

    def fail() -> None:
        raise RuntimeError("no")

    when_imported("fragile", fail)
    when_imported("fragile", lambda: seen.append("next"))
    assert importlib.import_module("fragile").value == 1
    assert seen == ["next"]


def test_a_module_that_fails_to_import_fails_as_before(modules: Path) -> None:
    (modules / "broken.py").write_text("raise ValueError('broken')")
    seen: list[str] = []
    forget = when_imported("broken", lambda: seen.append("acted"))
    with pytest.raises(ValueError, match="broken"):
        importlib.import_module("broken")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("no_such_module_at_all")
    assert seen == []
    forget()


def test_a_loader_that_several_modules_share(modules: Path) -> None:
    archive = modules / "archive.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("zipped_first.py", "import zipped_second")
        zipped.writestr("zipped_second.py", "")
    sys.path.insert(0, str(archive))
    seen: list[str] = []
    when_imported("zipped_first", lambda: seen.append("first"))
    try:
        importlib.import_module("zipped_first")
    finally:
        sys.path.remove(str(archive))
    assert seen == ["first"]
