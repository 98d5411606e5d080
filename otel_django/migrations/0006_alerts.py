"""The tables of alerts, of what is told of them, and of what users say about rules."""

from __future__ import annotations

from typing import ClassVar

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    """Tables only: none needs a row to start with."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("otel_django", "0005_pages_in_the_admin")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="AlertMaintenance",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=100)),
                ("matchers", models.TextField(blank=True, default="[]")),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                (
                    "every",
                    models.PositiveIntegerField(
                        choices=[(0, "once"), (86400, "every day"), (604800, "every week")],
                        default=0,
                    ),
                ),
                ("enabled", models.BooleanField(default=True)),
                ("by", models.CharField(blank=True, default="", max_length=150)),
                ("comment", models.TextField(blank=True, default="")),
            ],
            options={
                "verbose_name": "maintenance",
                "verbose_name_plural": "maintenance",
                "ordering": ("name", "id"),
            },
        ),
        migrations.CreateModel(
            name="AlertRule",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=63, unique=True)),
                ("definition", models.TextField(blank=True, default="{}")),
                ("enabled", models.BooleanField(default=True)),
                ("by", models.CharField(blank=True, default="", max_length=150)),
                ("changed_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "ordering": ("name",),
            },
        ),
        migrations.CreateModel(
            name="CustomMetric",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=63, unique=True)),
                ("title", models.CharField(blank=True, default="", max_length=100)),
                ("metric", models.CharField(max_length=255)),
                ("kind", models.CharField(blank=True, default="", max_length=30)),
                ("form", models.CharField(max_length=20)),
                ("window", models.CharField(default="5m", max_length=10)),
                ("options", models.TextField(blank=True, default="{}")),
                ("unit", models.CharField(blank=True, default="", max_length=63)),
                (
                    "operator",
                    models.CharField(
                        choices=[(">", ">"), (">=", ">="), ("<", "<"), ("<=", "<=")],
                        default=">",
                        max_length=2,
                    ),
                ),
                ("warning", models.FloatField(blank=True, null=True)),
                ("critical", models.FloatField(blank=True, null=True)),
                ("enabled", models.BooleanField(default=True)),
                ("by", models.CharField(blank=True, default="", max_length=150)),
                ("changed_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "ordering": ("name",),
            },
        ),
        migrations.CreateModel(
            name="AlertArchive",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("month", models.CharField(max_length=7)),
                ("first_ms", models.BigIntegerField()),
                ("last_ms", models.BigIntegerField()),
                ("alerts", models.PositiveIntegerField()),
                ("document", models.TextField()),
            ],
            options={
                "verbose_name": "archive of alerts",
                "verbose_name_plural": "archive of alerts",
                "ordering": ("-month", "-first_ms", "-id"),
                "indexes": [models.Index(fields=["month"], name="otel_archive_month")],
            },
        ),
        migrations.CreateModel(
            name="AlertEvent",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("event_id", models.CharField(max_length=64, unique=True)),
                ("at_ms", models.BigIntegerField()),
                ("kind", models.CharField(max_length=30)),
                ("by", models.CharField(blank=True, default="", max_length=150)),
                ("fingerprint", models.CharField(blank=True, default="", max_length=16)),
                ("alert_type", models.CharField(blank=True, default="", max_length=100)),
                ("text", models.TextField(blank=True, default="")),
            ],
            options={
                "ordering": ("-at_ms", "-id"),
                "indexes": [
                    models.Index(fields=["at_ms"], name="otel_event_time"),
                    models.Index(fields=["fingerprint", "at_ms"], name="otel_event_alert"),
                ],
            },
        ),
        migrations.CreateModel(
            name="AlertNotification",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("key", models.CharField(max_length=100)),
                ("channel", models.CharField(max_length=100)),
                ("group", models.CharField(blank=True, default="", max_length=32)),
                ("kind", models.CharField(max_length=20)),
                ("severity", models.CharField(max_length=10)),
                ("document", models.TextField()),
                ("fingerprints", models.TextField(default="")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("delivered", "Delivered"),
                            ("failed", "Failed"),
                        ],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("created_ms", models.BigIntegerField()),
                ("due_ms", models.BigIntegerField()),
                ("done_ms", models.BigIntegerField(blank=True, null=True)),
            ],
            options={
                "ordering": ("-created_ms", "-id"),
                "indexes": [
                    models.Index(fields=["state", "due_ms"], name="otel_notification_due"),
                    models.Index(fields=["created_ms"], name="otel_notification_time"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("key", "channel"), name="otel_notification_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="AlertSilence",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("matchers", models.TextField()),
                ("starts_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("ends_at", models.DateTimeField()),
                ("by", models.CharField(blank=True, default="", max_length=150)),
                ("comment", models.TextField(blank=True, default="")),
            ],
            options={
                "ordering": ("-ends_at", "-id"),
                "indexes": [models.Index(fields=["ends_at"], name="otel_silence_end")],
            },
        ),
        migrations.CreateModel(
            name="SystemAlert",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("fingerprint", models.CharField(max_length=16)),
                ("alert_type", models.CharField(max_length=100)),
                (
                    "severity",
                    models.CharField(
                        choices=[("warning", "Warning"), ("critical", "Critical")], max_length=10
                    ),
                ),
                ("message", models.TextField(blank=True, default="")),
                ("labels", models.TextField(default="{}")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("firing", "Firing"),
                            ("resolved", "Resolved"),
                        ],
                        max_length=10,
                    ),
                ),
                ("resolved", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("resolved_at", models.DateTimeField(blank=True, null=True)),
                ("value", models.FloatField(default=0.0)),
                ("threshold", models.FloatField(blank=True, null=True)),
                ("since_ms", models.BigIntegerField()),
                ("breached_ms", models.BigIntegerField(default=0)),
                ("fired_ms", models.BigIntegerField(blank=True, null=True)),
                ("resolved_ms", models.BigIntegerField(blank=True, null=True)),
                ("keep_ms", models.BigIntegerField(blank=True, null=True)),
                ("changes", models.TextField(default="[]")),
                ("acknowledged_by", models.CharField(blank=True, default="", max_length=150)),
                ("acknowledged_ms", models.BigIntegerField(blank=True, null=True)),
                ("acknowledged_note", models.TextField(blank=True, default="")),
                ("told_state", models.CharField(blank=True, default="", max_length=10)),
                ("told_ms", models.BigIntegerField(blank=True, null=True)),
                ("told_level", models.PositiveSmallIntegerField(default=0)),
                (
                    "source",
                    models.CharField(
                        choices=[("embedded", "Embedded"), ("prometheus", "Prometheus")],
                        default="embedded",
                        max_length=10,
                    ),
                ),
                ("at_ms", models.BigIntegerField()),
            ],
            options={
                "ordering": ("-created_at", "-id"),
                "indexes": [
                    models.Index(fields=["resolved", "resolved_ms"], name="otel_alert_resolved"),
                    models.Index(fields=["created_at"], name="otel_alert_created"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("fingerprint", "since_ms"), name="otel_alert_once"
                    )
                ],
                "permissions": (
                    ("acknowledge_alerts", "Can acknowledge alerts"),
                    ("silence_alerts", "Can silence alerts and plan maintenance"),
                    ("resolve_alerts", "Can resolve and archive alerts"),
                ),
            },
        ),
        migrations.CreateModel(
            name="AlertAttempt",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("at_ms", models.BigIntegerField()),
                ("result", models.CharField(max_length=10)),
                ("detail", models.TextField(blank=True, default="")),
                (
                    "notification",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tries",
                        to="otel_django.alertnotification",
                    ),
                ),
            ],
            options={
                "ordering": ("at_ms", "id"),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("notification", "at_ms"), name="otel_attempt_once"
                    )
                ],
            },
        ),
    ]
