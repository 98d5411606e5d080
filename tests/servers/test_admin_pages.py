"""The way from the admin to the pages and back, with Django's own admin and with Unfold's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, re, sys
import django
django.setup()
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client, override_settings

call_command("migrate", verbosity=0)
PEOPLE = {
    "root": User.objects.create_superuser("root", "", "secret"),
    "staff": User.objects.create(username="staff", is_staff=True),
    "customer": User.objects.create(username="customer"),
}
if "sidebar" in sys.argv:
    from otel_django.admin_pages import unfold_group
    settings.UNFOLD = {"SIDEBAR": {"navigation": [unfold_group("Our telemetry")]}}

def client(name):
    made = Client(HTTP_HOST="localhost", REMOTE_ADDR="192.0.2.1", enforce_csrf_checks=True)
    made.force_login(PEOPLE[name])
    return made

def links(html):
    return sorted(set(re.findall(r'href="(/monitoring/[^"]*|/admin/otel_django/[^"]*)"', html)))

def texts(html):
    return " ".join(re.sub("<[^>]+>", " ", html).split())

found = {}
for name in PEOPLE:
    index = client(name).get("/admin/")
    found[name] = {
        "links": links(index.content.decode()),
        "led": [
            (answer.status_code, answer.headers.get("Location"))
            for page in ("overview", "traces", "logs", "errors")
            for answer in [client(name).get(f"/admin/otel_django/{page}/")]
        ],
    }
index = texts(client("root").get("/admin/").content.decode())
with override_settings(ROOT_URLCONF="tests.site.urls_of_the_admin_alone"):
    alone = client("root").get("/admin/")
    found["alone"] = [alone.status_code, *links(alone.content.decode())]
with override_settings(OTEL_DJANGO={**settings.OTEL_DJANGO, "VIEWER": False}):
    found["off"] = links(client("root").get("/admin/").content.decode())

somebody = client("staff")
page = somebody.get("/monitoring/traces/").content.decode()
found["frame"] = texts(re.search('<details class="person">.*?</details>', page, re.S)[0])
found["back"] = re.findall('<a href="([^"]+)">Admin</a>', page)
form = '<form method="post" action="([^"]+)"><input type="hidden" name="[^"]+" value="([^"]+)"'
[(way, token)] = re.findall(form, page)
found["forged"] = somebody.post(way).status_code
found["out"] = [
    somebody.post(way, {"csrfmiddlewaretoken": token}).status_code,
    somebody.get("/monitoring/traces/").status_code,
]
found["titled"] = "Our telemetry" in index
print(json.dumps(found))
"""
LED = {
    "root": [[302, f"/monitoring/{page}"] for page in ("", "traces/", "logs/", "errors/")],
    "staff": [[302, f"/monitoring/{page}"] for page in ("", "traces/", "logs/", "errors/")],
}
PLACES = [f"/admin/otel_django/{page}/" for page in ("errors", "logs", "overview", "traces")]


def said(theme: str, folder: Path, *arguments: str) -> Any:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": f"tests.site.settings_with_{theme}",
            "TESTS_BASE_DIR": str(folder),
        },
        capture_output=True,
        check=False,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.parametrize("theme", ["admin", "unfold"])
def test_the_admin_leads_staff_to_the_pages_and_the_pages_lead_back(
    theme: str, tmp_path: Path
) -> None:
    found = said(theme, tmp_path)
    for name in ("root", "staff"):
        assert {*PLACES} <= {*found[name]["links"]}
        assert found[name]["led"] == LED[name]
    assert found["customer"]["links"] == []
    assert all("/login/" in where for _, where in found["customer"]["led"])
    assert found["alone"][0] == 200
    assert not {*PLACES} & {*found["alone"], *found["off"]}

    assert found["frame"] == "staff Admin Log out"
    assert found["back"] == ["/admin/"]
    assert found["forged"] == 403
    assert found["out"] == [200, 302]


def test_the_sidebar_of_unfold_has_a_group_of_all_pages(tmp_path: Path) -> None:
    found = said("unfold", tmp_path, "sidebar")
    assert found["titled"]
    for name in ("root", "staff"):
        assert len([link for link in found[name]["links"] if link.startswith("/monitoring/")]) >= 10
    assert not [link for link in found["alone"][1:] if link.startswith("/monitoring/")]
    assert not [link for link in found["off"] if link.startswith("/monitoring/")]
    assert found["customer"]["links"] == []
