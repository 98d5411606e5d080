"""Alerts in the site's database, for tests of what shows and changes them."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta, timezone
from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client

from otel_django.alerts.state import Key, fingerprint
from otel_django.models import SystemAlert
from tests.endpoints_kit import STRANGER

LABELS = {"service.name": "shop"}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def moment(ago_s: float = 0.0) -> datetime:
    return datetime.now(timezone.utc) - timedelta(seconds=ago_s)


def alert(
    name: str = "HighErrorRate", severity: str = "critical", ago_s: float = 60.0, **changes: Any
) -> SystemAlert:
    """One that fires, as the service keeps it; ``over=True``: it has ended."""
    labels: dict[str, str] = changes.pop("labels", LABELS)
    over = changes.pop("over", False)
    key = Key(name, severity, tuple(sorted(labels.items())))  # type: ignore[arg-type]
    began_ms = now_ms() - int(ago_s * 1000)
    row: dict[str, Any] = {
        "fingerprint": fingerprint(key),
        "alert_type": name,
        "severity": severity,
        "labels": json.dumps(labels),
        "message": f"12.5 % of the requests to {labels.get('service.name', 'all')} fail",
        "state": "resolved" if over else "firing",
        "resolved": over,
        "resolved_ms": now_ms() if over else None,
        "resolved_at": moment() if over else None,
        "created_at": moment(ago_s),
        "value": 12.5,
        "threshold": 5.0,
        "since_ms": began_ms,
        "fired_ms": began_ms,
        "at_ms": now_ms(),
        **changes,
    }
    made: SystemAlert = SystemAlert._base_manager.create(**row)
    return made


def staff(*permissions: str, name: str = "ada", csrf: bool = False) -> Client:
    """Somebody of the staff with these permissions, logged in."""
    user, _ = User.objects.get_or_create(username=name, is_staff=True)
    user.user_permissions.add(*Permission.objects.filter(codename__in=permissions))
    client = Client(enforce_csrf_checks=csrf, REMOTE_ADDR=STRANGER)
    client.force_login(user)
    return client
