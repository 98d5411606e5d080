"""The table of health snapshots."""

from __future__ import annotations

from typing import ClassVar

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    """One table."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("otel_django", "0001_initial")]
    operations: ClassVar = [
        migrations.CreateModel(
            name="HealthMetric",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("metric_name", models.CharField(max_length=100)),
                ("metric_value", models.JSONField()),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("healthy", "Healthy"),
                            ("warning", "Warning"),
                            ("critical", "Critical"),
                        ],
                        max_length=20,
                    ),
                ),
                ("timestamp", models.DateTimeField(default=django.utils.timezone.now)),
                ("hourly", models.BooleanField(default=False)),
            ],
            options={
                "ordering": ("-timestamp", "-id"),
                "required_db_features": ("supports_json_field",),
                "permissions": (
                    ("view_system_health", "Can view the system's health"),
                    ("test_alerts", "Can send test alerts"),
                ),
                "indexes": [
                    models.Index(fields=["hourly", "timestamp"], name="otel_health_time"),
                    models.Index(fields=["metric_name", "timestamp"], name="otel_health_name"),
                ],
            },
        ),
    ]
