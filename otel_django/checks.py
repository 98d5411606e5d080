"""Django system checks: what is wrong with the settings, and the cure.

None stops the site: the letter of an id is W, and E only in strict mode, where a value that can't
be used or a misspelt name is an error. Ids are stable.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.core import checks

from otel_django import conf, guard
from otel_django.command_choice import app_of
from otel_django.conf.settings import SIGNALS
from otel_django.host_environment import Process, current_process

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from django.apps import AppConfig

TAG: Final = "otel_django"

ABOUT: Final = {
    "value": ("001", "A value can't be used, as a whole or in part."),
    "unknown_name": ("002", "A setting's name isn't known and looks like a misspelt one."),
    "milliseconds": ("003", "A time in seconds looks like milliseconds."),
    "port": ("004", "The endpoint's port belongs to the other protocol."),
    "combination": ("005", "A value has no effect, or not all of it, beside another one."),
    "nothing_kept": ("006", "DEBUG is off and telemetry is neither kept nor sent."),
    "config_file": ("007", "OTEL_CONFIG_FILE is set but not read."),
    "file": ("008", "A certificate or key file can't be read."),
    "grpc": ("009", "The protocol is grpc, but the package grpcio isn't installed."),
    "service_name": ("010", "With `check --deploy`: nobody gave the service a name."),
    "path": ("011", "The general endpoint has the path of one signal, appended again."),
    "command": ("012", "OTEL_DJANGO_COMMANDS names a command that no app has."),
    "model": ("013", "OTEL_DJANGO_MODEL_EVENTS names a model that no app has."),
    "health": ("014", "A setting names a health check that there isn't."),
    "channel": ("015", "A channel for alerts isn't set up, but is switched on or named."),
    "rule": ("016", "An alert rule of the site's can't be used, and is left out."),
}
"""By kind of problem: the number in the check's id, and what it says."""

_ERRORS_WHEN_STRICT: Final = ("value", "unknown_name")


def register_checks() -> None:
    """Register with Django; a second call changes nothing."""
    checks.register(check_settings, TAG)
    checks.register(check_deployment, TAG, deploy=True)


