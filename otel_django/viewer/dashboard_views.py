"""The live system dashboard as JSON: with an ETag, as it is asked for often."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_django.web.dashboard import Dashboard
from otel_django.web.json_endpoint import Asked, Choice, class_of, get, json_view
from otel_django.web.unchanged import unless_known

if TYPE_CHECKING:
    from otel_django.web.metrics_answer import Answer


@get(parameters=(Choice("format", "The form of the answer.", ("json",)),), shape=Dashboard)
def _dashboard(asked: Asked) -> Answer:
    """The whole system in one answer: its parts with figures and states, alerts, newest errors.

    It is made once for all who ask within some seconds. With If-None-Match 304 where all is as
    before.
    """
    from otel_django.viewer.board.board import look
    from otel_django.viewer.board.document import document

    return unless_known(asked.request, document(look(asked.settings)))


monitoring_dashboard = json_view("monitoring_dashboard", _dashboard)
MonitoringDashboardView = class_of(monitoring_dashboard)
