"""A rule's runbook as its page shows it: the little of Markdown that runbooks are written in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGED: Final = Path(__file__).parent / "runbooks"
IN_THE_SOURCE: Final = Path(__file__).parents[2] / "docs" / "runbooks"
_INLINE: Final = re.compile(r"`([^`]+)`|\[([^\]]+)\]\(([^)\s]+)\)")
_ITEM: Final = re.compile(r"(?:-|\d+\.) (.*)", re.DOTALL)
_NAME: Final = re.compile(r"[A-Za-z0-9]{1,63}")
_OURS: Final = "/monitoring/"


class Piece(NamedTuple):
    """Some text; ``address`` is where it leads, empty: nowhere."""

    text: str
    code: bool = False
    address: str = ""


class Block(NamedTuple):
    """``kind`` is ``title``, ``text``, ``list`` or ``steps``; a list has several items."""

    kind: str
    items: list[list[Piece]]


def runbook(name: str, address: Callable[[str], str], base: str) -> list[Block]:
    """The runbook of a rule; empty where there is none.

    ``address`` is where another rule's page is; ``base`` the path below which the pages are.
    """
    if not _NAME.fullmatch(name):
        return []
    for folder in (PACKAGED, IN_THE_SOURCE):
        try:
            text = (folder / "alerts" / f"{name}.md").read_text(encoding="utf-8")
        except OSError:
            continue
        return list(_blocks(text, address, base))
    return []


def _blocks(text: str, address: Callable[[str], str], base: str) -> Iterator[Block]:
    """All but the title, and what leads to the documentation only."""

    def pieces(text: str) -> list[Piece]:
        return list(_pieces(" ".join(text.split()), address, base))

    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if paragraph.startswith("## "):
            yield Block("title", [pieces(paragraph[3:])])
        elif _ITEM.match(paragraph):
            items = re.split(r"\n(?=- |\d+\. )", paragraph)
            kind = "list" if paragraph.startswith("-") else "steps"
            yield Block(kind, [pieces(_ITEM.sub(r"\1", item)) for item in items])
        elif paragraph and not paragraph.startswith(("# ", "[When it fires]")):
            yield Block("text", [pieces(paragraph)])


def _pieces(text: str, address: Callable[[str], str], base: str) -> Iterator[Piece]:
    end = 0
    for found in _INLINE.finditer(text):
        if found.start() > end:
            yield Piece(text[end : found.start()])
        end = found.end()
        code, words, target = found.groups()
        if code is None:
            is_rule = target.endswith(".md") and "/" not in target
            yield Piece(words, address=address(target[:-3]) if is_rule else "")
        else:
            leads = code.startswith(_OURS)
            yield Piece(code, True, base + code.removeprefix(_OURS) if leads else "")
    if end < len(text):
        yield Piece(text[end:])
