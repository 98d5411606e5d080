"""From a SQL string to what a span says of it: operation, target, summary and masked text."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from otel_django import names
from otel_django.instrumentation.sql_mask import mask
from otel_django.instrumentation.sql_summary import IDENTIFIER, SummaryReader

if TYPE_CHECKING:
    from otel_django.tracing.limits import Plain
    from otel_django.tracing.span_parts import SharedAttributes

MAX_READ_CHARACTERS = 8192
MAX_TEXT_CHARACTERS = 4096
CACHE_CHARACTERS = 4 * 1024 * 1024
_ENTRY_OVERHEAD = 1500

_REPEATABLE = frozenset(
    (
        "SELECT",
        "INSERT",
        "UPDATE",
        "DELETE",
        "MERGE",
        "REPLACE",
        "CALL",
        "EXEC",
        "EXECUTE",
        "VALUES",
    )
)


class Statement:
    """What is known of one SQL text; values never are.

    ``operation``    the statement's verb as written ("SELECT"); "" if there is none
    ``collection``   the first table named, with its schema if written; "" if there is none
    ``summary``      ``db.query.summary``: verbs and targets in order, at most 255 characters
    ``text``         masked text, lists collapsed to their first item, at most 4096 characters
    ``fingerprint``  the text with every placeholder as ``?``: equal for repeated statements
    ``name``         a span's name: the summary, else "query"
    ``repeatable``   whether a repetition of it may be an N+1 (reads and writes of rows)
    ``attributes``   the span attributes that follow from it
    ``shared``       these with those of the connection it last ran on, and that connection
    """

    __slots__ = (
        "attributes",
        "collection",
        "fingerprint",
        "name",
        "operation",
        "repeatable",
        "shared",
        "summary",
        "text",
    )

    def __init__(
        self, operation: str, collection: str, summary: str, text: str, fingerprint: str
    ) -> None:
        self.operation = operation
        self.collection = collection
        self.summary = summary
        self.text = text
        self.fingerprint = text if fingerprint == text else fingerprint
        self.name = summary or "query"
        self.repeatable = operation.upper() in _REPEATABLE
        attributes = {
            names.DB_OPERATION_NAME: operation,
            names.DB_COLLECTION_NAME: collection,
            names.DB_QUERY_SUMMARY: summary,
            names.DB_QUERY_TEXT: text,
        }
        self.attributes: dict[str, Plain] = {
            key: value for key, value in attributes.items() if value
        }
        self.shared: tuple[object, SharedAttributes | None] = (None, None)

    def __repr__(self) -> str:
        return f"Statement({self.summary!r}, {self.text!r})"


# --- the text, token by token

TOKEN = re.compile(
    rf"""(?P<space>\s+)
    |(?P<quoted>"[^"]*(?:""[^"]*)*"|`[^`]*(?:``[^`]*)*`|\[[^\]'?]*\])
    |(?P<placeholder>%s|%\([^()]*\)[a-z]|[:@$]{IDENTIFIER}+|\?[0-9]*)
    |(?P<word>{IDENTIFIER}+)
    |(?P<mark>[(),.;])
    |(?P<operator>::|[\x00-\x08\x0e-\x1b!\#&'*+\-/<=>\\\]^{{|}}~\x7f]+|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BRACKETED = frozenset(("sqlite", "microsoft"))
_DOUBTFUL_QUOTES = frozenset(("postgresql", "mysql", "oracle", "microsoft"))
_BEFORE_VALUE = frozenset(
    (
        "LIKE",
        "ILIKE",
        "GLOB",
        "MATCH",
        "REGEXP",
        "IN",
        "VALUES",
        "BETWEEN",
        "ESCAPE",
        "THEN",
        "ELSE",
    )
)
_BEFORE_COLUMNS = frozenset(("INTO", "TABLE", "REFERENCES", "ON", "WITH", "JOIN", "FROM", "INDEX"))
_BOOLEANS = frozenset(("TRUE", "FALSE"))


class _DoubtfulQuotes:
    """Where SQLite would take a double-quoted token for a string.

    It does when no column has that name, so a token stands for a value where values stand: after
    an operator, in the list of IN or VALUES, as a bare function's argument.
    """

    def __init__(self) -> None:
        self._values = [False]
        self._next_is_value = False
        self._before = ("", "")

    def word(self, upper: str) -> None:
        """A word or an identifier went by."""
        self._next_is_value = upper in _BEFORE_VALUE
        self._before = (self._before[1], upper)

    def mark(self, lexeme: str) -> None:
        """A punctuation mark or an operator went by."""
        if lexeme == "(":
            verb, name = self._before
            function = bool(name) and verb not in _BEFORE_COLUMNS and name not in _BEFORE_COLUMNS
            self._values.append(self._next_is_value or function)
            self._next_is_value = self._values[-1]
        elif lexeme == ")":
            if len(self._values) > 1:
                self._values.pop()
            self._next_is_value = False
        elif lexeme == ",":
            self._next_is_value = self._values[-1]
        else:
            self._next_is_value = lexeme not in ".;"
        self._before = ("", "")

    def is_value(self, following: str) -> bool:
        """Whether a double-quoted token here may be a string; ``following`` is the text after."""
        return self._next_is_value and not following.lstrip().startswith(".")


class _Reader:
    """Walks the masked text once: white space folded, summary read, doubtful tokens masked."""

    def __init__(self, dialect: str) -> None:
        self.summary = SummaryReader()
        self.text: list[str] = []
        self.fingerprint: list[str] = []
        self._dialect = dialect
        self._doubt = None if dialect in _DOUBTFUL_QUOTES else _DoubtfulQuotes()
        self._last_word = ""

    def read(self, masked: str) -> None:
        """Take the whole text."""
        for match in TOKEN.finditer(masked):
            kind = match.lastgroup
            lexeme = match.group()
            if kind == "space":
                self._write(" ")
            elif kind == "word":
                self._word(lexeme)
            elif kind == "quoted":
                self._quoted(lexeme, masked[match.end() : match.end() + 8])
            elif kind == "placeholder":
                self._placeholder(lexeme)
            else:
                self._mark(lexeme)
        self.summary.end()

    def _write(self, lexeme: str, normal: str | None = None) -> None:
        self.text.append(lexeme)
        self.fingerprint.append(lexeme if normal is None else normal)

    def _word(self, lexeme: str) -> None:
        upper = lexeme.upper()
        if upper in _BOOLEANS and self._last_word not in ("IS", "NOT"):
            self._placeholder("?")
            return
        self._write(lexeme)
        self._last_word = upper
        self.summary.word(lexeme, upper)
        if self._doubt is not None:
            self._doubt.word(upper)

    def _quoted(self, lexeme: str, following: str) -> None:
        if lexeme[0] == "[" and self._dialect not in _BRACKETED:
            self._write(lexeme)
            return
        if self._doubt is not None:
            if lexeme[0] == '"' and self._doubt.is_value(following):
                self._placeholder("?")
                return
            self._doubt.word("")
        self._write(lexeme)
        self._last_word = ""
        self.summary.quoted(lexeme)

    def _placeholder(self, lexeme: str) -> None:
        self._write(lexeme, "?")
        self._last_word = ""
        self.summary.mark("?")
        if self._doubt is not None:
            self._doubt.word("")

    def _mark(self, lexeme: str) -> None:
        self._write(lexeme)
        self._last_word = ""
        self.summary.mark(lexeme)
        if self._doubt is not None:
            self._doubt.mark(lexeme)


_ITEM = rf"[-+]?(?:%s|%\([^()]*\)[a-z]|[:@$]{IDENTIFIER}+|\?[0-9]*)(?:::{IDENTIFIER}+)?"
_IN_LIST = re.compile(
    rf"(\bIN ?\(|\bARRAY ?\[) ?({_ITEM})(?: ?, ?{_ITEM})+(?: ?([)\]])| ?,? ?%?\Z)", re.IGNORECASE
)
_ROW = r"\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*"
_ROWS = re.compile(
    rf"(\bVALUES ?{_ROW}\))(?: ?, ?{_ROW}\))+(?: ?,? ?(?:{_ROW})?\Z)?", re.IGNORECASE
)


def _collapse(text: str) -> str:
    """IN-lists and rows of VALUES cut to their first item, so that their length doesn't matter."""
    upper = text.upper()
    if " IN" in upper or "ARRAY" in upper:
        text = _IN_LIST.sub(lambda match: f"{match[1]}{match[2]}{match[3] or ''}", text)
    if "VALUES" in upper:
        text = _ROWS.sub(r"\1", text)
    return text


def _bounded(text: str, cut: bool) -> str:
    if len(text) > MAX_TEXT_CHARACTERS:
        return text[: MAX_TEXT_CHARACTERS - 1] + "…"
    return text + "…" if cut else text


def without_values(sql: str) -> str:
    """``sql`` for a server whose rules aren't known, with ``?`` for every literal."""
    return _masked(sql, "")


def _masked(sql: str, dialect: str) -> str:
    if not sql.isascii():
        sql = sql.encode("utf-8", "replace").decode()
    return mask(sql[:MAX_READ_CHARACTERS].replace("\x00", " "), dialect)


def _read(masked: str, dialect: str, *, cut: bool) -> Statement:
    reader = _Reader(dialect)
    reader.read(masked)
    text = _bounded(_collapse("".join(reader.text).strip()), cut)
    fingerprint = _bounded(_collapse("".join(reader.fingerprint).strip()), cut)
    summary = reader.summary
    return Statement(summary.operation, summary.collection, summary.summary(), text, fingerprint)


# --- transactions: nothing to tell but the verb; a savepoint's name is never twice the same

_TRANSACTION = re.compile(
    r"\s*(?:(SAVEPOINT|RELEASE(?:\s+SAVEPOINT)?"
    r"|ROLLBACK(?:\s+(?:WORK|TRANSACTION))?\s+TO(?:\s+SAVEPOINT)?)\s+[^\s;']+"
    r"|(BEGIN|COMMIT|ROLLBACK|START\s+TRANSACTION)(?:\s+\w+)*)\s*;?\s*\Z",
    re.IGNORECASE,
)


@lru_cache(maxsize=32)
def command(operation: str) -> Statement:
    """A statement of which nothing is told but its verb (COMMIT, CONNECT, SAVEPOINT)."""
    return Statement(operation, "", operation, "", "")


UNKNOWN = Statement("", "", "", "", "")


class StatementCache:
    """Statements by SQL text, for one dialect; what it holds is bounded in characters.

    Two generations stand for "least recently used": when the young one is full it becomes the old
    one, whose entries come back when asked for. A text with literals is looked up once more by its
    masked form, so that a site that writes values into its SQL pays for the masking only. Threads
    may race: at worst work is done twice.
    """

    def __init__(self, dialect: str, characters: int = CACHE_CHARACTERS) -> None:
        self._dialect = dialect
        self._half = characters // 2
        self.young: dict[str, Statement] = {}
        """What was asked for lately: to look into before asking."""
        self._old: dict[str, Statement] = {}
        self._young_characters = 0

    def get(self, sql: str) -> Statement:
        """The statement ``sql`` makes; texts alike in all that is read share one entry."""
        statement = self.young.get(sql)
        if statement is not None:
            return statement
        key = sql if len(sql) <= MAX_READ_CHARACTERS else sql[: MAX_READ_CHARACTERS + 1]
        statement = self.young.get(key) or self._old.get(key)
        if statement is None:
            transaction = _TRANSACTION.match(key)
            if transaction is not None:
                return command(" ".join((transaction[1] or transaction[2]).upper().split()))
            statement = self._read(key)
        self._keep(key, statement)
        return statement

    def _read(self, key: str) -> Statement:
        masked = _masked(key, self._dialect)
        cut = len(key) > MAX_READ_CHARACTERS
        if masked == key:
            return _read(masked, self._dialect, cut=cut)
        masked_key = masked + "\x00" if cut else masked
        statement = self.young.get(masked_key) or self._old.get(masked_key)
        if statement is None:
            statement = _read(masked, self._dialect, cut=cut)
        self._keep(masked_key, statement)
        return statement

    def _keep(self, key: str, statement: Statement) -> None:
        self._young_characters += len(key) + 3 * len(statement.text) + _ENTRY_OVERHEAD
        if self._young_characters > self._half:
            self._old, self.young = self.young, {}
            self._young_characters = 0
        self.young[key] = statement

    def held_characters(self) -> int:
        """About how much it holds, for tests of the bound."""
        return sum(
            len(key) + 3 * len(statement.text) + _ENTRY_OVERHEAD
            for generation in (self.young, self._old)
            for key, statement in generation.items()
        )


@lru_cache(maxsize=64)
def statements(dialect: str) -> StatementCache:
    """The process's cache for one of Django's database vendors."""
    return StatementCache(dialect)


def analyse(sql: str, dialect: str) -> Statement:
    """What ``sql`` says, from the process's cache."""
    return statements(dialect).get(sql)
