"""Where somebody with a token gets a cookie for it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, quote

from django.utils.http import url_has_allowed_host_and_scheme

from otel_django.receiver.answers import Answer, Refused
from otel_django.receiver.limits import asker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_django.receiver.door import Door
    from otel_django.web.rate_limit import RateLimit

PATH: Final = "/login/"
_LONGEST_ADDRESS: Final = 2_000
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<link rel="icon" href="data:,">
<title>Log in</title>
<link rel="stylesheet" href="/static/viewer.css">
</head>
<body>
<main id="main">
<section class="state">
  <h1>Telemetry</h1>
  <p>{what}</p>
  <form class="search" method="post" action="{address}">
    <label class="hidden" for="token">Token</label>
    <input id="token" name="token" type="password" placeholder="Token" required>
    <button>Log in</button>
  </form>
</section>
</main>
</body>
</html>
"""


def login(
    environ: Mapping[str, str], form: bytes, door: Door, attempts: RateLimit, query: str
) -> Answer:
    """The form; for a token that is one, a cookie and the way to where one was going."""
    after = _after(query)
    if environ["REQUEST_METHOD"] in {"GET", "HEAD"}:
        return _page(200, "These pages are for whoever has the receiver's token.", after)
    if environ["REQUEST_METHOD"] != "POST":
        raise Refused(405, "The token is sent by POST.", Allow="GET, HEAD, POST")
    wait_s = attempts.wait_s(asker(environ["REMOTE_ADDR"]))
    if wait_s:
        return _page(429, f"That was too often: try again in {int(wait_s) + 1} seconds.", after)
    given = parse_qs(form.decode("utf-8", "replace")).get("token", [""])[0]
    if not door.is_token(given):
        return _page(403, "That isn't the token.", after)
    return Answer(303, headers={**_HEADERS, "Location": after, "Set-Cookie": door.cookie()})


def address_of(path: str) -> str:
    """The login, with the way back to a page of ours."""
    return f"{PATH}?next={quote(path[:_LONGEST_ADDRESS])}"


def _after(query: str) -> str:
    """Where one was going; the first page, where that isn't one of ours."""
    found = parse_qs(query).get("next", ["/"])[0]
    fits = found.isascii() and found.isprintable() and len(found) <= _LONGEST_ADDRESS
    ours = fits and url_has_allowed_host_and_scheme(found, allowed_hosts=None)
    return found if ours and found.startswith("/") else "/"


def _page(status: int, what: str, after: str) -> Answer:
    text = _PAGE.format(what=escape(what), address=escape(address_of(after)))
    return Answer(status, text.encode(), "text/html; charset=utf-8", _HEADERS)
