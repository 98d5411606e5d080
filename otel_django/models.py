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


class SystemHealth(Lease):
    """A place in the admin, as ``LogLevel``: of the page on the state of the whole system."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = verbose_name_plural = "system health"


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


# --- alerts; times ``…_ms`` are milliseconds since the epoch


class Severity(models.TextChoices):
    """How bad it is."""

    WARNING = "warning"
    CRITICAL = "critical"


class SystemAlert(models.Model):
    """One occurrence of an alert, from its first breach until it was resolved, and after.

    ``labels`` is a JSON object and ``changes`` a JSON list, both in ASCII: what came with telemetry
    comes back as it was, whatever the database's characters are. ``told_…`` is what was last said
    of it. ``at_ms`` is the evaluation this row is of.
    """

    class State(models.TextChoices):
        """As Prometheus calls them."""

        PENDING = "pending"
        FIRING = "firing"
        RESOLVED = "resolved"

    class Source(models.TextChoices):
        """Who evaluated."""

        EMBEDDED = "embedded"
        PROMETHEUS = "prometheus"

    id = models.BigAutoField(primary_key=True)
    fingerprint = models.CharField(max_length=16)
    alert_type = models.CharField(max_length=100)
    severity = models.CharField(max_length=10, choices=Severity.choices)
    message = models.TextField(default="", blank=True)
    labels = models.TextField(default="{}")
    state = models.CharField(max_length=10, choices=State.choices)
    resolved = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)
    resolved_at = models.DateTimeField(null=True, blank=True)
    value = models.FloatField(default=0.0)
    threshold = models.FloatField(null=True, blank=True)
    since_ms = models.BigIntegerField()
    breached_ms = models.BigIntegerField(default=0)
    fired_ms = models.BigIntegerField(null=True, blank=True)
    resolved_ms = models.BigIntegerField(null=True, blank=True)
    keep_ms = models.BigIntegerField(null=True, blank=True)
    changes = models.TextField(default="[]")
    acknowledged_by = models.CharField(max_length=150, default="", blank=True)
    acknowledged_ms = models.BigIntegerField(null=True, blank=True)
    acknowledged_note = models.TextField(default="", blank=True)
    told_state = models.CharField(max_length=10, default="", blank=True)
    told_ms = models.BigIntegerField(null=True, blank=True)
    told_level = models.PositiveSmallIntegerField(default=0)
    source = models.CharField(max_length=10, choices=Source.choices, default=Source.EMBEDDED)
    at_ms = models.BigIntegerField()

    class Meta:
        ordering = ("-created_at", "-id")
        constraints = (
            models.UniqueConstraint(fields=["fingerprint", "since_ms"], name="otel_alert_once"),
        )
        indexes = (
            models.Index(fields=["resolved", "resolved_ms"], name="otel_alert_resolved"),
            models.Index(fields=["created_at"], name="otel_alert_created"),
        )
        permissions = (
            ("acknowledge_alerts", "Can acknowledge alerts"),
            ("silence_alerts", "Can silence alerts and plan maintenance"),
            ("resolve_alerts", "Can resolve and archive alerts"),
        )

    def __str__(self) -> str:
        return f"{self.alert_type}: {self.severity}, {self.state}"


class AlertSilence(models.Model):
    """Alerts that match aren't told of between both times.

    ``matchers`` is a JSON list of [label, operator, value], the operators Prometheus's.
    """

    id = models.BigAutoField(primary_key=True)
    matchers = models.TextField()
    starts_at = models.DateTimeField(default=timezone.now)
    ends_at = models.DateTimeField()
    by = models.CharField(max_length=150, default="", blank=True)
    comment = models.TextField(default="", blank=True)

    class Meta:
        ordering = ("-ends_at", "-id")
        indexes = (models.Index(fields=["ends_at"], name="otel_silence_end"),)

    def __str__(self) -> str:
        return self.comment[:60] or f"silence {self.pk}"


class AlertMaintenance(models.Model):
    """A window in which alerts that match aren't told of, once or again and again.

    ``every`` is in seconds from one beginning to the next, 0 for once. ``matchers`` as in
    ``AlertSilence``; an empty list is every alert.
    """

    EVERY = ((0, "once"), (86400, "every day"), (604800, "every week"))

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=100)
    matchers = models.TextField(default="[]", blank=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    every = models.PositiveIntegerField(choices=EVERY, default=0)
    enabled = models.BooleanField(default=True)
    by = models.CharField(max_length=150, default="", blank=True)
    comment = models.TextField(default="", blank=True)

    class Meta:
        ordering = ("name", "id")
        verbose_name = verbose_name_plural = "maintenance"

    def __str__(self) -> str:
        return self.name


class AlertRule(models.Model):
    """A rule of the site's own, or what it wants otherwise of one there is.

    ``definition`` is a JSON object with what a rule in the settings has, without its name.
    """

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=63, unique=True)
    definition = models.TextField(default="{}", blank=True)
    enabled = models.BooleanField(default=True)
    by = models.CharField(max_length=150, default="", blank=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class CustomMetric(models.Model):
    """A figure of the site's own: a card on the dashboard, and a rule where it has a threshold.

    ``options`` is a JSON object with what else a rule's expression has (where, by, share, …).
    """

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=63, unique=True)
    title = models.CharField(max_length=100, default="", blank=True)
    metric = models.CharField(max_length=255)
    kind = models.CharField(max_length=30, default="", blank=True)
    form = models.CharField(max_length=20)
    window = models.CharField(max_length=10, default="5m")
    options = models.TextField(default="{}", blank=True)
    unit = models.CharField(max_length=63, default="", blank=True)
    operator = models.CharField(
        max_length=2, choices=[(one, one) for one in (">", ">=", "<", "<=")], default=">"
    )
    warning = models.FloatField(null=True, blank=True)
    critical = models.FloatField(null=True, blank=True)
    enabled = models.BooleanField(default=True)
    by = models.CharField(max_length=150, default="", blank=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.title or self.name


class AlertEvent(models.Model):
    """Who did what, when, and what happened; ``by`` is empty for the service itself.

    ``event_id`` tells one that comes twice.
    """

    id = models.BigAutoField(primary_key=True)
    event_id = models.CharField(max_length=64, unique=True)
    at_ms = models.BigIntegerField()
    kind = models.CharField(max_length=30)
    by = models.CharField(max_length=150, default="", blank=True)
    fingerprint = models.CharField(max_length=16, default="", blank=True)
    alert_type = models.CharField(max_length=100, default="", blank=True)
    text = models.TextField(default="", blank=True)

    class Meta:
        ordering = ("-at_ms", "-id")
        indexes = (
            models.Index(fields=["at_ms"], name="otel_event_time"),
            models.Index(fields=["fingerprint", "at_ms"], name="otel_event_alert"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.alert_type}".strip()


class AlertNotification(models.Model):
    """A notification through one channel: waiting, delivered, or given up.

    Of a ``group`` and channel one goes out after the other. ``document`` is JSON, in ASCII.
    ``fingerprints`` has a space on either side of each.
    """

    class State(models.TextChoices):
        """What became of it."""

        WAITING = "waiting"
        DELIVERED = "delivered"
        FAILED = "failed"

    id = models.BigAutoField(primary_key=True)
    key = models.CharField(max_length=100)
    channel = models.CharField(max_length=100)
    group = models.CharField(max_length=32, default="", blank=True)
    kind = models.CharField(max_length=20)
    severity = models.CharField(max_length=10)
    document = models.TextField()
    fingerprints = models.TextField(default="")
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    created_ms = models.BigIntegerField()
    due_ms = models.BigIntegerField()
    done_ms = models.BigIntegerField(null=True, blank=True)

    class Meta:
        ordering = ("-created_ms", "-id")
        constraints = (
            models.UniqueConstraint(fields=["key", "channel"], name="otel_notification_once"),
        )
        indexes = (
            models.Index(fields=["state", "due_ms"], name="otel_notification_due"),
            models.Index(fields=["created_ms"], name="otel_notification_time"),
        )

    def __str__(self) -> str:
        return f"{self.kind} by {self.channel}: {self.state}"


class AlertAttempt(models.Model):
    """One attempt to send a notification."""

    id = models.BigAutoField(primary_key=True)
    notification = models.ForeignKey(
        AlertNotification, on_delete=models.CASCADE, related_name="tries"
    )
    at_ms = models.BigIntegerField()
    result = models.CharField(max_length=10)
    detail = models.TextField(default="", blank=True)

    class Meta:
        ordering = ("at_ms", "id")
        constraints = (
            models.UniqueConstraint(fields=["notification", "at_ms"], name="otel_attempt_once"),
        )

    def __str__(self) -> str:
        return self.result


class AlertArchive(models.Model):
    """Resolved alerts of a month (``2026-10``, in UTC), some hundred a row.

    ``document`` has one JSON object a line.
    """

    id = models.BigAutoField(primary_key=True)
    month = models.CharField(max_length=7)
    first_ms = models.BigIntegerField()
    last_ms = models.BigIntegerField()
    alerts = models.PositiveIntegerField()
    document = models.TextField()

    class Meta:
        ordering = ("-month", "-first_ms", "-id")
        verbose_name = verbose_name_plural = "archive of alerts"
        indexes = (models.Index(fields=["month"], name="otel_archive_month"),)

    def __str__(self) -> str:
        return f"{self.month}: {self.alerts}"
