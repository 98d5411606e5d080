"""Text that came with telemetry, made safe to show: it can't move the cursor or hide anything."""

from __future__ import annotations

import unicodedata
from typing import Final

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
PLAIN: Final = str.maketrans(
    {
        "├": "|",
        "└": "`",
        "│": "|",
        "─": "-",
        "×": "x",
        "✗": "!",
        "↻": ">",
        "░": ".",
        "…": "~",
        "·": "-",
        "•": "*",
        "▏": "|",
        "█": "#",
        **dict.fromkeys("▎▍▌▋▊▉▐▕", "#"),
    }
)
"""For outputs that know no more than ASCII."""


def inert(text: str) -> str:
    """``text`` on one line, with anything that isn't printable replaced by U+FFFD."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        # Not printable: controls, formats (some turn the writing direction), surrogates, ...
        character if character.isprintable() else " " if character.isspace() else REPLACEMENT
        for character in text
    )


def cells(text: str) -> int:
    """How many columns of a terminal ``text`` takes."""
    if text.isascii():
        return len(text)
    return sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fit(text: str, width: int) -> str:
    """``text`` in at most ``width`` columns, an ellipsis where something is left out."""
    if len(text) > 4 * width + 16:
        text = text[: 4 * width + 16]
    if cells(text) <= width:
        return text
    taken, used = [], 0
    for character in text:
        used += _cells(character)
        if used > width - 1:
            break
        taken.append(character)
    return "".join(taken) + "…" if width > 0 else ""


def pad(text: str, width: int) -> str:
    """``text`` in exactly ``width`` columns."""
    shown = fit(text, width)
    return shown + " " * (width - cells(shown))
