"""Parsers of one value: text in, a checked value out, and back to text for people.

A parser takes ``Raw``: text as the environment has it, or what ``plain`` makes of a Python value
from ``settings.OTEL_DJANGO``. It returns the value or raises ``Unusable``, and nothing else.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

Raw = str | tuple[str, ...] | dict[str, str]

NOTHING: Final = object()
MASK: Final = "****"
_LARGEST: Final = 10**12
_SCALARS: Final = (
    str,
    int,
    float,
    os.PathLike,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
)


class Unusable(ValueError):
    """A value, or part of it, breaks the rules; ``rest`` is what is left to use, if anything."""

    def __init__(self, why: str, rest: Any = NOTHING) -> None:
        super().__init__(why)
        self.rest = rest


class Others(NamedTuple):
    """Names beside the listed ones: whether one is known, and how to say so."""

    knows: Callable[[str], bool]
    allowed: str


def installed(kind: str) -> Others:
    """Names that an installed package offers by entry point; asked about unusual names only."""

    def knows(name: str) -> bool:
        from importlib.metadata import entry_points

        return bool(entry_points(group=f"opentelemetry_{kind}", name=name))

    return Others(knows, ", or one that an installed package offers")


def _same(text: str) -> str:
    return text


class Parser(NamedTuple):
    """How one kind of value is read and shown.

    ``show`` is the inverse of ``parse``; ``public`` is ``show`` without secrets, and ``mask`` takes
    the secrets out of text that could not be parsed.
    """

    parse: Callable[[Raw], Any]
    show: Callable[[Any], str]
    allowed: str
    public: Callable[[Any], str] | None = None
    mask: Callable[[str], str] = _same

    def display(self, value: Any) -> str:
        """The value as text that is safe to print."""
        return (self.public or self.show)(value)


# --- from Python values to Raw


def plain(value: object) -> Raw | None:
    """What a parser can read of a Python value; None if it says nothing (None, "", [], {})."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {_scalar(key): _scalar(item) for key, item in value.items()} or None
    if isinstance(value, (set, frozenset)):
        return tuple(sorted(filter(None, map(_scalar, value)))) or None
    if isinstance(value, (list, tuple)):
        if any(isinstance(item, Mapping) for item in value):
            return _as_json(value)
        return tuple(filter(None, map(_scalar, value))) or None
    return _scalar(value) or None


def _as_json(value: object) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise Unusable("it holds more than texts, numbers, lists and dicts") from error


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, _SCALARS):
        raise Unusable(f"a value of type {type(value).__name__} can't be used here")
    try:
        text = os.fsdecode(value) if isinstance(value, os.PathLike) else str(value)
    except ValueError as error:
        raise Unusable("it has too many digits") from error
    if re.search(r"[\ud800-\udfff]", text):
        raise Unusable("it isn't valid UTF-8")
    return text.strip()


def written(raw: object) -> str:
    """A value nobody could parse, as the text it would be in the environment."""
    if isinstance(raw, Mapping):
        return ",".join(f"{_word(key)}={_word(value)}" for key, value in raw.items())
    if isinstance(raw, (list, tuple, set, frozenset)):
        return ",".join(map(_word, raw))
    return _word(raw)


def _word(raw: object) -> str:
    try:
        return _scalar(raw)
    except Unusable:
        return raw if isinstance(raw, str) else type(raw).__name__


def one_text(raw: Raw) -> str:
    """What a parser of one value reads."""
    if not isinstance(raw, str):
        raise Unusable("one value is wanted here, not several")
    return raw.strip()


# --- one value


def text() -> Parser:
    """Any text without control characters."""

    def parse(raw: Raw) -> str:
        value = one_text(raw)
        if not value.isprintable():
            raise Unusable("it has characters that can't be printed")
        return value

    return Parser(parse, str, "any text")


def choice(
    *allowed: str, also: Mapping[str, str] | None = None, others: Others | None = None
) -> Parser:
    """One of ``allowed`` in any case, or of ``others``; ``also`` gives further spellings."""
    meanings = {name: name for name in allowed} | dict(also or {})

    def parse(raw: Raw) -> str:
        value = one_text(raw)
        if value.lower() in meanings:
            return meanings[value.lower()]
        if others and others.knows(value):
            return value
        raise Unusable("it isn't one of the allowed values")

    listed = ", ".join(f"`{name}`" for name in allowed[:-1]) + f" or `{allowed[-1]}`"
    return Parser(parse, str, listed + (others.allowed if others else ""))


def choice_of(meanings: Mapping[str, str]) -> Parser:
    """One of the words in ``meanings``, in any case; the value is what it means."""
    one = choice(*meanings)
    words = {meaning: word for word, meaning in meanings.items()}
    return Parser(lambda raw: meanings[one.parse(raw)], words.__getitem__, one.allowed)


def rotation(*words: str) -> Parser:
    """One of ``words``, or a size such as ``50MB``, in capitals."""

    def parse(raw: Raw) -> str:
        value = one_text(raw)
        if value.lower() in words:
            return value.lower()
        size = re.fullmatch(r"([1-9][0-9]{0,8}) ?([kmg]b)", value, re.IGNORECASE)
        if size is None:
            raise Unusable("it is neither one of the words nor a size")
        return f"{size[1]}{size[2].upper()}"

    named = ", ".join(f"`{word}`" for word in words)
    return Parser(parse, str, f"{named}, or a size such as `50MB` (KB, MB, GB)")


