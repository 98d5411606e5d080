"""Regular expressions that people write, held to those that can't take long.

Python tries one way after the other: ``(a+)+`` may take years to find that a word doesn't fit.
So nothing may repeat that repeats itself or has alternatives, and ways don't multiply for ever.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 500
LONGEST_VALUE: Final = 300
"""Of a longer value only the beginning is looked at."""
MOST_REPEATS: Final = 3
MOST_WAYS: Final = 256
_ONCE: Final = re.compile(r"\{(\d+)(?:,\1)?\}")
_TOKEN: Final = re.compile(
    r"""(?P<flags>\(\?[ims]+\))
    | (?P<open>\((?:\?[ims]*:|\?P<\w+>)?(?!\?))
    | (?P<odd>\(\?|\\[1-9])
    | (?P<close>\))
    | (?P<repeat>[*+?][+?]?|\{\d*,?\d*\}[+?]?)
    | (?P<branch>\|)
    | \\. | \[\^?\]?(?:\\.|[^\]\\])*\] | .""",
    re.DOTALL | re.VERBOSE,
)


def fits(pattern: str, value: str) -> bool:
    """Whether the whole value is as a checked pattern says."""
    return re.fullmatch(pattern, value[:LONGEST_VALUE], re.DOTALL) is not None


def check(pattern: str) -> None:
    """Take it if it can't take long.

    Raises:
        ValueError: it may, or is no regular expression at all; the text goes on after "is".
    """
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"no regular expression: {error}") from error
    if len(pattern) > LONGEST:
        raise ValueError(f"longer than {LONGEST} characters")
    found = _measured(pattern)
    if found.repeats > MOST_REPEATS:
        raise ValueError(f"too slow a pattern: more than {MOST_REPEATS} repetitions in one")
    if found.ways > MOST_WAYS:
        raise ValueError("too slow a pattern: its alternatives have too many combinations")


@dataclass
class _Part:
    """How often something without end is repeated in it, and how many ways there are else."""

    repeats: int = 0
    ways: int = 1

    def then(self, other: _Part) -> None:
        """Both, one after the other."""
        self.repeats += other.repeats
        self.ways *= other.ways


class _Group:
    """Its alternatives so far, and the last of what stands in the newest one."""

    def __init__(self) -> None:
        self._over: list[_Part] = []
        self._now = _Part()
        self.last = _Part()

    def add(self, part: _Part) -> None:
        self._now.then(self.last)
        self.last = part

    def branch(self) -> None:
        self.add(_Part())
        self._over.append(self._now)
        self._now = _Part()

    def whole(self) -> _Part:
        self.branch()
        return _Part(max(one.repeats for one in self._over), sum(one.ways for one in self._over))


def _measured(pattern: str) -> _Part:
    groups = [_Group()]
    for token in _TOKEN.finditer(pattern):
        kind, text = token.lastgroup, token[0]
        if kind == "odd":
            raise ValueError("a pattern that Prometheus doesn't know: it looks around or back")
        if kind == "open":
            groups.append(_Group())
        elif kind == "close":
            part = groups.pop().whole()
            groups[-1].add(part)
        elif kind == "branch":
            groups[-1].branch()
        elif kind == "repeat":
            _repeat(groups[-1].last, text)
        elif kind != "flags":
            groups[-1].add(_Part())
    return groups[0].whole()


def _repeat(part: _Part, how: str) -> None:
    if how[0] == "?":
        part.ways += 1
    elif part.repeats or part.ways > 1:
        raise ValueError("too slow a pattern: it repeats what repeats or has alternatives itself")
    elif not _ONCE.fullmatch(how):
        part.repeats = 1
