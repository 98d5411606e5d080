"""What the admin shows of health, on Django's own and on Unfold's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json
import re
import django
django.setup()
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.conf import settings
from django.test import Client, override_settings
from django.urls import reverse
from otel_django.models import HealthMetric

call_command("migrate", verbosity=0)
HealthMetric.objects.create(metric_name="queue", metric_value={"value": 0.5}, status="warning")
reader = User.objects.create(username="reader", is_staff=True)
reader.user_permissions.add(Permission.objects.get(codename="view_system_health"))
people = {
    "root": User.objects.create_superuser("root", "", "secret"),
    "reader": reader,
    "staff": User.objects.create(username="staff", is_staff=True),
    "customer": User.objects.create(username="customer"),
}
rows = reverse("admin:otel_django_healthmetric_changelist")
now = reverse("admin:otel_django_health_api")
page = reverse("admin:otel_django_systemhealth_changelist")
row = reverse("admin:otel_django_healthmetric_change", args=[HealthMetric.objects.get().pk])
found = {}
for name, user in people.items():
    client = Client(HTTP_HOST="localhost", REMOTE_ADDR="192.0.2.1")
    client.force_login(user)
    seen = (rows, f"{rows}?status=warning", row, now)
    found[name] = [client.get(each).status_code for each in seen]
    found[name] += [client.post(each).status_code for each in (f"{rows}add/", row)]
    found[name] += [client.get(page).status_code, client.post(page).status_code]
client.force_login(people["root"])
html = client.get(page).content.decode()
files = re.findall(r'(?:href|src)="([^"]*systemhealth/static/[^"]*)"', html)
found["files"] = [client.get(each).headers["Content-Type"].partition(";")[0] for each in files]
found["titles"] = re.findall(r'<th scope="row"><a href="([^"]*)">([^<]*)', html)
with override_settings(OTEL_DJANGO={**settings.OTEL_DJANGO, "VIEWER": False}):
    found["alone"] = re.findall(r'<th scope="row">([A-Za-z]+)', client.get(page).content.decode())
kind = type(admin.site._registry[HealthMetric]).__mro__
print(json.dumps({"found": found, "kind": [each.__module__ for each in kind]}))
"""


@pytest.mark.parametrize("theme", ["admin", "unfold"])
def test_those_with_the_right_see_and_nobody_changes(theme: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": f"tests.site.settings_with_{theme}",
            "TESTS_BASE_DIR": str(tmp_path),
        },
        capture_output=True,
        check=False,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout.splitlines()[-1])

    sees = [200, 200, 200, 200, 403, 403, 200, 405]
    found = said["found"]
    assert {name: found[name] for name in ("root", "reader", "staff", "customer")} == {
        "root": sees,
        "reader": sees,
        "staff": [403] * 8,
        "customer": [302, 302, 302, 403, 302, 302, 302, 302],
    }
    assert found["files"] == ["text/css", "text/javascript"]
    parts = ["Site", "Database", "Cache", "Celery", "API", "Host", "Alerts"]
    assert found["alone"] == parts
    assert found["titles"] == [[f"/monitoring/dashboard/{p.lower()}/", p] for p in parts]
    assert any(module.startswith("unfold") for module in said["kind"]) == (theme == "unfold")
