"""What goes in and out as JSON: described by types, which say it to type checkers, too."""

from __future__ import annotations

import types
import typing
from typing import Any, Literal, Union

_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
    Any: {},
}


def schema(shape: Any, named: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of a type: a ``TypedDict``, ``list``, ``dict``, ``Literal``, union or plain.

    A ``TypedDict`` is referred to by its name and put into ``named``, OpenAPI's schemas; all its
    keys are required but those of one with ``total=False``.
    """
    if shape in _PLAIN:
        return dict(_PLAIN[shape])
    origin, arguments = typing.get_origin(shape), typing.get_args(shape)
    if origin is Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema(each, named) for each in arguments]}
    if origin is list:
        return {"type": "array", "items": schema(arguments[0], named)}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema(arguments[1], named)}
    if shape.__name__ not in named:
        hints = typing.get_type_hints(shape)
        named[shape.__name__] = {
            "type": "object",
            "properties": {name: schema(each, named) for name, each in hints.items()},
            "required": sorted(shape.__required_keys__),
        }
    return {"$ref": f"#/components/schemas/{shape.__name__}"}


def misfit(value: Any, shape: Any, where: str = "the body") -> str:
    """What is wrong with a JSON value, in words for who sent it; "" for nothing.

    Keys that the shape doesn't know are let pass.
    """
    if shape is Any:
        return ""
    origin, arguments = typing.get_origin(shape), typing.get_args(shape)
    if origin in (Union, types.UnionType):
        found = [misfit(value, each, where) for each in arguments]
        return "" if "" in found else found[0]
    if origin is Literal:
        allowed = ", ".join(str(each) for each in arguments)
        return "" if value in arguments else f"{where} must be one of: {allowed}"
    if origin is list:
        if not isinstance(value, list):
            return f"{where} must be a list"
        return _first(misfit(each, arguments[0], f"{where}[{n}]") for n, each in enumerate(value))
    if shape in _PLAIN:
        return "" if _is(value, shape) else f"{where} must be a {_PLAIN[shape]['type']}"
    if not isinstance(value, dict):
        return f"{where} must be an object"
    if origin is dict:
        return _first(misfit(each, arguments[1], f"{where}'s values") for each in value.values())
    missing = sorted(shape.__required_keys__ - value.keys())
    if missing:
        return f"{where} lacks {', '.join(missing)}"
    hints = typing.get_type_hints(shape)
    return _first(misfit(value[name], each, name) for name, each in hints.items() if name in value)


def _first(found: typing.Iterable[str]) -> str:
    return next((each for each in found if each), "")


def _is(value: Any, plain: Any) -> bool:
    if isinstance(value, bool):
        return plain is bool
    return isinstance(value, (int, float) if plain is float else plain)
