"""Database statements as pages name them and search for them."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from otel_django.instrumentation.sql import analyse

FOUND_BY: Final = 6
"""Words are enough to find a statement again among others."""
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{2,}")
_INDEXED: Final = 500
"""The first characters of a statement are what a trace is found by."""


def statement_key(text: str) -> str:
    """Names a statement in an address, however its placeholders are written."""
    alike = analyse(text, "").fingerprint
    return hashlib.blake2b(alike.encode("utf-8", "replace"), digest_size=8).hexdigest()


def traces_with(text: str) -> str:
    """The search for traces that have the statement: its longest words tell most."""
    words = dict.fromkeys(_WORD.findall(text[:_INDEXED].rpartition(" ")[0] or text[:_INDEXED]))
    kept = set(sorted(words, key=len, reverse=True)[:FOUND_BY])
    return f'"{" ".join(word for word in words if word in kept)}"' if kept else ""
