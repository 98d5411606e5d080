"""Why something couldn't be reached, in words that may be shown.

Drivers put hosts, users and parts of URLs into their messages; these hold none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_ANSWER: Final = "It did not answer in time."
_WORDS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), words)
    for pattern, words in (
        (r"connection ?refused|no such file|FileNotFoundError|\(111\)", "Nothing listens there."),
        (
            r"authentication|access ?(denied|refused)|pg_hba|password|WRONGPASS|NOAUTH|role \S+ do",
            "It refused the credentials.",
        ),
        (r"\bNotAllowed\b", "It refused access to the virtual host."),
        (r"database \S+ does not exist|unknown database", "It has no such database."),
        (r"not allowed to connect|host \S+ is blocked", "It takes no connections from here."),
        (
            r"too many (clients|connections)|connection slots|max_user_connections",
            "It has no connection left.",
        ),
        (
            r"starting up|shutting down|shutdown in progress|\bLOADING\b",
            "It is starting or shutting down.",
        ),
        (r"\bOOM\b|out ?of ?memory", "It has no memory left."),
        (r"read.?only", "It can only be read."),
        (r"database is locked", "A writer holds it locked."),
        (r"not a database|malformed|corrupt", "Its file is damaged."),
        (
            r"gaierror|could not translate|name or service|getaddrinfo|resol(ution|ve)|server host",
            "Its name can't be resolved.",
        ),
        (r"time(d)? ?out|BlockingIOError|temporarily unavailable|\berror: 110\b", NO_ANSWER),
        (
            r"connection ?(reset|aborted)|broken ?pipe|clos(ed|ing|eerror)|lost conn|gone away|EOF",
            "It closed the connection.",
        ),
        (r"certificate|SSL|TLS", "No TLS connection could be made."),
        (r"PermissionError|permission denied|NOPERM", "Permission is denied."),
        (r"unreachable|no route", "There is no way to its network."),
        (r"connection ?(failure|error)|can't connect", "It can't be reached."),
    )
)


def in_words(error: BaseException) -> str:
    """A sentence that says what ``error`` or one of its causes means; at least its type."""
    for each in _causes(error):
        said = f"{type(each).__name__}: {each}"
        for pattern, words in _WORDS:
            if pattern.search(said):
                return words
    return f"It failed ({type(error).__name__})."


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(8):  # a ring of causes is possible
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__
