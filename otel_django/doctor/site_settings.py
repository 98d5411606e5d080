"""What the settings say: mistakes, and what keeps telemetry from being made at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_django.checks import ABOUT, check_settings
from otel_django.conf.settings import SIGNALS
from otel_django.doctor.finding import Finding
from otel_django.doctor.trails import BACKENDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_django.conf import Settings
    from otel_django.doctor.finding import State

_SUBJECT: Final = "settings"
_RATIO_SAMPLERS: Final = ("traceidratio", "parentbased_traceidratio")
_OFF_SAMPLERS: Final = ("always_off", "parentbased_always_off")
_RARE: Final = 0.001
_NOTHING_KEPT: Final = ABOUT["nothing_kept"][0]
"""The end of that check's id."""


def look(settings: Settings) -> Iterator[Finding]:
    """One finding a mistake; one that says so where there is none."""
    found = [*_mistakes(), *_switched_off(settings), *_sampling(settings), *_unsent(settings)]
    yield from found
    if not found:
        given = sum(origin.place != "default" for origin in settings.origins.values())
        verb = "isn't" if given == 1 else "aren't"
        yield Finding(_SUBJECT, "ok", f"Nothing is wrong with them ({given} {verb} the default).")


def _mistakes() -> Iterator[Finding]:
    for message in check_settings(None):
        name = message.id or ""
        state: State = "fault" if name.endswith(_NOTHING_KEPT) else "warning"
        yield Finding(_SUBJECT, state, message.msg, message.hint or "", {"check": name})


def _switched_off(settings: Settings) -> Iterator[Finding]:
    if settings.sdk_disabled:
        name = settings.origins["sdk_disabled"].variable
        yield Finding(_SUBJECT, "fault", f"{name} switches everything off.", f"Take {name} away.")
    elif settings.enabled is False:
        name = settings.origins["enabled"].variable
        yield Finding(_SUBJECT, "fault", f"{name} switches everything off.", f"Take {name} away.")


def _sampling(settings: Settings) -> Iterator[Finding]:
    sampler, ratio = settings.traces_sampler, settings.traces_sampler_arg
    none = sampler in _OFF_SAMPLERS or (sampler in _RATIO_SAMPLERS and ratio == 0)
    where = settings.origins["traces_sampler"].variable
    if none:
        kept = " but those that OTEL_DJANGO_KEEP names" if settings.keep else ""
        yield Finding(
            _SUBJECT,
            "warning" if settings.keep else "fault",
            f"{where}={sampler} records no traces{kept}.",
            f"Set {where} to parentbased_always_on, or to parentbased_traceidratio with "
            "OTEL_TRACES_SAMPLER_ARG above 0.",
            {"sampler": sampler, "ratio": 0.0},
        )
    elif sampler in _RATIO_SAMPLERS and ratio < _RARE:
        yield Finding(
            _SUBJECT,
            "warning",
            f"{where}={sampler} records one trace in {round(1 / ratio):,}.",
            "Raise OTEL_TRACES_SAMPLER_ARG, or set OTEL_DJANGO_KEEP=errors,slow.",
            {"sampler": sampler, "ratio": ratio},
        )


def _unsent(settings: Settings) -> Iterator[Finding]:
    """Signals that stay here, or go nowhere, while others leave by OTLP."""
    exporters = {signal: getattr(settings, f"{signal}_exporters") for signal in SIGNALS}
    if all("otlp" not in names for names in exporters.values()):
        return
    for signal, names in exporters.items():
        if set(names) <= {"console"}:
            where = settings.origins[f"{signal}_exporters"].variable
            read = BACKENDS[signal].lower() in settings.read_from
            yield Finding(
                _SUBJECT,
                "warning" if read else "note",
                f"{where}={','.join(names) or 'none'} sends no {signal} to the receiver.",
                f"Set {where}=otlp, if they are wanted there.",
                {"signal": signal},
            )
