"""Parsers of several values: lists, sets, ``key=value`` pairs, networks."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from otel_django.conf.parsers import MASK, NOTHING, Others, Parser, Raw, Unusable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SECRET_NAME: Final = re.compile(
    r"pass|secret|token|api[-_.]?key|credential|auth|private", re.IGNORECASE
)
# RFC 9110 token, which is what a header's name is made of.
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[\x20-\x7e\t]*")


def _items(raw: Raw) -> tuple[str, ...]:
    """The items of a comma-separated list, each once, in order."""
    if isinstance(raw, dict):
        raise Unusable("a list is wanted here, not a dict")
    parts = raw.split(",") if isinstance(raw, str) else raw
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _quoted(values: Iterable[str]) -> str:
    return ", ".join(f"{value!r}" for value in values)


# --- lists and sets


def names(allowed: str = "a comma-separated list of names") -> Parser:
    """A list of names as they are written."""
    return Parser(_items, ",".join, allowed)


def matching(pattern: str, allowed: str) -> Parser:
    """A list of texts that ``pattern`` fits as a whole."""

    def parse(raw: Raw) -> tuple[str, ...]:
        items = _items(raw)
        good = tuple(item for item in items if re.fullmatch(pattern, item))
        if len(good) < len(items):
            bad = [item for item in items if item not in good]
            raise Unusable(f"not understood: {_quoted(bad)}", good or NOTHING)
        return items

    return Parser(parse, ",".join, allowed)


def secrets(allowed: str) -> Parser:
    """A list of printable texts, none of which is ever shown."""

    def parse(raw: Raw) -> tuple[str, ...]:
        items = _items(raw)
        good = tuple(item for item in items if item.isprintable())
        if len(good) < len(items):
            bad = len(items) - len(good)
            raise Unusable(f"{bad} of its {len(items)} parts can't be read", good or NOTHING)
        return items

    def public(value: Sequence[str]) -> str:
        return ",".join(MASK for _ in value)

    return Parser(parse, ",".join, allowed, public, mask=lambda _: MASK)


def lowered(allowed: str = "a comma-separated list of names") -> Parser:
    """A set of names in lower case."""

    def parse(raw: Raw) -> frozenset[str]:
        return frozenset(item.lower() for item in _items(raw))

    return Parser(parse, _show_set, allowed)


def several_of(*allowed: str, others: Others | None = None) -> Parser:
    """A tuple of some of ``allowed`` and ``others``; ``none`` is the empty one."""

    def known(item: str) -> str | None:
        if item.lower() in allowed:
            return item.lower()
        return item if others and others.knows(item) else None

    def parse(raw: Raw) -> tuple[str, ...]:
        items = _items(raw)
        wanted = [item for item in items if item.lower() != "none"]
        found = {item: known(item) for item in wanted}
        good = tuple(dict.fromkeys(name for name in found.values() if name))
        bad = [item for item, name in found.items() if not name]
        if bad:
            raise Unusable(f"not known: {_quoted(bad)}", good or NOTHING)
        if good and len(wanted) < len(items):
            raise Unusable("`none` stands alone", good)
        return good

    listed = ", ".join(f"`{name}`" for name in (*allowed, "none"))
    beyond = others.allowed if others else ""
    return Parser(
        parse,
        lambda value: ",".join(value) or "none",
        f"a comma-separated list of {listed}{beyond}",
    )


def some_of(*allowed: str) -> Parser:
    """As ``several_of``, for a set."""
    several = several_of(*allowed)

    def parse(raw: Raw) -> frozenset[str]:
        try:
            return frozenset(several.parse(raw))
        except Unusable as unusable:
            if unusable.rest is not NOTHING:
                unusable.rest = frozenset(unusable.rest)
            raise

    return Parser(parse, lambda value: _show_set(value) or "none", several.allowed)


def _show_set(value: Iterable[str]) -> str:
    return ",".join(sorted(value))


_SETS_OF_COMMANDS: Final = ("own", "all", "none")
_COMMAND_NAME: Final = re.compile(r"-?\w[\w-]*")


def commands() -> Parser:
    """One of own (the default), all and none; then names of commands, with a ``-`` left out."""

    def parse(raw: Raw) -> tuple[str, ...]:
        items = _items(raw)
        sets = [item.lower() for item in items if item.lower() in _SETS_OF_COMMANDS]
        named = [item for item in items if item.lower() not in _SETS_OF_COMMANDS]
        good = [item for item in named if _names_a_command(item)]
        words = (sets[0] if sets else "own", *good)
        if len(good) < len(named):
            bad = [item for item in named if item not in good]
            raise Unusable(f"not the name of a command: {_quoted(bad)}", words)
        if len(sets) > 1:
            raise Unusable(f"only one of {_quoted(sets)} can be meant", words)
        return words

    listed = ", ".join(f"`{name}`" for name in _SETS_OF_COMMANDS)
    return Parser(
        parse, ",".join, f"one of {listed}, and names of commands, those to leave out after a `-`"
    )


def _names_a_command(item: str) -> bool:
    left_out = item.startswith("-") and item[1:].lower() in _SETS_OF_COMMANDS
    return bool(_COMMAND_NAME.fullmatch(item)) and not left_out


def regexes() -> Parser:
    """A list of regular expressions, as text."""

    def parse(raw: Raw) -> tuple[str, ...]:
        items = _items(raw)
        good = tuple(item for item in items if _compiles(item))
        if len(good) < len(items):
            bad = [item for item in items if item not in good]
            raise Unusable(f"not a regular expression: {_quoted(bad)}", good or NOTHING)
        return items

    return Parser(parse, ",".join, "a comma-separated list of regular expressions")


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError, Warning):  # a warning if these are errors
        return False
    return True


def networks(*words: str) -> Parser:
    """One of ``words``, or a tuple of IP networks."""

    def parse(raw: Raw) -> str | tuple[Network, ...]:
        items = _items(raw)
        if len(items) == 1 and items[0].lower() in words:
            return items[0].lower()
        found = {item: _network(item) for item in items}
        good = tuple(network for network in found.values() if network)
        bad = [item for item, network in found.items() if not network]
        if bad or not good:
            raise Unusable(f"not a network: {_quoted(bad)}", good or NOTHING)
        return good

    def show(value: str | Sequence[Network]) -> str:
        return value if isinstance(value, str) else ",".join(map(str, value))

    named = ", ".join(f"`{word}`" for word in words)
    return Parser(parse, show, f"{named}, or networks such as `10.0.0.0/8,192.168.1.7`")


def _network(item: str) -> Network | None:
    try:
        return ipaddress.ip_network(item, strict=False)
    except ValueError:
        return None


# --- key=value pairs

_PAIRS: Final = "pairs with commas between them, values percent-encoded"


def pairs() -> Parser:
    """``key=value,key2=value2`` with percent-encoded values, as in OTEL_RESOURCE_ATTRIBUTES."""

    def parse(raw: Raw) -> dict[str, str]:
        return _pairs(raw, lambda key, value: (key, value) if key else None)

    def show(value: Mapping[str, str]) -> str:
        return ",".join(f"{_encode(key, '')}={_encode(item)}" for key, item in value.items())

    def public(value: Mapping[str, str]) -> str:
        return ",".join(
            f"{_encode(key, '')}={MASK if _SECRET_NAME.search(key) else _encode(item)}"
            for key, item in value.items()
        )

    return Parser(parse, show, f"`key=value` {_PAIRS}", public, mask=_mask_pairs)


def _mask_pairs(text: str) -> str:
    secret = rf"([^=,]*(?:{_SECRET_NAME.pattern})[^=,]*=)[^,]*"
    return re.sub(secret, rf"\g<1>{MASK}", text, flags=re.IGNORECASE)


def headers() -> Parser:
    """As ``pairs``, for HTTP headers: names in lower case; every value is a secret."""

    def parse(raw: Raw) -> dict[str, str]:
        return _pairs(raw, _header)

    def show(value: Mapping[str, str]) -> str:
        return ",".join(f"{_encode(key, '')}={_encode(item)}" for key, item in value.items())

    def public(value: Mapping[str, str]) -> str:
        return ",".join(f"{key}={MASK}" for key in value)

    return Parser(parse, show, f"`name=value` {_PAIRS}", public, mask=lambda _: MASK)


def _header(key: str, value: str) -> tuple[str, str] | None:
    if _HEADER_NAME.fullmatch(key) and _HEADER_VALUE.fullmatch(value):
        return key.lower(), value
    return None


def _encode(text: str, also_safe: str = "=") -> str:
    """Percent-encode what would be read as something else; the inverse of ``_split``."""
    return quote(text, safe=" !#$&'()*+-./:<>?@[]^_`{|}~" + also_safe)


def _pairs(raw: Raw, accept: Callable[[str, str], tuple[str, str] | None]) -> dict[str, str]:
    """The pairs that ``accept`` lets through; Unusable counts the others and names no value."""
    given = raw.items() if isinstance(raw, dict) else map(_split, _items(raw))
    found = [accept(*pair) if pair else None for pair in given]
    good = dict(pair for pair in found if pair)
    bad = found.count(None)
    if bad:
        raise Unusable(f"{bad} of its {len(found)} parts can't be read", good or NOTHING)
    return good


def _split(item: str) -> tuple[str, str] | None:
    key, equals, value = item.partition("=")
    return (unquote(key).strip(), unquote(value).strip()) if equals else None
