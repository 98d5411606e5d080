"""Processor time of a request and memory of a process, all contestants taking turns.

Every contestant is a living process that serves a burst when it is its turn, so that what is
compared was measured within the same second.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from benchmarks.contestants import Contestant, shortfall
from benchmarks.processes import Bench, Failed, ended

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BURST = {
    "trivial": 400,
    "queries": 120,
    "repeated": 120,
    "cached": 400,
    "publish": 400,
    "run": 400,
    "record": 1000,
    "livez": 400,
}
"""Requests, tasks or log records a turn: below every contestant's queue, more than most batches."""
WARM_UP_BURSTS = 2


@dataclass
class Turns:
    """What one contestant's turns gave, page → a value a turn; µs are of one request.

    ``off_…`` is the same process with the contestant taken off the site.
    """

    cpu_us: dict[str, list[float]] = field(default_factory=dict)
    main_cpu_us: dict[str, list[float]] = field(default_factory=dict)
    off_cpu_us: dict[str, list[float]] = field(default_factory=dict)
    off_main_cpu_us: dict[str, list[float]] = field(default_factory=dict)
    p50_us: dict[str, list[float]] = field(default_factory=dict)
    p99_us: dict[str, list[float]] = field(default_factory=dict)
    rss_bytes: list[float] = field(default_factory=list)
    pss_bytes: list[float] = field(default_factory=list)
    invalid: str | None = None

    def add(self, page: str, requests: int, pair: dict[str, dict[str, float] | None]) -> None:
        """A turn of ``requests`` that were measured, a pair of bursts."""
        burst, off = pair["on"], pair["off"]
        assert burst is not None
        self.cpu_us.setdefault(page, []).append(burst["cpu_s"] / requests * 1e6)
        self.main_cpu_us.setdefault(page, []).append(burst["main_cpu_s"] / requests * 1e6)
        if off is not None:
            self.off_cpu_us.setdefault(page, []).append(off["cpu_s"] / requests * 1e6)
            self.off_main_cpu_us.setdefault(page, []).append(off["main_cpu_s"] / requests * 1e6)
        self.p50_us.setdefault(page, []).append(burst["p50_s"] * 1e6)
        self.p99_us.setdefault(page, []).append(burst["p99_s"] * 1e6)


class Driven:
    """A contestant's process under command."""

    def __init__(self, bench: Bench, contestant: Contestant, key: str, errors: IO[str]) -> None:
        self.contestant = contestant
        self.requests = dict.fromkeys(contestant.pages, 0)
        self.key = key
        self._bench = bench
        self._errors = errors
        self.process = subprocess.Popen(
            [str(bench.pythons[contestant.name]), "-m", "benchmarks.site.drive"],
            cwd=bench.workspace,
            env=bench.environ(contestant, key),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            bufsize=1,
        )

    def wait_ready(self) -> None:
        self._read()

    def run(self, page: str, requests: int) -> None:
        """Serve a burst that isn't measured."""
        self.requests[page] += requests
        self.tell(do="run", page=page, requests=requests)

    def pair(self, page: str, requests: int) -> dict[str, Any]:
        """Serve a turn; ``off`` is None where the contestant can't be taken off."""
        pair = self.tell(do="pair", page=page, requests=requests)
        self.requests[page] += pair["requests"]
        return pair

    def tell(self, **command: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(command) + "\n")
        return self._read()

    def shortfall(self) -> str | None:
        """Send what is left, and compare what arrived with what was served."""
        seen = self.tell(do="finish")["seen"]
        return shortfall(self.contestant, self.requests, self._bench.arrived(self.key), seen)

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise Failed(self._errors.read()[-1500:].strip() or "ended without a word")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextlib.contextmanager
def driven(bench: Bench, contestant: Contestant, key: str) -> Iterator[Driven]:
    """Its process, started and ended."""
    with contextlib.ExitStack() as stack:
        errors = stack.enter_context((bench.workspace / f"{key}.stderr").open("w+"))
        one = Driven(bench, contestant, key, errors)
        stack.enter_context(ended(one.process))
        yield one


def measure(
    bench: Bench, contestants: Sequence[Contestant], *, generations: int, turns: int
) -> dict[str, Turns]:
    """``generations`` times fresh processes, each with ``turns`` turns of every page.

    All ``contestants`` have the same pages.
    """
    results = {contestant.name: Turns() for contestant in contestants}
    for generation in range(generations):
        order = _rotated(contestants, generation)
        running = [one for one in order if results[one.name].invalid is None]
        _generation(bench, running, results, number=generation, turns=turns)
    return results


def _generation(
    bench: Bench,
    contestants: Sequence[Contestant],
    results: dict[str, Turns],
    *,
    number: int,
    turns: int,
) -> None:
    with contextlib.ExitStack() as stack:
        living: list[Driven] = []
        for contestant in contestants:
            one = stack.enter_context(driven(bench, contestant, f"{contestant.name}.{number}"))
            if _warmed_up(one, results):
                living.append(one)
        for turn in range(turns):
            for page in contestants[0].pages:
                for one in _rotated(living, turn):
                    _take_turn(one, page, results[one.contestant.name])
        for one in living:
            if results[one.contestant.name].invalid is None:
                _close(one, results[one.contestant.name])


def _take_turn(one: Driven, page: str, turns: Turns) -> None:
    if turns.invalid is None:
        try:
            turns.add(page, BURST[page], one.pair(page, BURST[page]))
        except Failed as failed:
            turns.invalid = str(failed)


def _warmed_up(one: Driven, results: dict[str, Turns]) -> bool:
    try:
        one.wait_ready()
        for page in one.contestant.pages:
            for _ in range(WARM_UP_BURSTS):
                one.run(page, BURST[page])
    except Failed as failed:
        results[one.contestant.name].invalid = str(failed)
        return False
    return True


def _close(one: Driven, turns: Turns) -> None:
    memory = one.tell(do="memory")
    turns.rss_bytes.append(memory["rss_bytes"])
    turns.pss_bytes.append(memory["pss_bytes"])
    turns.invalid = one.shortfall()


def _rotated(items: Sequence[Any], by: int) -> list[Any]:
    by %= len(items) or 1
    return [*items[by:], *items[:by]]
