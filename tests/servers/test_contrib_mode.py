"""Both modes side by side: every difference stands in docs/reference/contrib-mode.md."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/contrib-mode.md"
KINDS = {"SERVER": "request", "PRODUCER": "send", "CONSUMER": "process"}
OWN, CONTRIB, DIFFERS = "only own", "only contrib", "differs"
VARYING = {"messaging.message.id", "celery.task.queue_wait"}
"""Values that no two runs share."""

Recorded = dict[str, list[list[Any]]]
Difference = tuple[str, str]


def recorded(mode: str) -> Recorded:
    done = subprocess.run(
        [sys.executable, "-m", "tests.servers.both_instrumentations"],
        env={**os.environ, "OTEL_DJANGO_INSTRUMENTATION": mode},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: Recorded = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def sides() -> tuple[Recorded, Recorded]:
    return recorded("own"), recorded("contrib")


def differences(own: Recorded, contrib: Recorded) -> dict[Difference, set[str]]:
    found: dict[Difference, set[str]] = {}
    for scenario, ours in own.items():
        theirs = contrib[scenario]
        if len(ours) != len(theirs):
            (more,) = ours or theirs
            found.setdefault((KINDS[more[1]], "span"), set()).add(OWN if ours else CONTRIB)
            continue
        for our, their in zip(ours, theirs, strict=True):
            assert our[1] == their[1], scenario
            assert our[5] == their[5], f"{scenario}: the parent is remote in one of them"
            for what, how in _compared(our, their):
                found.setdefault((KINDS[our[1]], what), set()).add(how)
    return found


def _compared(our: list[Any], their: list[Any]) -> Iterator[tuple[str, str]]:
    for what, place in (("name", 0), ("status", 3), ("events", 4)):
        if our[place] != their[place]:
            yield what, DIFFERS
    for key in {*our[2], *their[2]}:
        if key not in their[2]:
            yield key, OWN
        elif key not in our[2]:
            yield key, CONTRIB
        elif our[2][key] != their[2][key] and key not in VARYING:
            yield key, DIFFERS


def documented() -> dict[Difference, str]:
    rows: dict[Difference, str] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) != 4 or cells[0].strip("| ") not in KINDS.values():
            continue
        of, what, own, contrib = cells
        how = CONTRIB if own == "—" else OWN if contrib.strip(" |") == "—" else DIFFERS
        rows[(of.strip("| "), re.sub("`", "", what))] = how
    return rows


def test_the_page_lists_every_difference_and_no_other(sides: tuple[Recorded, Recorded]) -> None:
    found = {
        where: next(iter(hows)) if len(hows) == 1 else DIFFERS
        for where, hows in differences(*sides).items()
    }
    assert found == documented()


def test_both_make_one_span_for_each_request_publish_and_run(
    sides: tuple[Recorded, Recorded],
) -> None:
    for side in sides:
        for scenario, spans in side.items():
            kinds = [span[1] for span in spans]
            if scenario in ("refused host", "health"):
                assert kinds in ([], ["SERVER"])
            elif scenario == "retried task":
                assert kinds == ["PRODUCER", "CONSUMER"] * 2
            elif "task" in scenario:
                assert kinds == ["PRODUCER", "CONSUMER"]
            else:
                assert kinds == ["SERVER"], scenario


def test_celerys_modules_are_whole_where_upstreams_instrumentation_is_on() -> None:
    script = (
        "import django, sys\n"
        "django.setup()\n"
        "from celery import Celery\n"
        "from opentelemetry.instrumentation.celery import CeleryInstrumentor\n"
        "assert CeleryInstrumentor().is_instrumented_by_opentelemetry\n"
        "import celery.app.task\n"
        "assert celery.app.task.Context\n"
    )
    environ = {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "OTEL_DJANGO_ENABLED": "true",
        "OTEL_DJANGO_INSTRUMENTATION": "contrib",
        "PATH": "",
    }
    subprocess.run([sys.executable, "-c", script], env=environ, timeout=60, check=True)
