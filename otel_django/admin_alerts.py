"""Alerts in the admin: what there is and was, silences, rules and metrics of the site's own."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.utils.html import format_html

from otel_django import admin_pages
from otel_django.alerts.configured import configured
from otel_django.alerts.definitions import FORMS, KINDS, changed, defined
from otel_django.alerts.errors import RuleError
from otel_django.alerts.keeping.archive import put_by
from otel_django.alerts.keeping.documents import matchers_of, matchers_text
from otel_django.alerts.keeping.rows import metric_of, rule_of
from otel_django.models import (
    AlertArchive,
    AlertAttempt,
    AlertEvent,
    AlertMaintenance,
    AlertNotification,
    AlertRule,
    AlertSilence,
    CustomMetric,
    SystemAlert,
)
from otel_django.viewer.filters import inert
from otel_django.web import alert_decisions, alertmanager_told
from otel_django.web.alert_decisions import (
    ACKNOWLEDGE,
    RESOLVE,
    SILENCE,
    Decider,
    DecisionError,
    written,
)
from otel_django.web.alert_rules import has_threshold
from otel_django.web.permissions import has_permission, is_staff
from otel_django.web.site_settings import site_settings

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest
    from django.utils.safestring import SafeString

    _ModelAdmin = admin.ModelAdmin[Any]
    _TabularInline = admin.TabularInline[Any, Any]
    _ModelForm = forms.ModelForm[Any]
else:
    if apps.is_installed("unfold"):
        from unfold.admin import ModelAdmin as _ModelAdmin
        from unfold.admin import TabularInline as _TabularInline
    else:
        _ModelAdmin, _TabularInline = admin.ModelAdmin, admin.TabularInline
    _ModelForm = forms.ModelForm

SILENCE_MINUTES: Final = 60


def _decider(request: HttpRequest) -> Decider:
    by = str(request.user.get_username())
    return Decider(site_settings().database, by, time.time_ns() // 1_000_000)


class _Rows(_ModelAdmin):
    """Rows of the database that the settings name; staff may look at them, nobody writes them."""

    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Of that database."""
        rows: QuerySet[Any] = super().get_queryset(request).using(site_settings().database)
        return rows

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whoever may see it sees where it is."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Staff."""
        return is_staff(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: rows are made by what happens."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: they go by their age."""
        return False


@admin.register(SystemAlert)
class SystemAlertAdmin(_Rows):
    """What fires and what did. Actions need the permissions of the alerts' pages."""

    list_display = (
        *("alert_type", "severity", "state", "said", "created_at", "resolved_at"),
        *("acknowledged_by", "source", "its_page"),
    )
    list_filter = ("state", "severity", "source", "alert_type", "created_at")
    search_fields = ("alert_type", "message", "labels", "fingerprint")
    fields = (
        *("its_page", "alert_type", "severity", "state", "said", "labelled", "value", "threshold"),
        *("created_at", "resolved_at", "acknowledged_by", "taken_note", "source", "fingerprint"),
    )
    readonly_fields = fields
    actions = ("acknowledge", "silence", "resolve", "archive")

    @admin.display(description="message")
    def said(self, alert: SystemAlert) -> str:
        """As it came with telemetry."""
        return inert(alert.message)

    @admin.display(description="labels")
    def labelled(self, alert: SystemAlert) -> str:
        """As it came with telemetry."""
        return inert(alert.labels)

    @admin.display(description="note")
    def taken_note(self, alert: SystemAlert) -> str:
        """Of who acknowledged it."""
        return inert(alert.acknowledged_note)

    @admin.display(description="chart, runbook, history")
    def its_page(self, alert: SystemAlert) -> SafeString | str:
        """The page with its chart, where the site has the pages."""
        base = admin_pages.address("alerts")
        if base is None:
            return "–"
        where = f"{base}{alert.fingerprint}/?since={alert.since_ms}"
        return format_html('<a href="{}">Open</a>', where)

    def has_acknowledge_permission(self, request: HttpRequest) -> bool:
        """Of the action."""
        return has_permission(request, ACKNOWLEDGE)

    def has_silence_permission(self, request: HttpRequest) -> bool:
        """Of the action."""
        return has_permission(request, SILENCE)

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        """Of the actions."""
        return has_permission(request, RESOLVE)

    @admin.action(description="Acknowledge: I take care of them", permissions=["acknowledge"])
    def acknowledge(self, request: HttpRequest, chosen: QuerySet[SystemAlert]) -> None:
        """Those that fire."""
        done = alert_decisions.acknowledge(_decider(request), chosen)
        self._tell(request, done, "acknowledged: those that fire can be")

    @admin.action(description="Silence for an hour", permissions=["silence"])
    def silence(self, request: HttpRequest, chosen: QuerySet[SystemAlert]) -> None:
        """Each of them, once."""
        alerts = {one.fingerprint: one for one in chosen if not one.resolved}
        decider = _decider(request)
        for one in alerts.values():
            alert_decisions.silence_alert(decider, one, SILENCE_MINUTES)
        self._tell(request, len(alerts), "silenced: those that aren't over can be")

    @admin.action(description="Resolve: they are over", permissions=["resolve"])
    def resolve(self, request: HttpRequest, chosen: QuerySet[SystemAlert]) -> None:
        """Those that aren't over; what is still at fault fires anew."""
        done = alert_decisions.resolve(_decider(request), chosen)
        self._tell(request, done, "resolved: those that aren't over can be")

    @admin.action(description="Archive those that are over", permissions=["resolve"])
    def archive(self, request: HttpRequest, chosen: QuerySet[SystemAlert]) -> None:
        """They go to where they would have gone after a month."""
        decider = _decider(request)
        put = put_by(list(chosen), database=decider.database)
        alert_decisions.note(decider, "archived", put)
        self._tell(request, len(put), "archived: those that are over, and told to be, can be")

    def _tell(self, request: HttpRequest, done: int, what: str) -> None:
        level = messages.SUCCESS if done else messages.WARNING
        self.message_user(request, f"{done} {what.partition(':')[0] if done else what}.", level)


# --- silences


class MatchersForm(_ModelForm):
    """Matchers as people write them, one a line."""

    matchers = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
        help_text="One condition a line, all must hold: alertname=HighCpu, severity!=critical, "
        "service.name=~shop.* (a pattern of the whole value), !~",
    )
    may_be_empty = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "matchers" in self.fields:  # it isn't for those who may only look
            self.fields["matchers"].required = not self.may_be_empty
            self.initial["matchers"] = _lines(self.instance.matchers)

    def clean_matchers(self) -> str:
        """As the row has them."""
        try:
            return matchers_text(alert_decisions.matchers(self.cleaned_data["matchers"]))
        except DecisionError as error:
            raise forms.ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        """It ends after it begins."""
        given: dict[str, Any] = super().clean() or {}
        begins, ends = given.get("starts_at"), given.get("ends_at")
        if begins and ends and begins >= ends:
            raise forms.ValidationError("It must end after it begins.")
        return given


