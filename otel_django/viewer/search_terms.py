"""The grammar of searches: ``words "two words" key:value duration>200ms``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MOST_CHARACTERS: Final = 500
MOST_TERMS: Final = 20
LONGEST_NS: Final = 1 << 62
UNITS_NS: Final = {
    "µs": 1_000,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_TOKEN: Final = re.compile(r'(?:[^\s"]|"[^"]*(?:"|$))+')
_KEYED: Final = re.compile(r"([A-Za-z_][\w.+/-]*)(:?[<>]=?|[:=])(.*)", re.DOTALL)
_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([a-zµ]{1,3})", re.ASCII | re.IGNORECASE)


class Mistake(ValueError):
    """What can't be understood, in words for the one who searches."""


@dataclass(frozen=True, slots=True)
class Term:
    """``key`` is as it was written, empty for words; ``sign`` is one of ``: > < >= <=``."""

    key: str
    sign: str
    value: str

    def __str__(self) -> str:
        """As it is written in a search."""
        return written(self.key, self.value, self.sign)

    @property
    def any_end(self) -> bool:
        """Whether the value may go on: it ends in ``*``."""
        return self.value.endswith("*")


def written(key: str, value: str, sign: str = ":") -> str:
    """A term for a link to a search; quoted where it has to be."""
    value = value.replace('"', " ")
    quoted = f'"{value}"' if re.search(r"\s", value) or not value else value
    if key:
        return f"{key}{sign}{quoted}"
    return f'"{value}"' if _KEYED.fullmatch(value) or value.startswith("-") else quoted


def split(text: str) -> tuple[list[Term], list[str]]:
    """The terms, and what to say about what isn't one."""
    terms: list[Term] = []
    mistakes: list[str] = []
    if len(text) > MOST_CHARACTERS:
        mistakes.append(f"only the first {MOST_CHARACTERS} characters were read")
    tokens = _TOKEN.findall(text[:MOST_CHARACTERS])
    if len(tokens) > MOST_TERMS:
        mistakes.append(f"only the first {MOST_TERMS} words were read")
    for token in tokens[:MOST_TERMS]:
        try:
            term = _term(token)
        except Mistake as mistake:
            mistakes.append(f"{shortened(token).rstrip(':')}: {mistake}")
        else:
            if term.value:
                terms.append(term)
    if text[:MOST_CHARACTERS].count('"') % 2:
        mistakes.append('a quotation mark has no partner: it was closed at the end (")')
    return terms, mistakes


def _term(token: str) -> Term:
    keyed = None if token.startswith('"') else _KEYED.fullmatch(token)
    if keyed is None or keyed[3].startswith("//"):
        if token.startswith("-") and _KEYED.fullmatch(token[1:]):
            raise Mistake("leaving something out isn't possible; ask for what is wanted")
        return Term("", ":", token.replace('"', "").strip())
    value = keyed[3].replace('"', "").strip()
    if not value:
        raise Mistake("a value is missing behind it")
    return Term(keyed[1], keyed[2].replace("=:", ":").lstrip(":=") or ":", value)


def duration_ns(text: str) -> int:
    """``200ms``, ``1.5s``, ``2min``.

    Raises:
        Mistake: it is none of these.
    """
    match = _DURATION.fullmatch(text.strip())
    unit = match and UNITS_NS.get(match[2].lower())
    if match is None or unit is None:
        raise Mistake("a time such as 200ms, 1.5s or 2min is wanted")
    return min(int(float(match[1]) * unit), LONGEST_NS)


def shortened(text: str, longest: int = 60) -> str:
    """For messages."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
