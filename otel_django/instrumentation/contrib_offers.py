"""The instrumentors that installed packages offer, read without ``importlib.metadata``.

Importing that and having it read every package's metadata takes three times as long as looking for
one group in the files, at each start of a process.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

GROUP: Final = "opentelemetry_instrumentor"
_HEADING: Final = f"[{GROUP}]"


class Offer(NamedTuple):
    """An entry point."""

    name: str
    module: str
    attribute: str

    def load(self) -> Any:
        """Import what it names."""
        found: Any = importlib.import_module(self.module)
        return functools.reduce(getattr, self.attribute.split("."), found)


def offers(paths: Sequence[str]) -> list[Offer]:
    """What the packages on ``paths`` offer; of a package that is there twice, the first."""
    if any(os.path.isfile(path) for path in paths):  # noqa: PTH113 - packed: a zip file
        return _by_the_library()
    seen: set[str] = set()
    return [
        offer
        for path in paths
        for text in _entry_points(path or ".", seen)
        for offer in _read(text)
    ]


def _by_the_library() -> list[Offer]:
    from importlib.metadata import entry_points

    return [Offer(each.name, each.module, each.attr) for each in entry_points(group=GROUP)]


def _entry_points(path: str, seen: set[str]) -> Iterator[str]:
    """The files of entry points in a folder that mention the group."""
    try:
        names = os.listdir(path)  # noqa: PTH208 - Path objects cost more than the files
    except OSError:
        return
    for name in names:
        if not name.endswith((".dist-info", ".egg-info")):
            continue
        package = name.rpartition(".")[0].partition("-")[0].lower()
        if package in seen:
            continue
        seen.add(package)
        try:
            with open(f"{path}/{name}/entry_points.txt", encoding="utf-8") as file:  # noqa: PTH123
                text = file.read()
        except (OSError, UnicodeDecodeError):
            continue
        if _HEADING in text:
            yield text


def _read(text: str) -> Iterator[Offer]:
    within = False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            within = line == _HEADING
        elif within and "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            module, _, attribute = value.partition("[")[0].partition(":")
            if attribute:
                yield Offer(name.strip(), module.strip(), attribute.strip())


def installed() -> list[Offer]:
    """What the packages of this process offer."""
    return offers(sys.path)
