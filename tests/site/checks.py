"""Health checks of the test site: ``TESTS_HEALTH_CHECKS`` says which, by comma."""

from __future__ import annotations

import os
import time

from otel_django import health


def hangs() -> None:
    """Doesn't come back."""
    time.sleep(3600)


def refused() -> None:
    """Is away."""
    raise health.CheckError("shop-db-7.internal refused")


def works() -> health.Result:
    """Is well."""
    return health.Result(observed={"waiting": 3})


def register() -> None:
    """Those that are asked for, critical for readiness."""
    for name in filter(None, os.environ.get("TESTS_HEALTH_CHECKS", "").split(",")):
        health.register(name, critical=True)(globals()[name])
