"""One evaluation after the other: what is known, what is measured, what changes, what is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from otel_django import guard
from otel_django.alerts.delivery.stages import Plan
from otel_django.alerts.evaluate import Evaluator
from otel_django.alerts.expressions import OnlyPromql
from otel_django.alerts.keeping.contract import Changes, Entry, Event
from otel_django.alerts.rules import CRITICAL_INTERVAL_S
from otel_django.alerts.state import advance_all
from otel_django.alerts.telling import Notice, Policy, due, told_of
from otel_django.errors import ReadError

if TYPE_CHECKING:
    from otel_django.alerts.evaluate import Source
    from otel_django.alerts.keeping.contract import Fence, Keeper, Known
    from otel_django.alerts.rules import Rule
    from otel_django.alerts.state import Alert, Breach, Key

RENEW_MS: Final = 60_000
"""How often what is kept of an alert is renewed while only its value changes."""
MOST_OF_A_RULE: Final = 1000
"""Alerts of one rule and severity at a time; those beyond are left out, and it is said."""

Rules = Callable[[Sequence[Mapping[str, Any]]], "Iterable[Rule]"]
"""The site's rules, given those that users have written in the admin."""


class Announce(Protocol):
    """Makes of what has to be said what is sent (``delivery.stages``)."""

    def __call__(
        self,
        notices: Iterable[Notice],
        entries: Mapping[Key, Entry],
        rules: Mapping[str, Rule],
        now_ms: int,
        newest: str,
    ) -> Plan:
        """``entries`` are all alerts, with what was told before; ``newest`` as in ``Known``."""
        ...


class Step(NamedTuple):
    """What an evaluation came to. ``firing`` counts alerts by severity, ``failed`` are rules.

    ``alerts`` are those that began to fire or ended.
    """

    rules: int
    firing: Mapping[str, int]
    failed: tuple[str, ...] = ()
    reason: str = ""
    alerts: tuple[Entry, ...] = ()


@dataclass
class _Found:
    """What one evaluation finds out."""

    after: dict[Key, Alert]
    failed: list[str] = field(default_factory=list)
    reason: str = ""

    def fails(self, rule: Rule, why: str) -> None:
        """It could not be evaluated; of several the first one's reason is told."""
        if not self.failed:
            self.reason = why
        self.failed.append(rule.name)


class Evaluation:
    """Evaluates what is due; one step at a time, a second one begun meanwhile goes before.

    ``interval_s`` is how often there is a step: critical rules are due at each, if it is no shorter
    than theirs all others are, too.
    """

    def __init__(
        self,
        *,
        keeper: Keeper,
        rules: Rules,
        source: Callable[[], Source],
        announce: Announce,
        policy: Policy,
        interval_s: float = CRITICAL_INTERVAL_S,
    ) -> None:
        self._keeper = keeper
        self._rules = rules
        self._source = source
        self._announce = announce
        self._policy = policy
        self._early_ms = interval_s * 500
        self._pace = min(1.0, interval_s / CRITICAL_INTERVAL_S)
        self._evaluated_ms: dict[str, int] = {}
        self._turn = 0

    def step(self, now_ms: int, fence: Fence) -> Step | None:
        """Evaluate and keep what came of it; None: a later step has gone on without this one.

        Raises:
            NotLeaderError: another process evaluates by now; nothing was kept or told.
        """
        self._turn += 1
        turn = self._turn
        known = self._keeper.load(now_ms)
        rules = {rule.name: rule for rule in self._rules(known.rules) if _is_for_us(rule)}
        ours = {key: one for key, one in known.alerts.items() if one.source == "embedded"}
        found = self._evaluate(rules, ours, now_ms)
        notices = list(self._notices(found.after, ours, known, now_ms))
        entries = {
            key: _entry(alert, ours.get(key), rules.get(key.rule), now_ms)
            for key, alert in found.after.items()
        }
        changed = [key for key in entries if _is_news(entries[key], ours.get(key), now_ms)]
        turned = tuple(entries[key] for key in changed if _has_turned(entries[key], ours.get(key)))
        plan = self._plan(notices, entries, rules, now_ms, known.newest)
        for notice in plan.told:
            key = notice.alert.key
            entries[key] = replace(entries[key], told=told_of(notice, now_ms))
        to_keep = dict.fromkeys((*changed, *(notice.alert.key for notice in plan.told)))
        changes = Changes(
            alerts=[entries[key] for key in to_keep],
            gone=[one for key, one in ours.items() if key not in entries],
            events=[_event(one, now_ms) for one in turned],
            outgoing=plan.outgoing,
        )
        if turn != self._turn:
            return None
        if changes:
            self._keeper.save(changes, fence)
        for rule in found.failed:
            self._evaluated_ms.pop(rule, None)
        firing = Counter(
            str(key.severity) for key, one in found.after.items() if one.state == "firing"
        )
        return Step(len(rules), firing, tuple(found.failed), found.reason, turned)

    # --- parts of a step

    def _evaluate(
        self, rules: Mapping[str, Rule], ours: Mapping[Key, Entry], now_ms: int
    ) -> _Found:
        source = self._source()
        evaluator = Evaluator(source)
        before = {key: one.alert for key, one in ours.items()}
        found = _Found({key: one for key, one in before.items() if key.rule in rules})
        for rule in rules.values():
            if not self._is_due(rule, now_ms):
                continue
            self._evaluated_ms[rule.name] = now_ms
            breaches = _breaches(evaluator, rule, now_ms, found)
            if breaches is not None:
                kept = {key: one for key, one in found.after.items() if key.rule != rule.name}
                found.after = {**kept, **advance_all(before, rule, breaches, now_ms)}
        for key, alert in before.items():
            if key.rule not in rules and alert.state != "pending":
                found.after[key] = _ended(alert, now_ms)
        found.reason = found.reason or str(getattr(source, "partial", ""))
        return found

    def _is_due(self, rule: Rule, now_ms: int) -> bool:
        last_ms = self._evaluated_ms.get(rule.name)
        passed_ms = rule.interval_s * self._pace * 1000 - self._early_ms
        return last_ms is None or not 0 <= now_ms - last_ms < passed_ms

    def _notices(
        self,
        after: Mapping[Key, Alert],
        ours: Mapping[Key, Entry],
        known: Known,
        now_ms: int,
    ) -> Iterator[Notice]:
        for key, alert in after.items():
            told = ours[key].told if key in ours else None
            notice = due(alert, told, self._policy, known.silences, after, now_ms)
            if notice is not None:
                yield notice

    def _plan(
        self,
        notices: Sequence[Notice],
        entries: Mapping[Key, Entry],
        rules: Mapping[str, Rule],
        now_ms: int,
        newest: str,
    ) -> Plan:
        """What fails is said at the next step."""
        with guard.guarded("alerts.announce"):
            return self._announce(notices, entries, rules, now_ms, newest)
        return Plan()


