"""Answers with an ETag, for those who ask again and again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from django.utils.http import parse_etags

from otel_django.web.json_endpoint import answer, finite
from otel_django.web.metrics_answer import Answer

if TYPE_CHECKING:
    from django.http import HttpRequest

_PASSING: Final = frozenset({"timestamp", "duration_ms", "age_s", "running_s"})
"""What differs at each look."""


def unless_known(request: HttpRequest, found: Mapping[str, Any]) -> Answer:
    """The payload; with If-None-Match 304 where all of it that lasts is as before."""
    tag = f'W/"{_digest(found)}"'
    known = parse_etags(request.META.get("HTTP_IF_NONE_MATCH", ""))
    if tag in known or tag.removeprefix("W/") in known or "*" in known:
        return Answer(304, b"", {"ETag": tag})
    return answer(found, ETag=tag)


def _digest(found: Mapping[str, Any]) -> str:
    text = json.dumps(_lasting(finite(found)), sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lasting(each) for key, each in value.items() if key not in _PASSING}
    return value
