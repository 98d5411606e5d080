"""The parts' figures of one moment, for those who keep them longer than a store does."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from otel_django.backends.embedded_metrics import EmbeddedMetricReader
from otel_django.backends.embedded_session import one_connection
from otel_django.viewer.board.kept import Kept
from otel_django.viewer.board.measures import judged
from otel_django.viewer.board.parts import PARTS, figure_name
from otel_django.viewer.board.trends import CHARTS
from otel_django.web.alert_rules import rules_of

if TYPE_CHECKING:
    from pathlib import Path

    from otel_django.conf import Settings
    from otel_django.health.results import State


@one_connection()
def figures(settings: Settings, store: Path, now_ns: int) -> dict[str, tuple[float, State]]:
    """Those that trends are drawn of, by name (``site.p95``), as far as they are known.

    Raises:
        ReadError: the store can't be read.
    """
    kept, rules = Kept(EmbeddedMetricReader(store), None, now_ns), rules_of(settings).rules
    found: dict[str, tuple[float, State]] = {}
    for part in PARTS:
        for measure in part.measures[:CHARTS]:
            value = kept.now(measure)
            if value is not None and isfinite(value):
                found[figure_name(part, measure)] = value, judged(measure, value, rules)
    return found
