"""Alerts: rules as data, what they say of a moment, and what becomes of that over time."""

from otel_django.alerts.delivery.contract import Channel, Notification, Outcome, ToldAlert
from otel_django.alerts.rules import Rule

__all__ = ["Channel", "Notification", "Outcome", "Rule", "ToldAlert"]
