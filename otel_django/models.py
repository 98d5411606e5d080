"""What this package keeps in the site's database; ``OTEL_DJANGO_DATABASE`` names its alias."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Lease(models.Model):
    """Who does for the whole deployment what only one process is to do, and what came of it last.

    Times are milliseconds since the epoch, by the database's clock. ``result`` is JSON.
    """

    name = models.CharField(max_length=200, primary_key=True)
    owner = models.CharField(max_length=64, default="")
    until_ms = models.BigIntegerField(default=0)
    result = models.TextField(default="")
    observed_ms = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return self.name


class LogLevel(Lease):
    """A page in the admin needs a model to stand by; what it shows lies in the run folder."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = "log level"


class Overview(Lease):
    """A place in the admin, as ``LogLevel``: of the page that says whether all is well."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = verbose_name_plural = "overview"


class Traces(Lease):
    """A place in the admin, as ``LogLevel``: of the list of traces."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = verbose_name_plural = "traces"


class Logs(Lease):
    """A place in the admin, as ``LogLevel``: of the page of log records."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = verbose_name_plural = "logs"


class Errors(Lease):
    """A place in the admin, as ``LogLevel``: of the list of errors."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = verbose_name_plural = "errors"


class HealthMetric(models.Model):
    """What one health check, the score or a figure of the host was at one time.

    ``metric_value`` has a number ``value``, and what else there is to know of it. A row of a whole
    hour (``hourly``) stands for many: ``value`` is their mean, ``status`` the worst of them,
    ``timestamp`` the hour's beginning.
    """

    class Status(models.TextChoices):
        """As alerts' severities are called."""

        HEALTHY = "healthy"
        WARNING = "warning"
        CRITICAL = "critical"

    id = models.BigAutoField(primary_key=True)
    metric_name = models.CharField(max_length=100)
    metric_value = models.JSONField()
    status = models.CharField(max_length=20, choices=Status.choices)
    timestamp = models.DateTimeField(default=timezone.now)
    hourly = models.BooleanField(default=False)

    class Meta:
        ordering = ("-timestamp", "-id")
        indexes = (
            models.Index(fields=["hourly", "timestamp"], name="otel_health_time"),
            models.Index(fields=["metric_name", "timestamp"], name="otel_health_name"),
        )
        # Else `manage.py check` asks the database whether it does, and so needs one.
        required_db_features = ("supports_json_field",)
        permissions = (
            ("view_system_health", "Can view the system's health"),
            ("test_alerts", "Can send test alerts"),
        )

    def __str__(self) -> str:
        return f"{self.metric_name}: {self.status}"


class ErrorGroupState(models.Model):
    """What somebody decided about exceptions alike: that they are dealt with, or of no interest.

    ``release`` is the newest ``service.version`` they had been seen in by then; ``at_ms`` is in
    milliseconds since the epoch. Without a row a group is open.
    """

    class State(models.TextChoices):
        """What a group can be."""

        OPEN = "open"
        RESOLVED = "resolved"
        IGNORED = "ignored"

    fingerprint = models.CharField(max_length=16, primary_key=True)
    state = models.CharField(max_length=10, choices=State.choices)
    by = models.CharField(max_length=150, default="")
    at_ms = models.BigIntegerField(default=0)
    release = models.CharField(max_length=200, default="")

    def __str__(self) -> str:
        return f"{self.fingerprint}: {self.state}"
