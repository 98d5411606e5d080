"""What a process does for its service, and the resource of all that do the same on a host."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from otel_django import names

if TYPE_CHECKING:
    from otel_django.metric_points import AttributeValue

_DIGITS: Final = 8


def role_resource(
    process: Mapping[str, AttributeValue],
    role: str,
    given_instance: str | None,
    run_dir: str | os.PathLike[str],
) -> dict[str, AttributeValue]:
    """``process``'s resource without what is one process's own.

    The instance is host and role, for people to read in charts and alerts, and a few digits made of
    the service and the folder in which the processes add up their sums: it stays while they come
    and go, and two sites of one name on a host have each their own. To an instance that the user
    gave, the role is added.
    """
    resource = {
        key: value
        for key, value in process.items()
        if not key.startswith("process.") or key.startswith("process.runtime.")
    }
    service, host = resource.get(names.SERVICE_NAME), resource.get(names.HOST_NAME)
    site = hashlib.sha256(f"{service}\n{os.path.realpath(run_dir)}".encode())
    resource[names.SERVICE_INSTANCE_ID] = (
        f"{given_instance}-{role}"
        if given_instance
        else f"{host}-{role}-{site.hexdigest()[:_DIGITS]}"
    )
    resource[names.PROCESS_ROLE] = role
    return resource
