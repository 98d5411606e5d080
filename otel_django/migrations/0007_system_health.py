"""The place of the system's health in the admin; no table."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    """A proxy."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("otel_django", "0006_alerts")]
    operations: ClassVar = [
        migrations.CreateModel(
            name="SystemHealth",
            fields=[],
            options={
                "verbose_name": "system health",
                "verbose_name_plural": "system health",
                "proxy": True,
                "default_permissions": (),
                "indexes": [],
                "constraints": [],
            },
            bases=("otel_django.lease",),
        )
    ]