class MaintenanceForm(MatchersForm):
    """Without matchers it is of all alerts."""

    may_be_empty = True


def _lines(text: str) -> str:
    try:
        return "\n".join(written([one]) for one in matchers_of(text))
    except ValueError:
        return ""


class _Decided(_Rows):
    """Rows that people make: each change leaves an event."""

    kind = ""
    exclude = ("by",)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Who it was is kept with it."""
        decider = _decider(request)
        obj.by = decider.name
        super().save_model(request, obj, form, change)
        self._note(decider, obj, "changed" if change else "made")

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """That it is gone is kept."""
        self._note(_decider(request), obj, "deleted")
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """The same of several."""
        for one in queryset:
            self._note(_decider(request), one, "deleted")
        super().delete_queryset(request, queryset)

    def _note(self, decider: Decider, obj: Any, what: str) -> None:
        rule = obj.name if isinstance(obj, (AlertRule, CustomMetric)) else ""
        alert_decisions.note_of(decider, self.kind, rule, f"{what} in the admin: {obj}")
        alertmanager_told.decided(decider.database)


class _Quiet(_Decided):
    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """As on the page of silences."""
        return has_permission(request, SILENCE)

    has_change_permission = has_add_permission
    has_delete_permission = has_add_permission

    @admin.display(description="alerts with")
    def of(self, row: Any) -> str:
        """Its conditions."""
        return inert(_lines(row.matchers).replace("\n", ", ")) or "every alert"


@admin.register(AlertSilence)
class AlertSilenceAdmin(_Quiet):
    """Of what nobody is told, until when."""

    kind = "silenced"
    form = MatchersForm
    list_display = ("of", "starts_at", "ends_at", "by", "comment")
    list_filter = ("ends_at",)
    search_fields = ("matchers", "comment", "by")


@admin.register(AlertMaintenance)
class AlertMaintenanceAdmin(_Quiet):
    """The same, planned."""

    kind = "maintenance"
    form = MaintenanceForm
    list_display = ("name", "of", "starts_at", "ends_at", "every", "enabled", "by")
    list_filter = ("enabled", "every")
    search_fields = ("name", "matchers", "by")


# --- rules and metrics of the site's own


class _Written(_Decided):
    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Django's own permission of the model."""
        return has_permission(request, f"otel_django.add_{self.opts.model_name}")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Django's own permission of the model."""
        return has_permission(request, f"otel_django.change_{self.opts.model_name}")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Django's own permission of the model."""
        return has_permission(request, f"otel_django.delete_{self.opts.model_name}")


