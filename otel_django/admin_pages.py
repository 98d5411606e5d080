"""The pages' places in the admin: its list of applications, and Unfold's sidebar."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from django.urls import NoReverseMatch, reverse

from otel_django.viewer.frame import NAVIGATION
from otel_django.web.permissions import has_permission, is_staff
from otel_django.web.site_settings import site_settings
from otel_django.web.system_health import PERMISSION

if TYPE_CHECKING:
    from django.http import HttpRequest

ICONS: Final = {
    "overview": "monitoring",
    "dashboard": "dashboard",
    "traces": "account_tree",
    "logs": "article",
    "metrics": "show_chart",
    "endpoints": "route",
    "database": "database",
    "cache": "bolt",
    "tasks": "checklist",
    "errors": "bug_report",
    "services": "hub",
    "health": "health_and_safety",
    "alerts": "notifications_active",
}
"""Of Material Symbols, by the page's name."""


def unfold_group(title: str = "Monitoring") -> dict[str, Any]:
    """All pages, as a group of Unfold's ``UNFOLD["SIDEBAR"]["navigation"]``.

    Whoever may not see them doesn't see the group. It can be called where settings are written.
    """
    items = [
        {
            "title": page_title,
            "icon": ICONS[name],
            "link": functools.partial(_link, name),
            "permission": may_see,
        }
        for name, page_title in NAVIGATION
    ]
    items.append(
        {
            "title": "System health",
            "icon": "monitor_heart",
            "link": _health_link,
            "permission": may_see_health,
        }
    )
    return {"title": title, "separator": True, "collapsible": True, "items": items}


def may_see(request: HttpRequest) -> bool:
    """Staff, where the site has the pages and they are on."""
    return is_staff(request) and site_settings().viewer and address("overview") is not None


def address(name: str) -> str | None:
    """Where a page is; None where the site's URLs have none."""
    try:
        found: str = reverse(f"otel_django:{name}")
    except NoReverseMatch:
        return None
    return found


def may_see_health(request: HttpRequest) -> bool:
    """Superusers, and staff with the permission, where the site has an admin."""
    return has_permission(request, PERMISSION) and bool(_health_link(request))


def _health_link(request: HttpRequest) -> str:
    try:
        found: str = reverse("admin:otel_django_systemhealth_changelist")
    except NoReverseMatch:
        return ""
    return found


def _link(name: str, request: HttpRequest) -> str:
    return address(name) or ""
