"""The options of ``python -m benchmarks``, and the order in which things are measured."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import hot_lines, latency, processor_time, report, startup
from benchmarks.contestants import (
    ALL,
    BARE,
    CONTRIB_TRACES,
    LOG_PAGES,
    OWN,
    PAGES,
    PROBE_PAGES,
    SERVED,
    STARTED,
    TASK_PAGES,
    Contestant,
)
from benchmarks.environments import Environments, NotInstallable, cache_folder, default_django
from benchmarks.figures import Results
from benchmarks.machine import surroundings
from benchmarks.processes import Bench, bench

if TYPE_CHECKING:
    from collections.abc import Sequence

PARTS = ("cpu", "tasks", "logs", "probes", "latency", "startup")


@dataclass(frozen=True)
class Effort:
    generations: int
    turns: int
    segments: int
    segment_s: float
    starts: int
    served: Sequence[Contestant] = SERVED


QUICK = Effort(
    generations=2,
    turns=3,
    segments=3,
    segment_s=3.0,
    starts=3,
    served=(BARE, CONTRIB_TRACES, OWN),
)
FULL = Effort(generations=8, turns=4, segments=8, segment_s=5.0, starts=10)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; 1 if a contestant's figures don't count."""
    options = _parser().parse_args(arguments)
    effort = QUICK if options.quick else FULL
    if options.rounds:
        effort = dataclasses.replace(effort, generations=options.rounds)
    chosen = _chosen(options.only)
    pythons, missing = _installed(chosen, options.django)
    chosen = [one for one in chosen if one.name in pythons]
    where = surroundings(pythons.values())
    with bench(pythons) as running:
        if options.profile:
            print(hot_lines.report(running, seconds=3.0 if options.quick else 10.0))
            return 0
        results = _measured(running, chosen, effort, options.parts)
    print(report.as_text(results, where))
    for name, reason in missing.items():
        print(f"NOT INSTALLED {name}: {reason}")
    if options.json:
        report.write_json(options.json, results, where)
    if options.markdown:
        report.write_markdown(options.markdown, results, where)
    return 1 if results.invalid() or missing else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one to two minutes, rough figures")
    parser.add_argument(
        "--only",
        type=lambda names: set(names.split(",")),
        help=f"contestants besides bare, by comma: {', '.join(one.name for one in ALL)}",
    )
    parser.add_argument("--rounds", type=int, help="how often every process is started anew")
    parser.add_argument(
        "--parts",
        type=lambda names: tuple(names.split(",")),
        default=PARTS,
        help=f"what to measure, by comma: {', '.join(PARTS)}",
    )
    parser.add_argument("--django", default=default_django(), help="requirement, as Django==5.2")
    parser.add_argument("--json", type=Path, help="write all values to this file")
    parser.add_argument("--markdown", type=Path, help="renew the tables in this file")
    parser.add_argument("--profile", action="store_true", help="show where our own time goes")
    return parser


def _chosen(only: set[str] | None) -> list[Contestant]:
    unknown = (only or set()) - {one.name for one in ALL}
    if unknown:
        raise SystemExit(f"no such contestant: {', '.join(sorted(unknown))}")
    return [one for one in ALL if only is None or one.name in only or one is BARE]


def _installed(
    contestants: Sequence[Contestant], django: str
) -> tuple[dict[str, Path], dict[str, str]]:
    environments = Environments(cache_folder(), django)
    pythons: dict[str, Path] = {}
    missing: dict[str, str] = {}
    for contestant in contestants:
        try:
            pythons[contestant.name] = environments.python_for(contestant.requirements)
        except NotInstallable as failed:
            missing[contestant.name] = str(failed)
    return pythons, missing


def _measured(
    running: Bench, chosen: Sequence[Contestant], effort: Effort, parts: Sequence[str]
) -> Results:
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {what}", file=sys.stderr, flush=True)

    turns: dict[str, processor_time.Turns] = {}
    served: dict[str, latency.Served] = {}
    started: dict[str, startup.Started] = {}
    for part, pages in (
        ("cpu", PAGES),
        ("tasks", TASK_PAGES),
        ("logs", LOG_PAGES),
        ("probes", PROBE_PAGES),
    ):
        measured = [one for one in chosen if one.pages == pages]
        if part in parts and measured:
            say("processor time" if part == "cpu" else f"processor time of {part}")
            turns |= processor_time.measure(
                running, measured, generations=effort.generations, turns=effort.turns
            )
    chosen_servers = [one for one in chosen if one in effort.served]
    if "latency" in parts:
        say("latency")
        served = latency.measure(
            running, chosen_servers, segments=effort.segments, seconds=effort.segment_s
        )
    if "startup" in parts:
        say("start-up")
        started = startup.measure(
            running, [one for one in chosen if one in STARTED], runs=effort.starts
        )
    say("done")
    return Results(chosen, turns, served, started)