def _object(text: str) -> str:
    """JSON that is an object."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise forms.ValidationError(f"It isn't JSON: {error}.") from error
    if not isinstance(found, dict):
        raise forms.ValidationError("It must be a JSON object, in braces.")
    return text or "{}"


class RuleForm(_ModelForm):
    """A rule, or what is otherwise of one there is; what is wrong with it is said."""

    definition = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 12, "cols": 80}),
        help_text='A JSON object as in the settings, without the name: {"warning": 2} changes a '
        "threshold of a rule there is; a rule of your own has form, metric, operator and "
        "thresholds, too.",
    )

    def clean_definition(self) -> str:
        """An object of JSON."""
        return _object(self.cleaned_data["definition"])

    def clean(self) -> dict[str, Any]:
        """A rule can be made of it."""
        given: dict[str, Any] = super().clean() or {}
        if {"name", "definition"} <= given.keys():
            row = AlertRule(
                name=given["name"], definition=given["definition"], enabled=given["enabled"]
            )
            known = {rule.name: rule for rule in configured(site_settings()).rules}
            rule = known.get(row.name)
            try:
                if rule is None:
                    defined(rule_of(row))
                else:
                    changed(rule, rule_of(row))
            except RuleError as error:
                raise forms.ValidationError(str(error)) from error
        return given


@admin.register(AlertRule)
class AlertRuleAdmin(_Written):
    """Rules of the site's own, and what it wants otherwise of others."""

    kind = "rule_changed"
    form = RuleForm
    list_display = ("name", "definition", "enabled", "by", "changed_at")
    list_filter = ("enabled",)
    search_fields = ("name", "definition")


class MetricForm(_ModelForm):
    """A custom metric; what is wrong with it is said."""

    form = forms.ChoiceField(choices=[(one, one) for one in FORMS])
    kind = forms.ChoiceField(
        choices=[("", "one of this package's"), *((one, one) for one in KINDS)],
        required=False,
        help_text="Of a metric of your own: what it was made as.",
    )
    options = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 5, "cols": 80}),
        help_text='A JSON object of what else the form has: {"by": ["http.route"], "share": 0.95}',
    )

    def clean_options(self) -> str:
        """An object of JSON."""
        return _object(self.cleaned_data["options"])

    def clean(self) -> dict[str, Any]:
        """A rule can be made of it; it needs no threshold to be a card."""
        given: dict[str, Any] = super().clean() or {}
        fields = {each.name for each in CustomMetric._meta.concrete_fields}
        row = CustomMetric(**{key: value for key, value in given.items() if key in fields})
        if not self.errors:
            told = metric_of(row)
            try:
                defined(told if has_threshold(row) else {**told, "warning": 0})
            except RuleError as error:
                raise forms.ValidationError(str(error)) from error
        return given


@admin.register(CustomMetric)
class CustomMetricAdmin(_Written):
    """Figures of the site's own: cards of the dashboard, and rules if they have a threshold."""

    kind = "metric_changed"
    form = MetricForm
    list_display = ("name", "title", "metric", "form", "warning", "critical", "enabled", "by")
    list_filter = ("enabled", "form")
    search_fields = ("name", "title", "metric")


# --- what happened


@admin.register(AlertEvent)
class AlertEventAdmin(_Rows):
    """Who did what, when."""

    list_display = ("when", "kind", "by", "alert_type", "said")
    list_filter = ("kind",)
    search_fields = ("alert_type", "by", "text", "fingerprint")
    fields = readonly_fields = ("when", "kind", "by", "alert_type", "said", "fingerprint")

    @admin.display(description="at", ordering="at_ms")
    def when(self, row: Any) -> str:
        """In UTC."""
        return _time(row.at_ms)

    @admin.display(description="text")
    def said(self, row: AlertEvent) -> str:
        """What was said with it."""
        return inert(row.text)


class AttemptInline(_TabularInline):
    """Its attempts."""

    model = AlertAttempt
    fields = readonly_fields = ("when", "result", "said")
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Staff."""
        return is_staff(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    @admin.display(description="at")
    def when(self, row: Any) -> str:
        """In UTC."""
        return _time(row.at_ms)

    @admin.display(description="detail")
    def said(self, row: AlertAttempt) -> str:
        """What the receiver answered, in safe words."""
        return inert(row.detail)


@admin.register(AlertNotification)
class AlertNotificationAdmin(_Rows):
    """Who was told of what, and whether it arrived."""

    list_display = ("when", "channel", "kind", "severity", "state", "attempts")
    list_filter = ("state", "channel", "kind")
    search_fields = ("key", "fingerprints")
    fields = readonly_fields = (*list_display, "key", "fingerprints")
    inlines = (AttemptInline,)

    @admin.display(description="made at", ordering="created_ms")
    def when(self, row: Any) -> str:
        """In UTC."""
        return _time(row.created_ms)


@admin.register(AlertArchive)
class AlertArchiveAdmin(_Rows):
    """Alerts of long ago."""

    list_display = ("month", "alerts")
    list_filter = ("month",)
    fields = readonly_fields = ("month", "alerts", "lines")

    @admin.display(description="alerts, one JSON object a line")
    def lines(self, row: AlertArchive) -> SafeString:
        """The first of them."""
        return format_html("<pre>{}</pre>", "\n".join(map(inert, row.document.splitlines()[:100])))


def _time(at_ms: int) -> str:
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(at_ms / 1000))} UTC"