def _flag(meanings: Mapping[str, bool | None], allowed: str) -> Parser:
    def parse(raw: Raw) -> bool | None:
        value = one_text(raw).lower()
        if value not in meanings:
            raise Unusable("it is neither true nor false")
        return meanings[value]

    def show(value: bool | None) -> str:
        return "auto" if value is None else str(value).lower()

    return Parser(parse, show, allowed)


_SPEC_WORDS: Final[Mapping[str, bool | None]] = {"true": True, "false": False}
_OUR_WORDS: Final[Mapping[str, bool | None]] = {
    **_SPEC_WORDS,
    **dict.fromkeys(("1", "yes", "on"), True),
    **dict.fromkeys(("0", "no", "off"), False),
}


def boolean() -> Parser:
    """As OpenTelemetry has it: ``true`` or ``false`` in any case."""
    return _flag(_SPEC_WORDS, "`true` or `false`")


def switch() -> Parser:
    """A boolean of our own, which knows 1/0, yes/no and on/off too."""
    return _flag(_OUR_WORDS, "`true` or `false` (also 1/0, yes/no, on/off)")


def exception_events() -> Parser:
    """As ``switch``, and the words of OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN."""
    words = {**_OUR_WORDS, "logs": False, "logs/dup": True}
    return _flag(words, "`true` or `false` (also 1/0, yes/no, on/off); `logs` or `logs/dup`")


def tristate() -> Parser:
    """``true``, ``false``, or ``auto`` for None."""
    return _flag({**_OUR_WORDS, "auto": None}, "`true`, `false` or `auto`")


def whole(least: int = 0, *, off: bool = False) -> Parser:
    """A whole number; ``off`` lets 0 through (and the word) although ``least`` is more."""

    def parse(raw: Raw) -> int:
        value = one_text(raw)
        if off and value.lower() in ("off", "0"):
            return 0
        if not re.fullmatch(r"[+-]?[0-9]{1,15}", value):
            raise Unusable("it isn't a whole number")
        parsed = int(value)
        _check_between(parsed, least, _LARGEST)
        return parsed

    allowed = f"a whole number, {least} or more"
    return Parser(parse, str, f"{allowed}, or 0 for off" if off else allowed)


def number(
    unit: str = "",
    *,
    least: float = 0,
    most: float = _LARGEST,
    above: bool = False,
    per_unit: float = 1,
) -> Parser:
    """A decimal number between ``least`` (left out if ``above``) and ``most``.

    The value is what was written divided by ``per_unit``: 1000 makes seconds of milliseconds.
    """

    def parse(raw: Raw) -> float:
        value = _decimal(one_text(raw))
        if above and value == least:
            raise Unusable(f"it must be more than {least:g}")
        _check_between(value, least, most)
        return value / per_unit

    def show(value: float) -> str:
        units = round(value * per_unit, 9)
        return str(int(units)) if float(units).is_integer() else repr(units)

    of = f"a number of {unit}" if unit else "a number"
    lower = f"more than {least:g}" if above else f"{least:g} or more"
    limits = lower if most == _LARGEST else f"from {least:g} to {most:g}"
    return Parser(parse, show, f"{of}, {limits}")


def _decimal(value: str) -> float:
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", value):
        raise Unusable("it isn't a number")
    return float(value)


def _check_between(value: float, least: float, most: float) -> None:
    if value < least:
        raise Unusable(f"it is less than {least:g}")
    if value > most:
        raise Unusable(f"it is more than {most:g}")


def path(*words: str) -> Parser:
    """A path, still as text; ``words`` are the other things that may stand there, lower-cased."""

    def parse(raw: Raw) -> str:
        value = one_text(raw)
        if value.lower() in words:
            return value.lower()
        if not value.isprintable():
            raise Unusable("it has characters that can't be in a path")
        return value

    named = ", ".join(f"`{word}`" for word in words)
    return Parser(parse, str, f"{named} or a path" if words else "a path")


def endpoint() -> Parser:
    """A receiver's address: ``http(s)://host[:port][/path]``; for gRPC ``host:port`` too."""
    return Parser(
        _endpoint,
        str,
        "a URL such as `http://localhost:4318`",
        public=mask_url,
        mask=mask_url,
    )


def _endpoint(raw: Raw) -> str:
    value = one_text(raw)
    if not value.isprintable() or " " in value:
        raise Unusable("it has characters that can't be in a URL")
    try:
        parts = urlsplit(value if "://" in value else f"//{value}")
        port = parts.port
    except ValueError as error:
        raise Unusable("it isn't a URL") from error
    if not parts.hostname or port == 0:
        raise Unusable("it isn't a URL with a host")
    if "://" in value and parts.scheme not in ("http", "https"):
        raise Unusable("its scheme is neither http nor https")
    return value


def listen() -> Parser:
    """``host:port``; the host of ``:port`` and of a port alone is the loopback address."""

    def parse(raw: Raw) -> str:
        host, _, port = one_text(raw).rpartition(":")
        if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 1 << 16:
            raise Unusable("it has no port")
        if not re.fullmatch(r"[\w.-]*|\[[0-9a-fA-F:.]+\]", host):
            raise Unusable("it isn't an address")
        return f"{host or '127.0.0.1'}:{int(port)}"

    return Parser(parse, str, "an address with a port, such as `127.0.0.1:9808`")


def mask_url(url: str) -> str:
    """The URL, or what was meant to be one, without user, password and query values."""
    without_user = re.sub(r"^(\w+://)?.*@", rf"\g<1>{MASK}@", url, flags=re.DOTALL)
    return re.sub(r"\?.*", f"?{MASK}", without_user, flags=re.DOTALL)
