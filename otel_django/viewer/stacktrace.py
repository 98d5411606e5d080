"""A stack trace in parts, so that a page can set the site's own lines apart from libraries'."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otel_django.store.fingerprint import is_library

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CHARACTERS: Final = 40_000
_FRAME: Final = re.compile(r'^\s*File "([^"]{1,300})", line (\d{1,9})(?:, in (.{1,200}))?$')
_CODE: Final = " " * 4


@dataclass(frozen=True, slots=True)
class Part:
    """A frame with its code; or, where ``path`` is empty, ``text`` that stands between frames."""

    text: str
    path: str = ""
    line: int = 0
    function: str = ""
    library: bool = False


def parts(stacktrace: str) -> tuple[Part, ...]:
    """The parts of what Python prints, the end of it where it is very long; text of other
    languages is one part.
    """
    return tuple(_parts(stacktrace[-MAX_CHARACTERS:].splitlines()))


def _parts(lines: list[str]) -> Iterator[Part]:
    at = 0
    while at < len(lines):
        begin = at
        head = _FRAME.match(lines[at])
        at += 1
        while at < len(lines) and not _FRAME.match(lines[at]):
            if head and not lines[at].startswith(_CODE):
                break
            at += 1
        if head is None:
            yield Part("\n".join(lines[begin:at]))
        else:
            path, line, function = head.groups()
            code = "\n".join(each[len(_CODE) :] for each in lines[begin + 1 : at])
            yield Part(code, path, int(line), function or "", is_library(path))
