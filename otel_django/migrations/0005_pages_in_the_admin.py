"""The places of pages in the admin; no tables."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations


def _place(name: str) -> migrations.CreateModel:
    return migrations.CreateModel(
        name=name,
        fields=[],
        options={
            "verbose_name": name.lower(),
            "verbose_name_plural": name.lower(),
            "proxy": True,
            "default_permissions": (),
            "indexes": [],
            "constraints": [],
        },
        bases=("otel_django.lease",),
    )


class Migration(migrations.Migration):
    """Proxies."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("otel_django", "0004_error_group_state")]
    operations: ClassVar = [_place(name) for name in ("Overview", "Traces", "Logs", "Errors")]
