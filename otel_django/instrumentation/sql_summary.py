"""Reads a statement's verbs and targets from its tokens, for ``db.query.summary``.

It knows no grammar, only which words a table's name follows; a construct it doesn't know costs a
target in the summary, never a fault.
"""

from __future__ import annotations

from typing import Final

IDENTIFIER: Final = r"[^\x00-\x23\x25-\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\x7f]"
"""Letters, digits, "_", "$" and all beyond ASCII, by what they aren't: a set that reaches beyond
ASCII takes ``re`` many milliseconds to compile, in every process that starts."""
MAX_SUMMARY_CHARACTERS: Final = 255
_MAX_PARTS: Final = 64

_WRITES = frozenset(("INSERT", "UPDATE", "DELETE", "MERGE"))
# After these (or nothing) a writing verb begins a statement; elsewhere it is FOR UPDATE and such.
_BEGINNINGS = frozenset(("", "(", ")", ";", "EXPLAIN", "ANALYZE", "VERBOSE", "PLAN", "EXTENDED"))
_DEFINITIONS = frozenset(("CREATE", "ALTER", "DROP"))
_OBJECTS = frozenset(
    ("TABLE", "INDEX", "VIEW", "SEQUENCE", "SCHEMA", "DATABASE", "TRIGGER", "FUNCTION", "PROCEDURE")
) | {"TYPE", "EXTENSION", "ROLE", "USER", "DOMAIN", "COLLATION"}
_VERBS_WITH_TARGET = frozenset(
    ("TRUNCATE", "COPY", "LOCK", "CALL", "EXEC", "EXECUTE", "REFRESH", "REINDEX", "PRAGMA")
)
_BEFORE_NAME = (
    frozenset(("ONLY", "LATERAL", "IF", "NOT", "EXISTS", "TABLE", "TABLES", "INTO", "CONCURRENTLY"))
    | {"LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "QUICK", "MATERIALIZED", "VIEW", "OR", "REPLACE"}
    | {"IGNORE", "ROLLBACK", "ABORT", "FAIL", "RECURSIVE"}
)
_NO_NAME = frozenset(("SELECT", "VALUES", "WITH", "SET", "WHERE", "FROM"))
_LIST_ENDS = frozenset(
    ("WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "UNION", "EXCEPT", "INTERSECT", "SET", "VALUES")
) | {"WINDOW", "FOR", "RETURNING", "FETCH", "OFFSET"}


class _Level:
    """What is known between two parentheses: a verb was read; a list of tables goes on."""

    __slots__ = ("common_tables", "tables", "verb")

    def __init__(self) -> None:
        self.verb = False
        self.tables = False
        self.common_tables = False


class SummaryReader:
    """Fed token by token; afterwards ``operation``, ``collection`` and ``summary()``."""

    def __init__(self) -> None:
        self.operation = ""
        self.collection = ""
        self._parts: list[str] = []
        self._levels = [_Level()]
        self._common: set[str] = set()
        self._with_depth = 0
        self._expected = ""  # "", "table", "common", "callable"
        self._name: list[str] = []
        self._dotted = False
        self._definition = ""
        self._verb = ""
        self._before = ("", "")

    # --- tokens

    def word(self, lexeme: str, upper: str) -> None:
        """An unquoted word."""
        if self._dotted:
            self._add_to_name(lexeme)
            return
        self._finish_name("")
        if self._expected and upper in _BEFORE_NAME:
            self._remember(upper)
            return
        if self._expected and upper not in _NO_NAME:
            self._name = [lexeme]
        else:
            self._expected = ""
            self._keyword(lexeme, upper)
        self._remember(upper)

    def quoted(self, lexeme: str) -> None:
        """A quoted identifier."""
        name = lexeme[1:-1]
        if not name.replace("_", "a").replace(".", "a").replace("-", "a").isalnum():
            name = lexeme
        if self._dotted:
            self._add_to_name(name)
        else:
            self._finish_name("")
            if self._expected:
                self._name = [name]
        self._remember("x")

    def mark(self, lexeme: str) -> None:
        """Punctuation, an operator or a placeholder (``?``)."""
        if lexeme == ".":
            self._dotted = bool(self._name)
            return
        self._finish_name(lexeme)
        level = self._levels[-1]
        if lexeme == "(":
            self._expected = ""
            self._levels.append(_Level())
        elif lexeme == ")":
            self._expected = ""
            if len(self._levels) > 1:
                self._levels.pop()
        elif lexeme == ";":
            self._expected = ""
            self._levels = [_Level()]
        elif lexeme == ",":
            if level.tables:
                self._expected = "table"
            elif level.common_tables and not level.verb:
                self._expected = "common"
        else:
            self._expected = ""
        self._remember(lexeme)

    def end(self) -> None:
        """No more tokens."""
        self._finish_name("")

    def summary(self) -> str:
        """Verbs and targets in order; what doesn't fit whole is left out."""
        text = ""
        for part in self._parts:
            longer = f"{text} {part}" if text else part
            if len(longer) > MAX_SUMMARY_CHARACTERS:
                break
            text = longer
        return text

    # --- names

    def _add_to_name(self, lexeme: str) -> None:
        self._name.append(lexeme)
        self._dotted = False
        self._remember("x")

    def _finish_name(self, following: str) -> None:
        if not self._name:
            return
        name = ".".join(self._name)
        expected, self._expected = self._expected, ""
        self._name = []
        self._dotted = False
        if expected == "common":
            self._common.add(name)
        elif expected == "callable" or following != "(" or self._before_table_columns():
            self._target(name)

    def _before_table_columns(self) -> bool:
        """``INSERT INTO t (a, b)``: a table before a parenthesis; after FROM it is a function."""
        return self._verb not in ("SELECT", "DELETE")

    def _target(self, name: str) -> None:
        self._add(name)
        if not self.collection and name not in self._common:
            self.collection = name

    def _add(self, part: str) -> None:
        if len(self._parts) < _MAX_PARTS:
            self._parts.append(part)

    # --- key words

    def _remember(self, word: str) -> None:
        self._before = (self._before[1], word)

    def _keyword(self, lexeme: str, upper: str) -> None:
        before = self._before[1]
        level = self._levels[-1]
        if before in ("", ";") and upper != "SELECT":
            self._first_word(lexeme, upper)
        elif upper == "SELECT":
            level.tables = False
            self._begin(lexeme)
        elif upper in _WRITES and before in _BEGINNINGS:
            self._begin(lexeme)
            self._expected = "table" if upper == "UPDATE" else ""
        elif self._definition:
            self._define(lexeme, upper)
        else:
            self._clause(upper, level)

    def _clause(self, upper: str, level: _Level) -> None:
        if upper == "FROM":
            distinct = self._before[1] == "DISTINCT" and self._before[0] in ("IS", "NOT")
            if level.verb and not distinct:
                self._expected = "table"
                level.tables = True
        elif upper in ("JOIN", "STRAIGHT_JOIN"):
            self._expected = "table"
        elif upper == "INTO":
            self._expected = "table" if level.verb else ""
        elif upper in _LIST_ENDS:
            level.tables = False

    def _begin(self, lexeme: str) -> None:
        self._levels[-1].verb = True
        self._verb = lexeme.upper()
        self._add(lexeme)
        if not self.operation and not (self._with_depth and len(self._levels) > self._with_depth):
            self.operation = lexeme

    def _first_word(self, lexeme: str, upper: str) -> None:
        if upper == "WITH":
            self._levels[-1].common_tables = True
            self._with_depth = len(self._levels)
            self._expected = "common"
            return
        self._begin(lexeme[:32])
        if upper in _DEFINITIONS:
            self._definition = upper
        elif upper in ("UPDATE", "REPLACE"):
            self._expected = "table"
        elif upper in _VERBS_WITH_TARGET:
            self._expected = "callable"
            self._levels[-1].verb = False
            self._levels[-1].tables = upper == "TRUNCATE"

    def _define(self, lexeme: str, upper: str) -> None:
        """``CREATE UNIQUE INDEX i ON t``: the object's kind, then its name; an index's table."""
        if upper in _OBJECTS:
            self._add(lexeme)
            on_table = upper in ("INDEX", "TRIGGER") and self._definition == "CREATE"
            self._definition = "ON" if on_table else ""
            self._expected = "" if on_table else "callable"
        elif upper == "ON" and self._definition == "ON":
            self._definition = ""
            self._expected = "callable"
