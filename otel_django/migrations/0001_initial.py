"""The table of leases."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """One table."""

    initial = True
    dependencies: ClassVar[list[tuple[str, str]]] = []
    operations: ClassVar = [
        migrations.CreateModel(
            name="Lease",
            fields=[
                (
                    "name",
                    models.CharField(max_length=200, primary_key=True, serialize=False),
                ),
                ("owner", models.CharField(default="", max_length=64)),
                ("until_ms", models.BigIntegerField(default=0)),
                ("result", models.TextField(default="")),
                ("observed_ms", models.BigIntegerField(default=0)),
            ],
        ),
    ]
