"""What makes exceptions alike: their type, the line of the site they come from, their message.

All is taken from the texts of the ``exception.*`` attributes, so that whoever reads or writes a
record finds the same. Numbers, ids and quoted parts of a message don't count.
"""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

MAX_STACKTRACE: Final = 16_000
MAX_MESSAGE: Final = 500
MAX_TYPE: Final = 200
MAX_PLACE: Final = 300
_FRAME: Final = re.compile(
    r'^[ \t]{0,8}File "([^"\n]{1,300})", line (\d{1,9})(?:, in (.{1,200}))?$', re.MULTILINE
)
_VARIABLE: Final = re.compile(
    r"""
    "[^"\n]*" | (?<!\w)'[^'\n]*'(?!\w)              # quoted
    | \b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b  # a UUID
    | \b0x[0-9a-f]+\b
    | \b(?=[a-f]*[0-9])[0-9a-f]{8,}\b               # a hash
    | \d+(?:[.,:]\d+)*
    """,
    re.VERBOSE | re.IGNORECASE,
)
_INSTALLED: Final = ("site-packages/", "dist-packages/", "/lib/python3", "<frozen ")


class Kind(NamedTuple):
    """What one exception is an instance of."""

    fingerprint: int
    type: str
    message: str
    place: str


def kind_of(type_name: str, message: str, stacktrace: str) -> Kind:
    """The group of an exception. ``place`` (``orders/views.py:42``) is empty without a trace.

    Lines move with every change of a file: the fingerprint takes the function's name instead.
    """
    first_line = message[:MAX_MESSAGE].strip().partition("\n")[0]
    return _kind_of(type_name[:MAX_TYPE], first_line, stacktrace[-MAX_STACKTRACE:])


@lru_cache(maxsize=256)
def _kind_of(type_name: str, first_line: str, stacktrace: str) -> Kind:
    path, line, function = _innermost(stacktrace)
    parts = (type_name, path, function or line, normalised(first_line))
    digest = blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=8).digest()
    place = f"{path}:{line}"[-MAX_PLACE:] if path else ""
    return Kind(int.from_bytes(digest, "big", signed=True), type_name, first_line, place)


def normalised(message: str) -> str:
    """A message without what differs from one time to the next."""
    return " ".join(_VARIABLE.sub("…", message).split())


def text_of(fingerprint: int) -> str:
    """As pages have it: 16 hexadecimal digits."""
    return format(fingerprint & (1 << 64) - 1, "016x")


def number_of(text: str) -> int | None:
    """The other way round; None for what is none."""
    if not re.fullmatch("[0-9a-f]{16}", text):
        return None
    number = int(text, 16)
    return number - (1 << 64) if number >> 63 else number


def _innermost(stacktrace: str) -> tuple[str, str, str]:
    """Path, line and function of the innermost frame of the site's own code, else of any."""
    last = stacktrace.rpartition("\nTraceback (most recent call last):\n")[2]
    frames = _FRAME.findall(last)
    own = [frame for frame in frames if not is_library(frame[0])]
    path, line, function = (own or frames or [("", "", "")])[-1]
    return path, line, function


@lru_cache(maxsize=2_000)
def is_library(path: str) -> bool:
    """Whether a frame's file belongs to what is installed.

    Paths of ours start at the project, or at ``site-packages`` or the standard library, of which
    nothing is left in them: then the module knows.
    """
    slashed = path.replace("\\", "/")
    if any(mark in slashed for mark in _INSTALLED):
        return True
    if slashed.startswith("/"):
        return False
    top = slashed.partition("/")[0].removesuffix(".py")
    if top in sys.stdlib_module_names:
        return True
    module = sys.modules.get(top)
    where = str(getattr(module, "__file__", None) or "").replace("\\", "/")
    return any(mark in where for mark in _INSTALLED)
