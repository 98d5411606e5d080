"""The resource: what this process is (semantic conventions: *Resource*).

Built directly, without the SDK's detectors: those load entry points and threads at start-up.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.version import __version__ as sdk_version

from otel_django import host_environment, names
from otel_django.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping


def build_resource(
    service_name: str, attributes: Mapping[str, str], project_root: Path | None
) -> Resource:
    """This process's resource; ``attributes`` (the user's) win over what is found."""
    found: dict[str, str | int] = {
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": sdk_version,
        names.TELEMETRY_DISTRO_NAME: names.SCOPE,
        names.TELEMETRY_DISTRO_VERSION: VERSION,
        names.HOST_NAME: host_environment.host_name(),
        names.PROCESS_PID: os.getpid(),
        names.PROCESS_COMMAND: host_environment.command_name(),
        names.SERVICE_INSTANCE_ID: str(uuid.uuid4()),
        **host_environment.runtime_attributes(),
        **host_environment.container_attributes(),
    }
    revision = host_environment.git_revision(project_root) if project_root else None
    if revision:
        found[names.SERVICE_VERSION] = revision
    return Resource({**found, **attributes, names.SERVICE_NAME: service_name})


def in_child(parent: Resource, given_instance_id: str | None) -> Resource:
    """The resource of a forked child: its own pid and instance id.

    An id given by the user gets the pid as a suffix, or all children would share it.
    """
    pid = os.getpid()
    instance = f"{given_instance_id}-{pid}" if given_instance_id else str(uuid.uuid4())
    return Resource(
        {**parent.attributes, names.PROCESS_PID: pid, names.SERVICE_INSTANCE_ID: instance},
        parent.schema_url,
    )
