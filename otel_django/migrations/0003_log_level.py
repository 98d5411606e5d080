"""The place of a page in the admin; no table."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    """A proxy."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("otel_django", "0002_health_metric")]
    operations: ClassVar = [
        migrations.CreateModel(
            name="LogLevel",
            fields=[],
            options={
                "verbose_name": "log level",
                "proxy": True,
                "default_permissions": (),
                "indexes": [],
                "constraints": [],
            },
            bases=("otel_django.lease",),
        ),
    ]
