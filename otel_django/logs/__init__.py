"""Structured logs: every record of a process as a line and as an OpenTelemetry log record."""

from __future__ import annotations


def set_level(logger: str, level: str | None, *, for_s: float | None = None) -> None:
    """Give ``logger`` ("" is the root) this level in every process of this host, while they run.

    ``level`` is debug, info, warning, error or critical; None: what it was. In force within a
    second or two, also in processes that start later; for ``for_s`` seconds, if given.

    Raises:
        ValueError: for another level.
        OSError: when ``OTEL_DJANGO_RUN_DIR`` can't be written.
    """
    from otel_django import conf
    from otel_django.logs import levels

    levels.set_level(conf.from_django().run_dir, logger, level, for_s=for_s)