def check_settings(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """One message per problem with the settings, those included that only the machine shows."""
    messages: list[checks.CheckMessage] = []
    with guard.guarded("checks.settings"):
        settings = conf.from_django()
        problems = [
            *_told(settings),
            *_missing_files(settings),
            *_missing_grpc(settings),
            *_missing_commands(settings),
            *_missing_models(settings),
            *_missing_health_checks(settings),
            *_missing_channels(settings),
            *_unusable_rules(settings),
        ]
        messages += [_message(problem, settings.strict) for problem in problems]
    return messages


def check_deployment(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """What matters in production only."""
    messages: list[checks.CheckMessage] = []
    with guard.guarded("checks.deployment"):
        settings = conf.from_django()
        messages += [_message(problem, strict=False) for problem in _unnamed_service(settings)]
    return messages


def _message(problem: conf.Problem, strict: bool) -> checks.CheckMessage:
    error = strict and problem.kind in _ERRORS_WHEN_STRICT
    kind = checks.Error if error else checks.Warning
    number, _ = ABOUT[problem.kind]
    return kind(problem.message, hint=problem.hint, id=f"{TAG}.{'E' if error else 'W'}{number}")


def _told(settings: conf.Settings) -> Iterator[conf.Problem]:
    """The settings' problems; `manage.py test` turns DEBUG off for everybody."""
    tested = current_process() == Process("test", "test")
    return (one for one in settings.problems if not (tested and one.kind == "nothing_kept"))


def _sent(settings: conf.Settings) -> tuple[str, ...]:
    """The signals that leave by OTLP."""
    if settings.sdk_disabled or settings.enabled is False:
        return ()
    return tuple(one for one in SIGNALS if "otlp" in getattr(settings, f"{one}_exporters"))


def _missing_files(settings: conf.Settings) -> Iterator[conf.Problem]:
    faults: dict[tuple[str, str], str] = {}
    for group in (f"otlp_{signal}" for signal in _sent(settings)):
        for field in ("certificate", "client_key", "client_certificate"):
            path = getattr(getattr(settings, group), field)
            fault = _read_fault(path) if path else None
            if fault:
                faults[settings.origins[f"{group}.{field}"].variable, path] = fault
    for (name, path), fault in faults.items():
        yield conf.Problem(
            name,
            path,
            f"{name} names the file {path!r}, which can't be read: {fault}.",
            "Give the path of a PEM file that the server's user may read.",
            "file",
        )


def _read_fault(path: str) -> str | None:
    try:
        with Path(path).open("rb"):
            return None
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or "it isn't a path"


def _missing_grpc(settings: conf.Settings) -> Iterator[conf.Problem]:
    from importlib.util import find_spec

    chosen = {
        settings.origins[f"otlp_{signal}.protocol"].variable
        for signal in _sent(settings)
        if getattr(settings, f"otlp_{signal}").protocol == "grpc"
    }
    for name in sorted(chosen) if chosen and not find_spec("grpc") else ():
        yield conf.Problem(
            name,
            "grpc",
            f"{name} is grpc, but the package grpcio isn't installed, so nothing is sent.",
            "Install grpcio, or use http/protobuf.",
            "grpc",
        )


def _missing_commands(settings: conf.Settings) -> Iterator[conf.Problem]:
    name = settings.origins["commands"].variable
    for word in settings.commands[1:]:
        command = word.removeprefix("-")
        if app_of(command) is None:
            yield conf.Problem(
                name,
                word,
                f"{name} names {command!r}, but no installed app has such a command.",
                "`manage.py help` lists those there are.",
                "command",
            )


def _missing_models(settings: conf.Settings) -> Iterator[conf.Problem]:
    for model in unknown_models(settings.model_events):
        name = settings.origins["model_events"].variable
        yield conf.Problem(
            name,
            model,
            f"{name} names {model!r}, but no installed app has such a model.",
            "Write it as app_label.Model, or app_label.* for all of an app's.",
            "model",
        )


def unknown_models(patterns: Sequence[str]) -> Iterator[str]:
    """Those of ``OTEL_DJANGO_MODEL_EVENTS`` that no installed app has."""
    from django.apps import apps

    for pattern in patterns:
        label, _, model = pattern.partition(".")
        try:
            config = apps.get_app_config(label)
            if model != "*":
                config.get_model(model)
        except LookupError:
            yield pattern


def _missing_health_checks(settings: conf.Settings) -> Iterator[conf.Problem]:
    named = [
        (settings.origins[field].variable, word)
        for field in ("health_disabled", "health_critical", "health_ready")
        for word in getattr(settings, field)
    ]
    known = _health_checks(settings) if named else ()
    for name, word in named:
        check = word.removeprefix("-")
        if check not in known:
            yield conf.Problem(
                name,
                word,
                f"{name} names {check!r}, but there is no such health check.",
                f"There are: {', '.join(known)}.",
                "health",
            )


def _health_checks(settings: conf.Settings) -> list[str]:
    from otel_django.health.builtin import builtin
    from otel_django.health.registry import SITE, Registry

    return [check.name for check in Registry(below=(builtin(settings), SITE)).checks("all")]


def _missing_channels(settings: conf.Settings) -> Iterator[conf.Problem]:
    from otel_django.alerts.delivery.configured import problems

    return problems(settings)


def _unusable_rules(settings: conf.Settings) -> Iterator[conf.Problem]:
    if not settings.alert_rules:
        return
    from otel_django.alerts.configured import configured

    name = settings.origins["alert_rules"].variable
    for problem in configured(settings).problems:
        yield conf.Problem(
            name,
            "",
            f"{name}: {problem}",
            "docs/how-to/write-alert-rules.md says what a rule can have.",
            "rule",
        )


def _unnamed_service(settings: conf.Settings) -> Iterator[conf.Problem]:
    origin = settings.origins["service_name"]
    if _sent(settings) and origin.place == "default":
        name = settings.service_name
        yield conf.Problem(
            origin.variable,
            name,
            f"Nobody gave the service a name, so it goes by {name!r}, taken from the project.",
            f"Set {origin.variable}.",
            "service_name",
        )
