"""The scripts and styles of the pages, from this package: no collectstatic, no other host."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from django.http import HttpResponse

if TYPE_CHECKING:
    from django.http import HttpRequest

STATIC: Final = Path(__file__).parent / "static"
_TYPES: Final = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_FOREVER: Final = "public, max-age=31536000, immutable"


@functools.lru_cache(maxsize=1)
def _files() -> dict[str, tuple[bytes, str]]:
    """Name → content and its hash."""
    found = {}
    for path in sorted(STATIC.rglob("*")):
        if path.suffix in _TYPES:
            content = path.read_bytes()
            name = path.relative_to(STATIC).as_posix()
            found[name] = (content, hashlib.sha256(content).hexdigest()[:12])
    return found


def address(base: str, name: str) -> str:
    """Where the file is, with its hash, so that browsers may keep it."""
    return f"{base}static/{name}?{_files()[name][1]}"


def static(request: HttpRequest, name: str) -> HttpResponse:
    """One of the files that are there; anybody may have it, as it says nothing of the site."""
    if request.method not in {"GET", "HEAD"}:
        return HttpResponse(status=405, headers={"Allow": "GET, HEAD"})
    found = _files().get(name)
    if found is None:
        return HttpResponse("Not found", status=404, content_type="text/plain; charset=utf-8")
    content, digest = found
    current = request.META.get("QUERY_STRING") == digest
    headers = {
        "Content-Type": _TYPES[Path(name).suffix],
        "Cache-Control": _FOREVER if current else "no-cache",
        "X-Content-Type-Options": "nosniff",
        "ETag": f'"{digest}"',
    }
    if request.META.get("HTTP_IF_NONE_MATCH") == headers["ETag"]:
        return HttpResponse(status=304, headers=headers)
    return HttpResponse(content, headers=headers)
