"""The conventions' stable names in the spans of OpenTelemetry's own instrumentations."""

from __future__ import annotations

import os
from collections.abc import Collection

VARIABLE = "OTEL_SEMCONV_STABILITY_OPT_IN"
STABLE = ("http", "database")


def opt_in(chosen: Collection[str]) -> None:
    """Have upstream's instrumentations write stable names, beside what the user has ``chosen``.

    To be called before the first of them is switched on: they read the environment once.
    """
    missing = [name for name in STABLE if not {name, f"{name}/dup"} & set(chosen)]
    os.environ[VARIABLE] = ",".join([*sorted(chosen), *missing])
