"""Alertmanager's API, version 2: which silences it has, which alerts, and what it is told.

Nothing here is logged; the errors' texts are safe to show.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, cast
from urllib.parse import quote, urlsplit, urlunsplit

from otel_django import host_environment
from otel_django.alerts.expressions import Match
from otel_django.alerts.promql import label_name
from otel_django.conf import OtlpSettings
from otel_django.errors import OtelDjangoError, TransportError
from otel_django.pipeline.http_transport import HttpTransport, without_user
from otel_django.pipeline.proxy import proxy_for
from otel_django.pipeline.receiver import masked
from otel_django.store.json_text import dumps, loads

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.pipeline.http_wire import Response

MOST_BYTES: Final = 16 << 20
_MOST_SAID: Final = 64 << 10
_LONGEST_WORD: Final = 200
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]+")
_FRACTION: Final = re.compile(r"\.\d+")


class AlertmanagerError(OtelDjangoError):
    """It can't be asked, or refuses. ``is_away`` is whether to try again later helps."""

    def __init__(self, text: str, *, is_away: bool = True) -> None:
        super().__init__(text)
        self.is_away = is_away


class HeldSilence(NamedTuple):
    """A silence as Alertmanager has it."""

    id: str
    state: Literal["pending", "active", "expired"]
    matchers: tuple[Match, ...]
    starts_ms: int
    ends_ms: int
    by: str
    comment: str


class Alertmanager:
    """One server. All that one object is asked is answered by ``deadline_s``, or fails."""

    def __init__(self, settings: Settings, deadline_s: float | None = None) -> None:
        self._settings = settings
        timeout_s = settings.alertmanager_timeout_s
        self._deadline_s = time.monotonic() + timeout_s if deadline_s is None else deadline_s

    def silences(self) -> list[HeldSilence]:
        """All of them, those that ended of late included."""
        return _each(_silence, self._get("silences"))

    def alerts(self) -> list[Mapping[str, str]]:
        """The labels of each that fires, whether somebody is told of it or not."""
        return _each(lambda one: dict(one["labels"]), self._get("alerts"))

    def began_ms(self) -> int:
        """When it was started: before that it knew of no alert."""
        return int(_each(lambda one: time_ms(one["uptime"]), [self._get("status")])[0])

    def silence(
        self, matchers: Sequence[Match], starts_ms: int, ends_ms: int, by: str, comment: str
    ) -> None:
        """Begin one."""
        document = {
            "matchers": [_written(one) for one in matchers],
            "startsAt": _time(starts_ms),
            "endsAt": _time(ends_ms),
            "createdBy": by or "otel_django",
            "comment": comment,
        }
        body = dumps(document).encode()
        self._ask("silences", lambda one: one.post(body, self._deadline_s))

    def end(self, silence_id: str) -> None:
        """End one now."""
        path = f"silence/{quote(silence_id, safe='')}"
        self._ask(path, lambda one: one.delete(self._deadline_s, max_body=MOST_BYTES))

    # --- the exchange

    def _get(self, path: str) -> Any:
        response = self._ask(path, lambda one: one.get(self._deadline_s, max_body=MOST_BYTES))
        try:
            return loads(response.body)
        except (ValueError, RecursionError) as error:
            raise _unknown_answer() from error

    def _ask(self, path: str, exchange: Callable[[HttpTransport], Response]) -> Response:
        transport = self._transport(path)
        try:
            response = exchange(transport)
        except TransportError as error:
            raise AlertmanagerError(f"Alertmanager can't be reached: {error}") from error
        finally:
            transport.close()
        if not 200 <= response.status < 300:
            raise _refused(response, self._headers)
        return response

    @property
    def _headers(self) -> Mapping[str, str]:
        _, credentials = without_user(self._settings.alertmanager_url)
        return {**credentials, **self._settings.alertmanager_headers}

    def _transport(self, path: str) -> HttpTransport:
        settings = self._settings
        url = urlsplit(without_user(settings.alertmanager_url)[0])
        endpoint = urlunsplit(
            url._replace(path=f"{url.path.rstrip('/')}/api/v2/{path}", fragment="")
        )
        return HttpTransport(
            OtlpSettings(
                endpoint=endpoint,
                headers=self._headers,
                certificate=settings.alertmanager_certificate,
            ),
            proxy=proxy_for(endpoint, host_environment.proxy_variables()),
            content_type="application/json",
        )


def _refused(response: Response, headers: Mapping[str, str]) -> AlertmanagerError:
    status = response.status
    said = masked(response.body[:_MOST_SAID].decode("utf-8", "replace"), headers).strip().strip('"')
    is_away = status in (401, 403, 404, 408, 429) or status >= 500 or status < 400
    if is_away:
        return AlertmanagerError(f"Alertmanager answered with HTTP {status}")
    words = _UNPRINTABLE.sub(" ", said[:_LONGEST_WORD]) or f"HTTP {status}"
    return AlertmanagerError(f"Alertmanager refuses a silence: {words}", is_away=False)


def _unknown_answer() -> AlertmanagerError:
    return AlertmanagerError(
        "what OTEL_DJANGO_ALERTMANAGER_URL names doesn't answer as Alertmanager does"
    )


# --- what its documents mean


def _each(read: Callable[[Any], Any], documents: Any) -> list[Any]:
    try:
        return [read(one) for one in documents]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _unknown_answer() from error


def _silence(document: Mapping[str, Any]) -> HeldSilence:
    return HeldSilence(
        str(document["id"]),
        cast("Any", str(document["status"]["state"])),
        tuple(map(_match, document["matchers"])),
        time_ms(document["startsAt"]),
        time_ms(document["endsAt"]),
        str(document["createdBy"]),
        str(document["comment"]),
    )


def _match(document: Mapping[str, Any]) -> Match:
    operator = ("=" if document.get("isEqual", True) else "!") + (
        "~" if document["isRegex"] else ""
    )
    written = "!=" if operator == "!" else operator
    return Match(str(document["name"]), cast("Any", written), str(document["value"]))


def _written(match: Match) -> dict[str, Any]:
    return {
        "name": label_name(match.key),
        "value": match.value,
        "isRegex": match.operator.endswith("~"),
        "isEqual": not match.operator.startswith("!"),
    }


def time_ms(text: str) -> int:
    """Of RFC 3339, with more digits of a second than Python takes, too.

    Raises:
        ValueError: it isn't that.
    """
    plain = _FRACTION.sub(lambda found: found[0][:7].ljust(7, "0"), text.replace("Z", "+00:00"))
    at = datetime.fromisoformat(plain)
    try:
        at = at.replace(tzinfo=at.tzinfo or timezone.utc).astimezone(timezone.utc)
    except OverflowError as error:
        raise ValueError("beyond the calendar") from error
    return round(at.timestamp() * 1000)


def _time(at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms / 1000, timezone.utc)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