def _is_for_us(rule: Rule) -> bool:
    return rule.enabled and not isinstance(rule.expression, OnlyPromql)


def _breaches(
    evaluator: Evaluator, rule: Rule, now_ms: int, found: _Found
) -> Mapping[Key, Breach] | None:
    """None: it could not be looked."""
    try:
        breaches = evaluator.breaches(rule, now_ms)
    except ReadError as error:
        found.fails(rule, str(error))
        return None
    except Exception:
        found.fails(rule, guard.what_failed())
        guard.caught(f"alerts.evaluate {rule.name}")
        return None
    if len(breaches) <= MOST_OF_A_RULE:
        return breaches
    kept: list[Key] = []
    for severity in rule.severities:
        keys = [key for key in breaches if key.severity == severity]
        kept += sorted(keys, key=lambda key: key not in found.after)[:MOST_OF_A_RULE]
    if len(kept) < len(breaches):
        found.reason = found.reason or f"{rule.name} has more than {MOST_OF_A_RULE} alerts at once"
    return {key: breaches[key] for key in kept}


def _ended(alert: Alert, now_ms: int) -> Alert:
    """Its rule is gone, or switched off."""
    if alert.state != "firing":
        return alert
    return replace(alert, state="resolved", resolved_ms=now_ms, keep_ms=None)


def _entry(alert: Alert, before: Entry | None, rule: Rule | None, now_ms: int) -> Entry:
    told = None if before is None else before.told
    if rule is None or alert.key.severity not in rule.severities:
        message, threshold = ("", None) if before is None else (before.message, before.threshold)
    else:
        message = rule.summarize(alert.value, dict(alert.key.labels))
        threshold = rule.threshold(alert.key.severity).value
    return Entry(alert, now_ms, told, message, threshold)


def _is_news(entry: Entry, before: Entry | None, now_ms: int) -> bool:
    if before is None:
        return True
    new, old = entry.alert, before.alert
    course = (new.state, new.since_ms, new.keep_ms)
    if course != (old.state, old.since_ms, old.keep_ms):
        return True
    return new.state != "resolved" and not 0 <= now_ms - before.at_ms < RENEW_MS


def _has_turned(entry: Entry, before: Entry | None) -> bool:
    """It began to fire, or ended."""
    state = entry.alert.state
    return state != "pending" and (before is None or before.alert.state != state)


def _event(entry: Entry, now_ms: int) -> Event:
    alert = entry.alert
    kind = "fired" if alert.state == "firing" else "resolved"
    return Event(
        f"{entry.id}-{kind}",
        now_ms,
        kind,
        fingerprint=alert.fingerprint,
        rule=alert.key.rule,
        text=entry.message,
    )
