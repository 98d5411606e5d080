"""Where values come from: the environment first, then ``settings.OTEL_DJANGO``.

What can't be used counts as not set, and leaves a ``Problem``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from otel_django.conf.parsers import NOTHING, Parser, Unusable, plain, written
from otel_django.conf.variable import PREFIX, Variable, settings_key
from otel_django.conf.variables import VARIABLES

Place = Literal["environment", "settings", "default"]
Kind = Literal[
    "value",
    "unknown_name",
    "milliseconds",
    "port",
    "path",
    "combination",
    "nothing_kept",
    "config_file",
    "file",
    "grpc",
    "service_name",
    "command",
    "model",
    "health",
    "channel",
    "rule",
]

_LONGEST_SHOWN: Final = 100
# Below this likeness two names are two names, not a slip of the pen.
_LIKENESS: Final = 0.75


class Problem(NamedTuple):
    """Something about the settings to tell people; holds no secret."""

    name: str
    value_shown: str
    message: str
    hint: str
    kind: Kind = "value"


class Origin(NamedTuple):
    """Where a field's value comes from, and the variable that holds it, or would."""

    place: Place
    variable: str


class Found(NamedTuple):
    """A usable value."""

    value: Any
    origin: Origin


class Sources:
    """The environment and the settings, read variable by variable; gathers problems."""

    def __init__(self, environ: Mapping[str, str], overrides: object) -> None:
        self.problems: list[Problem] = []
        self._environ = environ
        self._overrides = self._by_full_name(overrides)
        self._report_unknown_names()

    def mentions(self, *names: str) -> bool:
        """Whether any of the names has a value, be it usable or not."""
        return any(_says_something(raw) for name in names for _, raw in self._values(name))

    def read(self, variable: Variable) -> Found | None:
        """The first usable value of the variable; None if there is none."""
        unusable: list[Problem] = []
        found = self._first_usable(variable, unusable)
        used = variable.parser.display(found.value) if found else variable.default_in_words
        self.problems += [
            problem._replace(hint=f"{problem.hint} Until then: {used}.") for problem in unusable
        ]
        return found

    def _first_usable(self, variable: Variable, unusable: list[Problem]) -> Found | None:
        for place in _PLACES:
            for name in variable.names:
                for origin, raw in self._values(name, place):
                    value = _parse(variable.parser, origin, raw, unusable)
                    if value is not NOTHING:
                        return Found(value, origin)
        return None

    def _values(self, name: str, *places: Place) -> Iterator[tuple[Origin, object]]:
        for place in places or _PLACES:
            values = self._environ if place == "environment" else self._overrides
            if name in values:
                yield Origin(place, name), values[name]

    def _by_full_name(self, overrides: object) -> dict[str, object]:
        if isinstance(overrides, Mapping):
            return {_full_name(str(key)): value for key, value in overrides.items()}
        if overrides is not None:
            self.problems.append(
                Problem(
                    "OTEL_DJANGO",
                    type(overrides).__name__,
                    "settings.OTEL_DJANGO isn't a dict, so nothing of it is used.",
                    'Write it as OTEL_DJANGO = {"KEEP": "errors"}.',
                )
            )
        return {}

    def _report_unknown_names(self) -> None:
        known = {name for variable in VARIABLES for name in variable.names}
        ours = (name for name in self._environ if name.startswith("OTEL_"))
        self.problems += [
            problem
            for place, names in (("environment", ours), ("settings", self._overrides))
            for name in sorted(set(names) - known)
            if (problem := _misspelt(name, place == "settings", known))
        ]


_PLACES: Final[tuple[Place, ...]] = ("environment", "settings")


def _full_name(key: str) -> str:
    return key if key.startswith("OTEL_") else PREFIX + key


def _says_something(raw: object) -> bool:
    try:
        return plain(raw) is not None
    except Unusable:
        return True


def _parse(parser: Parser, origin: Origin, raw: object, unusable: list[Problem]) -> Any:
    """The value, or NOTHING if the raw one is empty or, with a problem noted, can't be used."""
    try:
        readable = plain(raw)
        return NOTHING if readable is None else parser.parse(readable)
    except Unusable as fault:
        unusable.append(_unusable(parser, origin, raw, fault))
        return fault.rest


def _unusable(parser: Parser, origin: Origin, raw: object, fault: Unusable) -> Problem:
    shown = shorten(parser.mask(written(raw)))
    part = "can't be used" if fault.rest is NOTHING else "can't be used as a whole"
    return Problem(
        origin.variable,
        shown,
        f"{spoken(origin)} has the value {shown!r}, which {part}: {shorten(str(fault))}.",
        f"Allowed: {parser.allowed}.",
    )


def spoken(origin: Origin) -> str:
    """What people call the place: ``OTEL_X`` or ``settings.OTEL_DJANGO["X"]``."""
    if origin.place == "settings":
        return f'settings.OTEL_DJANGO["{settings_key(origin.variable)}"]'
    return origin.variable


def shorten(text: str) -> str:
    """One printable line of bounded length."""
    printable = "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text
    )
    if len(printable) <= _LONGEST_SHOWN:
        return printable
    return printable[: _LONGEST_SHOWN - 1] + "…"


def _misspelt(name: str, in_settings: bool, known: set[str]) -> Problem | None:
    """A problem if the unknown name looks like a known one; others may belong to somebody else."""
    ours = in_settings or name.startswith(PREFIX)
    meant = _likeliest(name, known) if ours else _same_but_for_a_word(name, known)
    if meant is None:
        return None
    place = spoken(Origin("settings" if in_settings else "environment", name))
    return Problem(
        name,
        "",
        f"{shorten(place)} isn't a known setting, so it does nothing.",
        f"Did you mean {settings_key(meant) if in_settings else meant}?",
        "unknown_name",
    )


def _likeliest(name: str, known: set[str]) -> str | None:
    import difflib

    short_names = {settings_key(one): one for one in known}
    likely = difflib.get_close_matches(
        settings_key(name).upper(), short_names, n=1, cutoff=_LIKENESS
    )
    return short_names[likely[0]] if likely else None


def _same_but_for_a_word(name: str, known: set[str]) -> str | None:
    """The standard name meant by one of OpenTelemetry's form.

    Only where one word is off by a slip of the pen: whole names are alike that mean other things,
    such as those of another signal.
    """
    import difflib

    words = name.split("_")
    for one in sorted(known):
        if one.replace("_", "") == name.replace("_", ""):
            return one
        theirs = one.split("_")
        pairs = [pair for pair in zip(words, theirs, strict=False) if pair[0] != pair[1]]
        if len(words) == len(theirs) and len(pairs) == 1:
            ours, known_word = pairs[0]
            if difflib.SequenceMatcher(None, ours, known_word).ratio() >= _LIKENESS:
                return one
    return None
