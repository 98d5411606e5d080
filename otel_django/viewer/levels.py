"""What gauges said last."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def last_known(levels: Sequence[float | None]) -> float | None:
    """The last level that is one; None where there is none."""
    return next((level for level in reversed(levels) if level is not None), None)
