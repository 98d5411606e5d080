"""Links between the project's pages lead somewhere, down to the heading; each can be reached."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (
    "docs",
    "deploy",
    "collector-config",
    "dashboards",
    "examples",
    "benchmarks",
    "tests",
    "otel_django",
)
PAGES = sorted(
    [*ROOT.glob("*.md"), *(page for name in FOLDERS for page in (ROOT / name).rglob("*.md"))]
)
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s+(\S+)", re.MULTILINE)
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)
IN_A_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def links(page: Path) -> Iterator[str]:
    """Those to other pages, and to places in this one."""
    text = CODE.sub("", FENCE.sub("", page.read_text(encoding="utf-8")))
    for found in LINK.finditer(text):
        target = found[1] or found[2]
        if not urlsplit(target).scheme:
            yield target


@functools.cache
def anchors(page: Path) -> frozenset[str]:
    """Of its headings, as GitHub makes them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    seen: Counter[str] = Counter()
    found = set(re.findall(r'<a (?:id|name)="([^"]+)"', text))
    for heading in HEADING.findall(text):
        words = re.sub(r"[^\w\- ]", "", IN_A_LINK.sub(r"\1", heading).lower()).replace(" ", "-")
        found.add(f"{words}-{seen[words]}" if seen[words] else words)
        seen[words] += 1
    return frozenset(found)


def target_of(page: Path, link: str) -> tuple[Path, str]:
    """The file or folder, and the place in it."""
    path, _, anchor = link.partition("#")
    return (page.parent / unquote(path)).resolve() if path else page, anchor


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_leads_to_a_page_and_a_heading_of_it(page: Path) -> None:
    lost = []
    for link in links(page):
        target, anchor = target_of(page, link)
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


def test_each_page_of_the_docs_is_linked_from_another() -> None:
    linked = {
        target_of(page, link)[0]
        for page in PAGES
        for link in links(page)
        if target_of(page, link)[0] != page
    }
    docs = {page for page in PAGES if page.is_relative_to(ROOT / "docs")}
    lost = {page for page in docs - linked if page.parent not in linked}
    assert sorted(page.relative_to(ROOT).as_posix() for page in lost) == []
