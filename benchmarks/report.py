"""A run as tables for the terminal and for docs/performance.md, and as JSON."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.budgets import BUDGETS
from benchmarks.contestants import BARE, BARE_LOGS, BARE_TASKS, LOG_PAGES, PAGES, TASK_PAGES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.figures import Results
    from benchmarks.machine import Surroundings

BEGIN = "<!-- Written by `python -m benchmarks --markdown`; changes here are lost. -->"
END = "<!-- End of what the benchmark writes. -->"


@dataclass(frozen=True)
class Section:
    title: str
    note: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def sections(results: Results) -> list[Section]:
    """The tables of a run; parts that were not measured are left out."""
    parts = [_budgets(results)]
    if BARE.name in results.turns:
        parts.append(_cost(results))
    if BARE_TASKS.name in results.turns:
        parts.append(_tasks(results))
    if BARE_LOGS.name in results.turns:
        parts.append(_logs(results))
    if results.served:
        parts.append(_latency(results))
    if results.started:
        parts.append(_start(results))
    return parts


def _budgets(results: Results) -> Section:
    rows = [
        [
            budget.what,
            f"≤ {budget.limit:.3g} {budget.unit}",
            _shown(budget.measured(results), "{:.3g} " + budget.unit),
            budget.verdict(results),
        ]
        for budget in BUDGETS
    ]
    return Section("Budgets", "", ("what", "budget", "measured", ""), rows)


def _cost(results: Results) -> Section:
    bare = [_shown(results.cpu_us(BARE.name, page), "{:.1f}") for page in PAGES]
    rows = [[BARE.title, bare[0], "", bare[1], "", bare[2], "", bare[3], ""]]
    rows += [
        [
            contestant.title,
            _shown(results.added_us(contestant.name, "trivial"), "{:+.1f}"),
            _shown(results.added_us(contestant.name, "trivial", "main_cpu_us"), "{:+.1f}"),
            _shown(results.added_us(contestant.name, "queries"), "{:+.1f}"),
            _shown(results.query_us(contestant.name), "{:+.1f}"),
            _shown(results.added_us(contestant.name, "repeated"), "{:+.1f}"),
            _shown(results.query_us(contestant.name, "repeated"), "{:+.1f}"),
            _shown(results.added_us(contestant.name, "cached"), "{:+.1f}"),
            _shown(results.memory_mib(contestant.name), "{:+.1f}"),
        ]
        for contestant in results.contestants
        if contestant.name in results.turns
        and contestant.pages == PAGES
        and contestant.name != BARE.name
    ]
    return Section(
        "Processor time of a request in µs, sending included, and memory in MiB",
        "The first line is the bare site's own; the others are what each adds to it.",
        (
            *("", "trivial", "on its thread", "ten queries", "one query"),
            *("N+1 of ten", "one of it", "cached read", "memory"),
        ),
        rows,
    )


def _tasks(results: Results) -> Section:
    bare = [_shown(results.cpu_us(BARE_TASKS.name, page), "{:.1f}") for page in TASK_PAGES]
    rows = [[BARE_TASKS.title, *bare]]
    rows += [
        [
            contestant.title,
            *(_shown(results.added_us(contestant.name, page), "{:+.1f}") for page in TASK_PAGES),
        ]
        for contestant in results.contestants
        if contestant.name in results.turns
        and contestant.pages == TASK_PAGES
        and contestant.name != BARE_TASKS.name
    ]
    return Section(
        "Processor time of a Celery task in µs, sending included",
        "The first line is Celery's own; the others are what each adds to it.",
        ("", "publishing", "running"),
        rows,
    )


def _logs(results: Results) -> Section:
    rows = [
        [
            contestant.title,
            _shown(results.added_us(contestant.name, "record"), "{:+.1f}"),
            _shown(results.added_us(contestant.name, "record", "main_cpu_us"), "{:+.1f}"),
        ]
        for contestant in results.contestants
        if contestant.name in results.turns
        and contestant.pages == LOG_PAGES
        and contestant.name != BARE_LOGS.name
    ]
    bare = _shown(results.cpu_us(BARE_LOGS.name, "record"), "{:.1f}")
    return Section(
        "Processor time of a log record in µs, its line and sending included",
        "The first line is what `logging` takes for itself; the others are what each adds to it.",
        ("", "a record", "on its thread"),
        [[BARE_LOGS.title, bare, ""], *rows],
    )


def _latency(results: Results) -> Section:
    rows = [
        [
            contestant.title,
            _shown(results.latency_ms(contestant.name, 0.5), "{:.2f}"),
            _shown(results.latency_ms(contestant.name, 0.99), "{:.2f}"),
            _shown(results.latency_ratio(contestant.name, 0.5), "{:.2f} ×"),
            _shown(results.latency_ratio(contestant.name, 0.99), "{:.2f} ×"),
        ]
        for contestant in results.contestants
        if contestant.name in results.served
    ]
    return Section(
        "Latency of the ten-query page in ms, behind gunicorn at a paced load, while exporting",
        "",
        ("", "p50", "p99", "p50 of bare's", "p99 of bare's"),
        rows,
    )


def _start(results: Results) -> Section:
    rows = [
        [
            contestant.title,
            _shown(results.start_ms(contestant.name, "first response"), "{:+.0f}"),
            _shown(results.start_ms(contestant.name, "manage.py check"), "{:+.0f}"),
        ]
        for contestant in results.contestants
        if contestant.name in results.started and contestant.name != BARE.name
    ]
    return Section(
        "Start-up: processor time in ms on top of the bare site's",
        "",
        ("", "until the first response", "manage.py check"),
        rows,
    )


def _shown(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def invalid_lines(results: Results) -> list[str]:
    """A line for each contestant whose figures don't count."""
    return [
        f"INVALID {name}: {reason.splitlines()[-1]}" for name, reason in results.invalid().items()
    ]


