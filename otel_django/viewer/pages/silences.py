"""Silences and maintenance: of what nobody is told, until when, and who wanted it so."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from django.http import HttpResponseRedirect

from otel_django.viewer.alert_rows import MS, tabs
from otel_django.viewer.alert_story import event_lines
from otel_django.viewer.page import Context, page
from otel_django.viewer.pages.alert import MINUTES, decider, minutes_of
from otel_django.viewer.visit import NotDone
from otel_django.web import alert_decisions, alert_records, alertmanager_told, csrf
from otel_django.web.alert_decisions import SILENCE, DecisionError, written
from otel_django.web.permissions import has_permission

if TYPE_CHECKING:
    from django.http import HttpResponse, QueryDict

    from otel_django.alerts.alertmanager import HeldSilence
    from otel_django.viewer.visit import Visit
    from otel_django.web.alert_decisions import Decider
    from otel_django.web.alert_records import Quiet
    from otel_django.web.alertmanager_told import Seen

EVERY: Final = {"0": "once", "86400": "every day", "604800": "every week"}
"""Seconds from one beginning to the next, and the words for it."""
_KINDS: Final = ("silenced", "silence_ended", "maintenance")
_FORM: Final = {"minutes": "60", "every": "0"}
"""What is chosen at first."""


def _change(visit: Visit) -> HttpResponse:
    """Begin one or end one; then the page again."""
    given = visit.request.POST
    do = _ACTIONS.get(given.get("action", ""))
    if do is None:
        raise NotDone("A silence or a maintenance window is begun or ended.")
    try:
        do(decider(visit, SILENCE), given)
    except DecisionError as error:
        has_form = given["action"] in ("silence", "plan")
        shown = _content(visit, str(error)) if has_form else None
        raise NotDone(str(error), shown=shown) from error
    return HttpResponseRedirect(visit.url("silences"))


def _silence(who: Decider, given: QueryDict) -> None:
    matchers = alert_decisions.matchers(given.get("matchers", ""))
    minutes = minutes_of(given.get("minutes", ""))
    alert_decisions.silence(who, matchers, minutes, given.get("comment", "").strip())


def _plan(who: Decider, given: QueryDict) -> None:
    every = given.get("every", "0")
    if every not in EVERY:
        raise DecisionError("It comes once, every day or every week.")
    alert_decisions.plan(
        who,
        given.get("name", "").strip(),
        alert_decisions.matchers(given.get("matchers", "")),
        _begins_ms(given.get("starts", "")),
        minutes_of(given.get("minutes", "")),
        int(every),
    )


def _begins_ms(text: str) -> int:
    """Of a form's field, in UTC."""
    try:
        found = datetime.fromisoformat(text.strip()).replace(tzinfo=timezone.utc)
    except ValueError:
        found = None
    if found is None or not 2000 < found.year < 2200:
        raise DecisionError("When it begins is a date and a time: 2026-11-22 18:00, in UTC.")
    return round(found.timestamp() * 1000)


_ACTIONS: Final[dict[str, Any]] = {
    "silence": _silence,
    "plan": _plan,
    "end_silence": lambda who, given: alert_decisions.end_silence(
        who, minutes_of(given.get("id", ""))
    ),
    "end_maintenance": lambda who, given: alert_decisions.end_maintenance(
        who, minutes_of(given.get("id", ""))
    ),
}


@page("silences", "Silences", _change)
def silences(visit: Visit) -> Context:
    """Those that hold now or will; below them who did what of late."""
    return _content(visit)


def _content(visit: Visit, mistake: str = "") -> Context:
    """With a ``mistake`` the form that has it is as it was sent."""
    now_ms, database = visit.now_ns // MS, visit.settings.database
    ask = visit.parts.ask
    found = ask("silences", lambda: alert_records.silences(database, now_ms)) or []
    planned = ask("maintenance", lambda: alert_records.maintenance(database, now_ms)) or []
    seen = alertmanager_told.look(visit.settings)
    rows = [_row(each, now_ms, seen) for each in (*found, *planned)]
    events = ask("who did what", lambda: alert_records.events(database, kinds=_KINDS)) or ()
    may = has_permission(visit.request, SILENCE)
    others = [_other(each) for each in seen.others]
    given = visit.request.POST.dict() if mistake else {}
    sent = given.get("action")
    begins = datetime.fromtimestamp(now_ms / 1000, timezone.utc).strftime("%Y-%m-%d %H:%M")
    return {
        "tabs": tabs(visit, "silences"),
        "rows": rows,
        "now": [row for row in (*rows, *others) if row["active"]],
        "some_to_come": not all(row["active"] for row in (*rows, *others)),
        "others": others,
        "partial": seen.problem,
        "events": event_lines(events),
        "mistake": mistake,
        "sent": sent,
        "silence": _FORM | (given if sent == "silence" else {}),
        "plan": _FORM | {"starts": begins} | (given if sent == "plan" else {}),
        "minutes": [(str(minutes), word) for minutes, word in MINUTES.items()],
        "every": EVERY.items(),
        "csrf_token": csrf.token(visit.request) if may else "",
    }


def _row(quiet: Quiet, now_ms: int, seen: Seen) -> dict[str, Any]:
    one, row = quiet.silence, quiet.row
    is_all = one.matchers == (alert_records.EVERYTHING,)
    return {
        "id": row.pk,
        "maintenance": quiet.is_maintenance,
        "name": getattr(row, "name", ""),
        "matchers": "every alert" if is_all else written(one.matchers),
        "active": one.is_active(now_ms),
        "since_ns": one.since_ms * MS,
        "until_ns": quiet.until_ms(now_ms) * MS,
        "unknown_there": seen.ours is not None and _id(quiet) not in seen.ours,
        "every": EVERY.get(str(getattr(row, "every", "")), ""),
        "by": row.by,
        "comment": row.comment,
    }


def _id(quiet: Quiet) -> tuple[str, int]:
    return "maintenance" if quiet.is_maintenance else "silence", quiet.row.pk


def _other(held: HeldSilence) -> dict[str, Any]:
    """One that was made in Alertmanager, where it is ended, too."""
    return {
        "matchers": written(held.matchers),
        "active": held.state == "active",
        "since_ns": held.starts_ms * MS,
        "until_ns": held.ends_ms * MS,
        "by": held.by,
        "comment": held.comment,
    }
