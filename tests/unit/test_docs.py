"""What is written by hand for developers names all that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import otel_django

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path.parent.name for path in Path(otel_django.__file__).parent.glob("*/*.py"))
DEPENDENCY = re.compile(r'^(?:\w+ = \[| {4})"([\w.-]+)', re.MULTILINE)
VERSION_HEADING = re.compile(r"## \[\d+\.\d+\.\d+\] - (?:unreleased|\d{4}-\d\d-\d\d)")
STUBS_OR_INSTRUMENTORS = re.compile("types-|opentelemetry-instrumentation-(?!django|celery)")


@pytest.mark.parametrize("package", sorted(set(PACKAGES)))
def test_how_it_works_names_each_package(package: str) -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert f"`{package}/`" in text


def test_each_dependency_has_its_line() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").lower()
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = project[project.index("\ndependencies = [") : project.index("[tool.hatch")]
    found = {name.lower().removesuffix("-binary") for name in DEPENDENCY.findall(listed)}
    assert {"django", "grafana-foundation-sdk", "mypy"} <= found
    assert [
        name
        for name in sorted(found)
        if not STUBS_OR_INSTRUMENTORS.match(name)
        and not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)
    ] == []


def test_each_system_package_of_the_checks_has_its_line() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").replace("\\\n", " ")
    installed = {
        word
        for line in re.findall(r"apt-get install (.+)", script)
        for word in line.partition(">")[0].split()
        if not word.startswith("-")
    }
    assert "faketime" in installed
    assert [name for name in sorted(installed) if f"`{name}`" not in text] == []


def test_changes_are_listed_once_under_versions() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## .*", text, re.MULTILINE)
    assert versions
    assert [each for each in versions if not VERSION_HEADING.fullmatch(each)] == []
    changes = re.findall(r"^- (?:.+\n?)(?:^  .+\n?)*", text, re.MULTILINE)
    assert len(set(changes)) == len(changes) > 0