def as_text(results: Results, where: Surroundings) -> str:
    lines = [_place(where), ""]
    for section in sections(results):
        lines += [section.title, *_aligned([section.header, *section.rows]), ""]
    return "\n".join([*lines, *invalid_lines(results)])


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def as_markdown(results: Results, where: Surroundings) -> str:
    lines = [BEGIN, "", _place(where), ""]
    for section in sections(results):
        lines += [f"### {section.title}", ""]
        if section.note:
            lines += [section.note, ""]
        lines += _markdown_row(section.header)
        lines += _markdown_row(["---", *["--:"] * (len(section.header) - 1)])
        lines += [line for row in section.rows for line in _markdown_row(row)]
        lines.append("")
    lines += [f"- {line}" for line in invalid_lines(results)]
    return "\n".join([*lines, END])


def _markdown_row(cells: Sequence[str]) -> list[str]:
    return [f"| {' | '.join(cells)} |"]


def _place(where: Surroundings) -> str:
    held = ", ".join(f"{name} {version}" for name, version in where.versions.items())
    return (
        f"{where.date}, commit {where.commit}; {where.processor}, {where.cores} cores, "
        f"{where.system}, {where.python}; load average before the run {where.load}. {held}."
    )


def write_markdown(path: Path, results: Results, where: Surroundings) -> None:
    """Replace what an earlier run wrote, or add it at the end."""
    text = path.read_text(encoding="utf-8") if path.exists() else "# Performance\n\n"
    before, begin, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not begin:
        before, after = text.rstrip("\n") + "\n\n", "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(before + as_markdown(results, where) + after, encoding="utf-8")


def write_json(path: Path, results: Results, where: Surroundings) -> None:
    """All raw values, and the budgets' verdicts."""
    document = {
        "surroundings": dataclasses.asdict(where),
        "budgets": [
            {
                "what": budget.what,
                "limit": budget.limit,
                "unit": budget.unit,
                "measured": budget.measured(results),
                "verdict": budget.verdict(results),
            }
            for budget in BUDGETS
        ],
        "invalid": results.invalid(),
        "turns": {name: dataclasses.asdict(one) for name, one in results.turns.items()},
        "served": {name: dataclasses.asdict(one) for name, one in results.served.items()},
        "started": {name: dataclasses.asdict(one) for name, one in results.started.items()},
    }
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
