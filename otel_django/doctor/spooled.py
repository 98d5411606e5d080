"""What waits on this host's disk while the receiver is away."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Final

from otel_django.conf.settings import SIGNALS
from otel_django.doctor.finding import Finding
from otel_django.pipeline.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from otel_django.conf import Settings

_SUBJECT: Final = "spool"
_PIECE: Final = bytes(4096)
_NEARLY_FULL: Final = 0.8


def look(settings: Settings) -> Iterator[Finding]:
    """Whether it can be written, and how much waits; nothing where nothing is sent."""
    if all("otlp" not in getattr(settings, f"{signal}_exporters") for signal in SIGNALS):
        return
    name, folder = settings.origins["spool_dir"].variable, settings.spool_dir
    refused = _refusal(folder)
    if refused:
        yield Finding(
            _SUBJECT,
            "warning",
            f"{folder} can't be written ({refused}), so while the receiver is away only what fits "
            "into memory is kept.",
            f"Make room there, give it to the user that the site runs as, or name another folder "
            f"in {name}.",
            {"path": str(folder), "error": refused},
        )
        return
    yield _waiting(settings)


def _refusal(folder: Path) -> str:
    """Why nothing can be written there, empty where it can; what is missing isn't made."""
    for there in (folder, *folder.parents):
        try:
            with tempfile.TemporaryFile(dir=there) as file:
                file.write(_PIECE)
        except FileNotFoundError:
            continue
        except OSError as error:
            return error.strerror or type(error).__name__
        return ""
    return "no such folder"


def _waiting(settings: Settings) -> Finding:
    size_bytes = Spool(settings.spool_dir, max_bytes=settings.spool_max_mb << 20).size_bytes
    size_mib = size_bytes / (1 << 20)
    observed = {
        "path": str(settings.spool_dir),
        "size_bytes": size_bytes,
        "max_bytes": settings.spool_max_mb << 20,
    }
    if size_mib < _NEARLY_FULL * settings.spool_max_mb:
        much = (
            f"{size_mib:.1f} of {settings.spool_max_mb} MiB wait" if size_bytes else "Nothing waits"
        )
        text = f"{much} on disk to be sent."
        return Finding(_SUBJECT, "ok", text, observed=observed)
    return Finding(
        _SUBJECT,
        "warning",
        f"{size_mib:.1f} of {settings.spool_max_mb} MiB wait in {settings.spool_dir} to be sent: "
        "what is more than that is dropped.",
        f"See why the receiver doesn't take it; {settings.origins['spool_max_mb'].variable} may "
        "give it more room.",
        observed,
    )
