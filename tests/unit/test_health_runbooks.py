"""Each built-in check has a page that says what to do, and the index tells its groups."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from otel_django.conf import Settings
from otel_django.health.builtin import builtin
from otel_django.health.check import Registered

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
CHECKS = builtin(Settings()).checks("all")
IN_INDEX = {
    frozenset({"ready", "startup"}): "both",
    frozenset({"startup"}): "`startup`",
    frozenset({"ready"}): "`ready`",
    frozenset(): "–",
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_check_has_a_page_and_a_line_in_the_index(check: Registered) -> None:
    page = RUNBOOKS / f"{check.name}.md"
    assert page.read_text(encoding="utf-8").startswith(f"# {check.name}\n")
    index = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(rf"^\| \[{check.name}\]\({page.name}\) \|.*$", index, re.MULTILINE)
    *_, groups, critical, _ = (cell.strip() for cell in line.split("|"))
    assert groups == IN_INDEX[check.groups - {"all"}]
    assert critical == ("critical" if check.critical else "not critical")


def test_there_is_no_page_without_a_check() -> None:
    pages = {page.stem for page in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == {check.name for check in CHECKS}
