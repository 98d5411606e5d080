"""``manage.py otel config``: every effective value and where it comes from, secrets masked."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from otel_django import conf
from otel_django.cli import style_for
from otel_django.conf.sources import shorten
from otel_django.conf.variables import VARIABLES
from otel_django.tracing import in_charge

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from django.core.management.base import OutputWrapper
    from django.core.management.color import Style

    from otel_django.conf.variable import Variable

HELP = "Print every setting, its effective value and where it comes from."

_DEFAULT = "default"


@dataclass(frozen=True)
class Row:
    """One variable: ``value`` is as it would be written, without secrets; "" for none."""

    section: str
    variable: str
    field: str
    value: str
    origin: str
    set_by: str | None


def add_arguments(parser: ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def run(options: dict[str, Any], stdout: OutputWrapper, stderr: OutputWrapper) -> int:
    """Print; always 0, since problems are what ``manage.py check`` is for."""
    settings = conf.from_django()
    rows = [_row(settings, variable) for variable in VARIABLES]
    host = _host()
    if options["json"]:
        stdout.write(_as_json(rows, settings.problems, host))
    else:
        style = style_for(stdout, options)
        for line in (*_host_lines(host, style), *_as_text(rows, settings.problems, style)):
            stdout.write(line)
    return 0


def _row(settings: conf.Settings, variable: Variable) -> Row:
    value: Any = settings
    for name in variable.field.split("."):
        value = getattr(value, name)
    origin = settings.origins[variable.field]
    return Row(
        section=variable.section,
        variable=variable.name,
        field=variable.field,
        value=_text(variable, value),
        origin=origin.place,
        set_by=None if origin.place == _DEFAULT else origin.variable,
    )


def _text(variable: Variable, value: Any) -> str:
    if variable.field == "store" and value is None:
        return "off"
    if value is None and variable.field != "enabled":
        return ""
    return variable.parser.display(value)


def _host() -> str | None:
    """The tracer provider that this site sets itself before we can; None where it sets none."""
    provider = in_charge.provider_in_charge()
    return None if provider is None or in_charge.is_ours(provider) else in_charge.describe(provider)


def _host_lines(host: str | None, style: Style) -> Iterator[str]:
    if host is not None:
        yield style.WARNING(f"The tracer provider in charge is {host}.")
        yield "Its sampler, limits and exporters count; those below don't."
        yield ""


def _as_json(rows: list[Row], problems: tuple[conf.Problem, ...], host: str | None) -> str:
    document = {
        "tracer_provider": host,
        "settings": [dataclasses.asdict(row) for row in rows],
        "problems": [problem._asdict() for problem in problems],
    }
    return json.dumps(document, indent=2)


def _as_text(rows: list[Row], problems: tuple[conf.Problem, ...], style: Style) -> Iterator[str]:
    name_width = max(len(row.variable) for row in rows)
    shown = {row.variable: shorten(row.value) or "-" for row in rows}
    value_width = min(max(map(len, shown.values())), 44)
    section = ""
    for row in rows:
        if row.section != section:
            if section:
                yield ""
            section = row.section
            yield style.MIGRATE_HEADING(section)
        value = shown[row.variable].ljust(value_width)
        if row.set_by:
            value = style.SUCCESS(value)
        yield f"  {row.variable:{name_width}}  {value}  {_where(row)}"
    yield from _problem_lines(problems, style)


def _where(row: Row) -> str:
    if row.set_by is None:
        return _DEFAULT
    place = "settings.OTEL_DJANGO" if row.origin == "settings" else row.origin
    return place if row.set_by == row.variable else f"{place} ({row.set_by})"


def _problem_lines(problems: tuple[conf.Problem, ...], style: Style) -> Iterator[str]:
    yield ""
    if not problems:
        yield style.SUCCESS("No problems.")
        return
    yield style.MIGRATE_HEADING("Problems")
    for problem in problems:
        yield style.WARNING(f"  {problem.message}")
        yield f"    {problem.hint}"
