"""What the admin shows of health, on Django's own and on Unfold's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers import admin_process

SCRIPT = """
import re
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.test import override_settings
from django.urls import reverse
from otel_django.models import HealthMetric

HealthMetric.objects.create(metric_name="queue", metric_value={"value": 0.5}, status="warning")
people["reader"] = reader = User.objects.create(username="reader", is_staff=True)
reader.user_permissions.add(Permission.objects.get(codename="view_system_health"))
rows = reverse("admin:otel_django_healthmetric_changelist")
now = reverse("admin:otel_django_health_api")
page = reverse("admin:otel_django_systemhealth_changelist")
row = reverse("admin:otel_django_healthmetric_change", args=[HealthMetric.objects.get().pk])
found = {}
for name in people:
    person = client(name)
    seen = (rows, f"{rows}?status=warning", row, now)
    found[name] = [person.get(each).status_code for each in seen]
    found[name] += [person.post(each).status_code for each in (f"{rows}add/", row)]
    found[name] += [person.get(page).status_code, person.post(page).status_code]
root = client("root")
html = root.get(page).content.decode()
files = re.findall(r'(?:href|src)="([^"]*systemhealth/static/[^"]*)"', html)
found["files"] = [root.get(each).headers["Content-Type"].partition(";")[0] for each in files]
found["titles"] = re.findall(r'<th scope="row"><a href="([^"]*)">([^<]*)', html)
with override_settings(OTEL_DJANGO={**settings.OTEL_DJANGO, "VIEWER": False}):
    found["alone"] = re.findall(r'<th scope="row">([A-Za-z]+)', root.get(page).content.decode())
kind = type(admin.site._registry[HealthMetric]).__mro__
found["kind"] = [each.__module__ for each in kind]
"""


@pytest.mark.parametrize("theme", admin_process.THEMES)
def test_those_with_the_right_see_and_nobody_changes(theme: str, tmp_path: Path) -> None:
    found = admin_process.found(theme, tmp_path, SCRIPT)
    sees = [200, 200, 200, 200, 403, 403, 200, 405]
    assert {name: found[name] for name in ("root", "reader", "staff", "customer")} == {
        "root": sees,
        "reader": sees,
        "staff": [403] * 8,
        "customer": [302, 302, 302, 403, 302, 302, 302, 302],
    }
    assert found["files"] == ["text/css", "text/javascript"]
    parts = ["Site", "Database", "Cache", "Celery", "API", "Host", "Alerts"]
    assert found["alone"] == parts
    ours = [each for each in found["titles"] if each[0].startswith("/monitoring/")]
    assert ours == [[f"/monitoring/dashboard/{part.lower()}/", part] for part in parts]
    assert any(module.startswith("unfold") for module in found["kind"]) == (theme == "unfold")
