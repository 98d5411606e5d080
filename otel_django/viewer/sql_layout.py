"""SQL laid out for people: each clause on a line of its own, conditions and subqueries indented."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from otel_django.instrumentation.sql import TOKEN

WIDTH: Final = 88
INDENT: Final = "  "
MOST_CHARACTERS: Final = 20_000
DEEPEST: Final = 20
_VERBS: Final = frozenset(
    ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "MERGE", "REPLACE", "VALUES", "EXPLAIN")
)
_CLAUSES: Final = frozenset(
    (
        *("SELECT", "FROM", "WHERE", "HAVING", "LIMIT", "OFFSET", "UNION", "INTERSECT", "EXCEPT"),
        *("VALUES", "SET", "RETURNING", "WINDOW", "FETCH", "INSERT", "UPDATE", "DELETE"),
    )
)
_BEFORE_BY: Final = frozenset(("GROUP", "ORDER"))
_JOINS: Final = frozenset(("JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS", "NATURAL"))
_CONDITIONS: Final = frozenset(("AND", "OR"))
_SELECT_LIST: Final = re.compile(
    r"\A(\s*SELECT\s+(?:DISTINCT\s+)?).*?(?=\sFROM\s)", re.IGNORECASE | re.DOTALL
)


def is_sql(text: str) -> bool:
    """Whether it begins as SQL does; other databases' statements are shown as they are."""
    return text.lstrip("( \n\t")[:12].partition(" ")[0].upper() in _VERBS


def laid_out(sql: str, width: int = WIDTH) -> str:
    """``sql`` on several lines; text that isn't SQL, or very long, as it is."""
    if not is_sql(sql) or len(sql) > MOST_CHARACTERS:
        return sql
    return "\n".join(_wrapped(_Layout().lines(sql), width))


def brief(sql: str) -> str:
    """On one line, without what is selected and quotes: ``SELECT … FROM product WHERE id = ?``."""
    shown = _SELECT_LIST.sub(r"\1…", sql[:MOST_CHARACTERS], count=1)
    return " ".join(shown.replace('"', "").split())


class _Layout:
    """Takes a statement token by token; each open parenthesis is a subquery's or a plain one."""

    def __init__(self) -> None:
        self._lines: list[tuple[int, list[str]]] = [(0, [])]
        self._open: list[bool] = []
        self._between = False
        self._before = ""

    def lines(self, sql: str) -> list[tuple[int, str]]:
        """Lines with how deep they are indented."""
        tokens = [(match.lastgroup, match.group()) for match in TOKEN.finditer(sql)]
        words = [text.upper() if kind == "word" else "" for kind, text in tokens]
        for index, (kind, text) in enumerate(tokens):
            if kind == "space":
                self._add(" ")
            elif kind == "word":
                self._word(text, words[index], _next_word(words, tokens, index))
            elif text == "(":
                self._add(text)
                subquery = _next_word(words, tokens, index) in ("SELECT", "WITH")
                self._open.append(subquery)
                if subquery:
                    self._begin()
            elif text == ")":
                if self._open and self._open.pop():
                    self._begin()
                self._add(text)
            else:
                self._add(text)
        return [(depth, "".join(parts).strip()) for depth, parts in self._lines]

    def _word(self, text: str, word: str, following: str) -> None:
        if not self._open or self._open[-1]:
            if word in _CONDITIONS:
                if not (word == "AND" and self._between):
                    self._begin(1)
                self._between = False
            elif self._begins_clause(word, following):
                self._begin()
            self._between = self._between or word == "BETWEEN"
        self._before = word
        self._add(text)

    def _begins_clause(self, word: str, following: str) -> bool:
        if word in _BEFORE_BY:
            return following == "BY"
        if word in _JOINS:
            return self._before not in _JOINS and self._before != "OUTER"
        if word in ("UPDATE", "DELETE", "SET") and self._before in ("FOR", "ON", "DO", "CONFLICT"):
            return False
        return word in _CLAUSES and not (word == "FROM" and self._before in ("DELETE", "DISTINCT"))

    def _begin(self, more: int = 0) -> None:
        """A new line, unless this one is empty still."""
        depth = min(sum(self._open), DEEPEST) + more
        if "".join(self._lines[-1][1]).strip():
            self._lines.append((depth, []))
        else:
            self._lines[-1] = (depth, [])

    def _add(self, text: str) -> None:
        self._lines[-1][1].append(text)


def _next_word(words: list[str], tokens: list[tuple[str | None, str]], index: int) -> str:
    for later in range(index + 1, min(index + 3, len(tokens))):
        if tokens[later][0] != "space":
            return words[later]
    return ""


def _wrapped(lines: list[tuple[int, str]], width: int) -> Iterator[str]:
    """Lines that are too long are continued after a comma, where there is one."""
    for depth, line in lines:
        indent = INDENT * depth
        rest = line
        while len(indent) + len(rest) > width:
            at = rest.rfind(", ", 0, width - len(indent))
            at = at if at > 0 else rest.find(", ")
            if at < 0:
                break
            yield f"{indent}{rest[: at + 1]}"
            rest = rest[at + 2 :]
            indent = INDENT * (depth + 2)
        yield f"{indent}{rest}"
