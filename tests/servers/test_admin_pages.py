"""The way from the admin to the pages and back, with Django's own admin and with Unfold's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers import admin_process

SCRIPT = """
import re, sys
from django.conf import settings
from django.test import override_settings

if "sidebar" in sys.argv:
    from otel_django.admin_pages import unfold_group
    settings.UNFOLD = {"SIDEBAR": {"navigation": [unfold_group("Our telemetry")]}}

def links(html):
    return sorted(set(re.findall(r'href="(/monitoring/[^"]*|/admin/otel_django/[^"]*)"', html)))

def texts(html):
    return " ".join(re.sub("<[^>]+>", " ", html).split())

found = {}
for name in people:
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

somebody = client("staff", enforce_csrf_checks=True)
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
"""
LED = {
    "root": [[302, f"/monitoring/{page}"] for page in ("", "traces/", "logs/", "errors/")],
    "staff": [[302, f"/monitoring/{page}"] for page in ("", "traces/", "logs/", "errors/")],
}
PLACES = [f"/admin/otel_django/{page}/" for page in ("errors", "logs", "overview", "traces")]


@pytest.mark.parametrize("theme", admin_process.THEMES)
def test_the_admin_leads_staff_to_the_pages_and_the_pages_lead_back(
    theme: str, tmp_path: Path
) -> None:
    found = admin_process.found(theme, tmp_path, SCRIPT)
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
    found = admin_process.found("unfold", tmp_path, SCRIPT, "sidebar")
    assert found["titled"]
    for name in ("root", "staff"):
        assert len([link for link in found[name]["links"] if link.startswith("/monitoring/")]) >= 10
    assert not [link for link in found["alone"][1:] if link.startswith("/monitoring/")]
    assert not [link for link in found["off"] if link.startswith("/monitoring/")]
    assert found["customer"]["links"] == []
