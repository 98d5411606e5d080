"""The template engine of these pages: our own, so that nothing of the site's set-up matters."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from django.template import Context, Engine

TEMPLATES: Final = Path(__file__).parent / "templates"


@functools.lru_cache(maxsize=1)
def _engine() -> Engine:
    return Engine(
        dirs=[str(TEMPLATES)],
        app_dirs=False,
        autoescape=True,
        loaders=[
            ("django.template.loaders.cached.Loader", ["django.template.loaders.filesystem.Loader"])
        ],
        builtins=["otel_django.viewer.filters"],
    )


def render(name: str, context: Mapping[str, Any]) -> str:
    """``viewer/NAME`` as HTML."""
    rendered: str = (
        _engine()
        .get_template(f"viewer/{name}")
        .render(Context(dict(context), use_l10n=False, use_tz=False))
    )
    return rendered
