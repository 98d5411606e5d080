"""Takes literals and comments out of SQL, so that no value can leave in a statement's text.

A mistake in where a string ends would turn the text after it inside out. So each dialect has its
own lexical rules, and where a server setting decides how a text reads (a backslash before a quote
under ``NO_BACKSLASH_ESCAPES`` or ``standard_conforming_strings``), all that follows is masked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

_IDENT = r"A-Za-z0-9_$\x80-\U0010ffff"
_ALONE = rf"(?<![{_IDENT}])"
_PREFIX = rf"(?:{_ALONE}(?:[NnXxBb]|[Uu]&))?"
_PLAIN = r"'[^']*(?:''[^']*)*(?:'|\Z)"
_ESCAPED = r"'(?:[^'\\]+|\\.|'')*(?:'|\\?\Z)"
_NUMBER = rf"{_ALONE}\.?[0-9][{_IDENT}.]*(?:(?<=[eE])[+-][0-9]+)?"
_Q_QUOTED = (
    rf"{_ALONE}[Nn]?[Qq]'(?:\[.*?(?:\]'|\Z)|\{{.*?(?:\}}'|\Z)|<.*?(?:>'|\Z)|\(.*?(?:\)'|\Z)"
    r"|(?P<delimiter>\S).*?(?:(?P=delimiter)'|\Z))"
)
_DOLLAR = rf"{_ALONE}\$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$"
_DOUBLE = r'"[^"]*(?:""[^"]*)*(?:"|\Z)'
_BACKTICK = r"`[^`]*(?:``[^`]*)*(?:`|\Z)"
_BRACKET = r"\[[^\]]*(?:\]|\Z)"
_DOUBLED_BRACKET = r"\[[^\]]*(?:\]\][^\]]*)*(?:\]|\Z)"

# Group names say what to do with a match: see _ACTIONS.
_RULES: dict[str, tuple[tuple[str, str], ...]] = {
    "postgresql": (
        ("drop", r"--[^\n\r]*"),
        ("nested", r"/\*"),
        ("value", rf"{_ALONE}[eE]{_ESCAPED}"),
        ("plain", _PREFIX + _PLAIN),
        ("quoted", _DOUBLE),
        ("dollar", _DOLLAR),
        ("value2", _NUMBER),
    ),
    "mysql": (
        ("drop", r"--(?:[\x00-\x20][^\n]*|\Z)|#[^\n]*"),
        ("executable", r"/\*(?:M?!|\+).*?(?:\*/|\Z)"),
        ("comment", r"/\*.*?(?:\*/|\Z)"),
        ("escaped", _PREFIX + _ESCAPED),
        ("escaped2", _ESCAPED.replace("'", '"')),
        ("quoted", _BACKTICK),
        ("stop", _DOLLAR),  # bodies of stored programs, in some servers
        ("value", _NUMBER),
    ),
    "sqlite": (
        ("drop", r"--[^\n]*"),
        ("comment", r"/\*.*?(?:\*/|\Z)"),
        ("value", _PREFIX + _PLAIN),
        ("quoted", f"{_DOUBLE}|{_BACKTICK}|{_BRACKET}"),
        ("keep", r"\?[0-9]+"),
        ("value2", _NUMBER),
    ),
    "oracle": (
        ("drop", r"--[^\n]*"),
        ("comment", r"/\*.*?(?:\*/|\Z)"),
        ("value", _Q_QUOTED),
        ("value2", _PREFIX + _PLAIN),
        ("quoted", _DOUBLE),
        ("keep", rf":[0-9]+(?![{_IDENT}.])"),
        ("value3", _NUMBER),
    ),
    "microsoft": (
        ("drop", r"--[^\n\r]*"),
        ("nested", r"/\*"),
        ("value", _PREFIX + _PLAIN),
        ("quoted", f"{_DOUBLE}|{_DOUBLED_BRACKET}"),
        ("value2", rf"{_ALONE}\$[0-9.,]+|{_NUMBER}"),
    ),
    # A server whose rules are unknown: what may be read in two ways ends the text.
    "": (
        ("drop", r"--(?:\s[^\n\r]*|\Z)"),
        ("stop", rf"--|\#|{_DOLLAR}"),
        ("comment", r"/\*.*?(?:\*/|\Z)"),
        ("plain", _PREFIX + _PLAIN),
        ("plain2", _DOUBLE),
        ("quoted", _BACKTICK),
        ("value", rf"{_ALONE}\$[0-9.,]+|{_NUMBER}"),
    ),
}
_ODD_BACKSLASHES = re.compile(r"""(?<!\\)(?:\\\\)*\\['"]""")
_QUOTE_OR_COMMENT = re.compile(r"""['"`#]|--|/\*""")
_COMMENT_EDGE = re.compile(r"/\*|\*/")

# A handler gets the SQL and the match's bounds; it returns what to write and where to go on,
# past the end for "mask the rest".
Handler = Callable[[str, int, int], tuple[str, int]]


def _value(sql: str, start: int, end: int) -> tuple[str, int]:
    return "?", end


def _keep(sql: str, start: int, end: int) -> tuple[str, int]:
    return sql[start:end], end


def _drop(sql: str, start: int, end: int) -> tuple[str, int]:
    return " ", end


def _stop(sql: str, start: int, end: int) -> tuple[str, int]:
    return "?", len(sql)


def _string_without_escapes(sql: str, start: int, end: int) -> tuple[str, int]:
    """A string in which a server setting may make the backslash an escape."""
    text = sql[start:end]
    if text[0] == '"':
        return ("?", len(sql)) if "\\" in text else _quoted(sql, start, end)
    if "\\" not in text or not _ODD_BACKSLASHES.search(text):
        return "?", end
    escape = text == r"'\'" and sql[max(0, start - 12) : start].upper().rstrip().endswith("ESCAPE")
    return "?", end if escape else len(sql)


def _string_with_escapes(sql: str, start: int, end: int) -> tuple[str, int]:
    """A string in which a server setting may make the backslash a plain character."""
    if "\\" in sql[start:end] and _ODD_BACKSLASHES.search(sql, start, end):
        return "?", len(sql)
    return "?", end


def _quoted(sql: str, start: int, end: int) -> tuple[str, int]:
    """A quoted identifier; one that doesn't end is masked."""
    if sql[start] == "[":
        closed = sql.count("]", start, end) % 2 == 1
    else:
        closed = sql.count(sql[start], start, end) % 2 == 0
    return (sql[start:end], end) if closed else ("?", len(sql))


def _comment(sql: str, start: int, end: int) -> tuple[str, int]:
    """A comment that can't nest; one that looks nested is doubtful."""
    return (" ?", len(sql)) if sql.find("/*", start + 2, end) >= 0 else (" ", end)


def _executable_comment(sql: str, start: int, end: int) -> tuple[str, int]:
    """MySQL reads ``/*! ... */`` as code, in which a string could hold what ends the comment."""
    doubtful = _QUOTE_OR_COMMENT.search(sql, start + 2, end)
    return (" ?", len(sql)) if doubtful else (" ", end)


def _nested_comment(sql: str, start: int, end: int) -> tuple[str, int]:
    depth = 0
    for edge in _COMMENT_EDGE.finditer(sql, start):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return " ", edge.end()
    return " ", len(sql)


def _dollar(sql: str, start: int, end: int) -> tuple[str, int]:
    closing = sql.find(sql[start:end], end)
    return "?", len(sql) if closing < 0 else closing + end - start


_ACTIONS: dict[str, Handler] = {
    "value": _value,
    "keep": _keep,
    "drop": _drop,
    "stop": _stop,
    "plain": _string_without_escapes,
    "escaped": _string_with_escapes,
    "quoted": _quoted,
    "comment": _comment,
    "nested": _nested_comment,
    "executable": _executable_comment,
    "dollar": _dollar,
}


@cache
def _lexer(dialect: str) -> tuple[re.Pattern[str], dict[str, Handler]]:
    rules = _RULES.get(dialect, _RULES[""])
    pattern = re.compile("|".join(f"(?P<{name}>{rule})" for name, rule in rules), re.DOTALL)
    return pattern, {name: _ACTIONS[name.rstrip("0123456789")] for name, _ in rules}


def mask(sql: str, dialect: str) -> str:
    """``sql`` with every literal replaced by ``?`` and every comment by a space.

    ``dialect`` is Django's vendor name (``postgresql``, ``mysql``, ``sqlite``, ``oracle``,
    ``microsoft``); others are read with caution. Linear in the length of ``sql``.
    """
    pattern, handlers = _lexer(dialect)
    search = pattern.search
    parts: list[str] = []
    position = 0
    while (match := search(sql, position)) is not None:
        start, end = match.span()
        parts.append(sql[position:start])
        text, position = handlers[match.lastgroup or "value"](sql, start, end)
        parts.append(text)
    parts.append(sql[position:])
    return "".join(parts)
