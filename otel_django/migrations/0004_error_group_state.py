"""The table of what was decided about errors."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """One table."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("otel_django", "0003_log_level")]
    operations: ClassVar = [
        migrations.CreateModel(
            name="ErrorGroupState",
            fields=[
                (
                    "fingerprint",
                    models.CharField(max_length=16, primary_key=True, serialize=False),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("resolved", "Resolved"),
                            ("ignored", "Ignored"),
                        ],
                        max_length=10,
                    ),
                ),
                ("by", models.CharField(default="", max_length=150)),
                ("at_ms", models.BigIntegerField(default=0)),
                ("release", models.CharField(default="", max_length=200)),
            ],
        ),
    ]
