"""Where our own time goes: stages by switching parts off, and lines by sampling."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from benchmarks.contestants import BARE, NOTHING, OWN, OWN_OFF, PAGES, SPANS, Contestant
from benchmarks.figures import Results
from benchmarks.processor_time import BURST, driven, measure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.processes import Bench

LINES = 25
REQUESTS = dict.fromkeys(PAGES, 1)
SAMPLED_PAGES = ("trivial", "queries", "repeated")


def _variant(
    name: str, title: str, environment: Mapping[str, str], spans: Mapping[str, int]
) -> Contestant:
    return dataclasses.replace(
        OWN,
        name=name,
        title=title,
        environment={**OWN.environment, **environment},
        expects={"traces": spans},
    )


STAGES = (
    BARE,
    _variant("disabled", "installed, disabled", {"OTEL_DJANGO_ENABLED": "false"}, NOTHING),
    dataclasses.replace(OWN_OFF, title="sampled out"),
    _variant(
        "requests",
        "requests only",
        {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "database,cache"},
        REQUESTS,
    ),
    _variant("unrepeated", "no look for repeats", {"OTEL_DJANGO_N_PLUS_ONE": "0"}, SPANS),
    dataclasses.replace(OWN, title="all recorded and sent"),
)


def report(bench: Bench, *, seconds: float) -> str:
    """The stages' costs, then the lines of the serving thread that cost most."""
    python = bench.pythons[OWN.name]
    bench = dataclasses.replace(bench, pythons={stage.name: python for stage in STAGES})
    turns = measure(bench, STAGES, generations=1, turns=max(4, int(seconds)))
    results = Results(STAGES, turns, {}, {})
    lines = ["Added processor time of a request in µs: on the serving thread, on others", ""]
    lines += [_stage_line(results, stage) for stage in STAGES[1:]]
    lines += [f"INVALID {name}: {reason}" for name, reason in results.invalid().items()]
    if turns[OWN.name].cpu_us:
        lines += _hot_lines(bench, seconds)
    return "\n".join(lines)


def _stage_line(results: Results, stage: Contestant) -> str:
    cells = [f"{stage.title:24}"]
    for page in PAGES:
        total = results.added_us(stage.name, page)
        main = results.added_us(stage.name, page, "main_cpu_us")
        if total is None or main is None:
            cells.append(f"{page} –")
        else:
            cells.append(f"{page} {main:6.1f} + {total - main:5.1f}")
    return "   ".join(cells)


def _hot_lines(bench: Bench, seconds: float) -> list[str]:
    lines = []
    with driven(bench, OWN, "profile") as one:
        one.wait_ready()
        for page in SAMPLED_PAGES:
            one.run(page, BURST[page])
            found = one.tell(do="sample", page=page, seconds=seconds)
            lines += [
                "",
                f"{page}: {found['request_us']:.0f} µs a request on the serving thread, of which",
                "  in each function itself:",
                *_places(found["functions"]),
                "  on each line itself:",
                *_places(found["own"]),
                "  in what the line called outside the package (below our wrappers: the site):",
                *_places(found["called"]),
            ]
    return lines


def _places(found: Sequence[tuple[str, float]]) -> list[str]:
    return [f"  {us:8.2f} µs  {place}" for place, us in found[:LINES]]
