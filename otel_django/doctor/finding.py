"""What the doctor says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["ok", "note", "warning", "fault"]
"""A fault keeps telemetry from where it belongs; a warning may; a note is only worth knowing."""


@dataclass(frozen=True)
class Finding:
    """``subject`` is what was looked at, such as "traces"; ``cure`` what to do, empty if nothing.

    Neither text holds a secret. ``observed`` is for programs: plain values, units in the names.
    """

    subject: str
    state: State
    message: str
    cure: str = ""
    observed: Mapping[str, Any] = field(default_factory=dict)
