"""Where commands write: a file, or an output that may not know all characters."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from otel_django.cli.inert_text import PLAIN

if TYPE_CHECKING:
    from typing import TextIO

    from django.core.management.base import OutputWrapper


@contextlib.contextmanager
def written(name: str) -> Iterator[TextIO]:
    """A file that has its name once it is whole; for its owner only."""
    part = Path(f"{name}.{os.getpid()}.part")
    number = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(number, "w", encoding="utf-8", newline="") as file:
            yield file
        part.replace(name)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def encoding_of(stdout: OutputWrapper) -> str:
    """``utf-8`` for all that know every character."""
    # Django 4.2's wrapper has an encoding of its own, which is None.
    encoding = getattr(getattr(stdout, "_out", stdout), "encoding", None) or "utf-8"
    return "utf-8" if "utf" in encoding.lower() else str(encoding)


def encodable(text: str, encoding: str) -> str:
    """``text`` in characters that the output has."""
    if encoding == "utf-8":
        return text
    return text.translate(PLAIN).encode(encoding, "replace").decode(encoding)
