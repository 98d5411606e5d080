"""Where the boxes and lines of the map of services stand: in layers, callers left of the called.

Pure: names and calls in, places in units of the drawing out. Of calls in a circle, one goes back
to the left.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

WIDTH: Final = 204
HEIGHT: Final = 46
SPACE_X: Final = 168
NARROW_X: Final = 132
"""Between layers, where there are many."""
MANY_LAYERS: Final = 4
SPACE_Y: Final = 24
MARGIN: Final = 12
THIN: Final = 1.2
THICK: Final = 6.0
_PASSING: Final = 16
"""The height that a line takes which passes a layer."""
_ARROW: Final = 7
_BACK: Final = 11
"""How far below the middle of its boxes a line stands that goes back."""
_LABEL: Final = (96, 14)
_LABEL_AT: Final = 0.58
_SWEEPS: Final = 6

Pair: TypeAlias = "tuple[str, str]"
Point: TypeAlias = "tuple[float, float]"


@dataclass(frozen=True, slots=True)
class Path:
    """The line of one pair: the ``d`` of an SVG path, where its text stands, how thick it is."""

    d: str
    label_x: float
    label_y: float
    width: float


@dataclass(frozen=True, slots=True)
class Layout:
    """``boxes`` are the upper left corners."""

    width: int
    height: int
    boxes: Mapping[str, Point]
    paths: Mapping[Pair, Path]


def layout(names: Sequence[str], calls: Mapping[Pair, int]) -> Layout:
    """Places for all names; ``calls`` says how many there were from one to another."""
    pairs = [pair for pair in calls if pair[0] != pair[1]]
    forward = _without_circles(names, pairs)
    layers = _layers(names, forward.values())
    chains = {pair: _chain(pair, there, layers) for pair, there in forward.items()}
    columns = _columns(names, layers, chains.values())
    step = WIDTH + (SPACE_X if len(columns) <= MANY_LAYERS else NARROW_X)
    places = _places(columns, step)
    height = max((y + _height(key) for key, (_, y) in places.items()), default=0)
    most = max(calls.values(), default=1)
    return Layout(
        2 * MARGIN + max(0, len(columns) - 1) * step + (WIDTH if columns else 0),
        math.ceil(height + MARGIN),
        {name: places[name] for name in names},
        _paths(chains, places, {pair: _thickness(calls[pair], most) for pair in pairs}),
    )


def _thickness(count: int, most: int) -> float:
    return round(THIN + (THICK - THIN) * math.sqrt(count / max(1, most)), 1)


# --- layers


def _without_circles(names: Sequence[str], pairs: Sequence[Pair]) -> dict[Pair, Pair]:
    """Each pair, turned round where it would close a circle."""
    called = {target for _, target in pairs}
    targets: dict[str, list[str]] = {name: [] for name in names}
    for source, target in pairs:
        targets[source].append(target)
    order: dict[str, int] = {}
    open_: set[str] = set()
    turned: set[Pair] = set()
    for first in sorted(names, key=lambda name: name in called):
        stack = [(first, iter(targets[first]))] if first not in order else []
        if stack:
            order[first] = len(order)
            open_.add(first)
        while stack:
            name, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                open_.discard(name)
                stack.pop()
            elif following in open_:
                turned.add((name, following))
            elif following not in order:
                order[following] = len(order)
                open_.add(following)
                stack.append((following, iter(targets[following])))
    return {pair: pair[::-1] if pair in turned else pair for pair in pairs}


def _layers(names: Sequence[str], pairs: Iterable[Pair]) -> dict[str, int]:
    """The longest way to each; what nobody calls stands just left of what it calls."""
    layers = dict.fromkeys(names, 0)
    pairs = list(pairs)
    for _ in names:
        is_settled = True
        for source, target in pairs:
            if layers[target] <= layers[source]:
                layers[target] = layers[source] + 1
                is_settled = False
        if is_settled:
            break
    called = {target for _, target in pairs}
    for name in names:
        nearest = min((layers[target] for source, target in pairs if source == name), default=1)
        if name not in called:
            layers[name] = nearest - 1
    return layers


def _chain(pair: Pair, there: Pair, layers: Mapping[str, int]) -> list[str]:
    """From left to right, with a place of its own in each layer that the line passes."""
    source, target = there
    passed = range(layers[source] + 1, layers[target])
    return [source, *(f"\0{pair[0]}\0{pair[1]}\0{layer}" for layer in passed), target]


def _columns(
    names: Sequence[str], layers: Mapping[str, int], chains: Iterable[Sequence[str]]
) -> list[list[str]]:
    """What stands in each layer, ordered so that few lines cross."""
    columns: list[list[str]] = [[] for _ in range(max(layers.values(), default=-1) + 1)]
    for name in names:
        columns[layers[name]].append(name)
    left: dict[str, list[str]] = {}
    right: dict[str, list[str]] = {}
    for chain in chains:
        first = layers[chain[0]]
        for at, key in enumerate(chain[1:-1], first + 1):
            columns[at].append(key)
        for one, other in itertools.pairwise(chain):
            right.setdefault(one, []).append(other)
            left.setdefault(other, []).append(one)
    for sweep in range(_SWEEPS):
        _sweep(columns if sweep % 2 == 0 else columns[::-1], left if sweep % 2 == 0 else right)
    return columns


def _sweep(columns: Sequence[list[str]], neighbours: Mapping[str, Sequence[str]]) -> None:
    """Sort each column by the mean place of what its members are joined to in the one before."""
    for before, column in itertools.pairwise(columns):
        at = {key: number / max(1, len(before) - 1) for number, key in enumerate(before)}
        now = {key: number / max(1, len(column) - 1) for number, key in enumerate(column)}

        def mean(key: str, at: Mapping[str, float] = at, now: Mapping[str, float] = now) -> float:
            joined = [at[each] for each in neighbours.get(key, ()) if each in at]
            return sum(joined) / len(joined) if joined else now[key]

        column.sort(key=mean)


# --- places


def _height(key: str) -> int:
    return _PASSING if key.startswith("\0") else HEIGHT


def _places(columns: Sequence[Sequence[str]], step: int) -> dict[str, Point]:
    """Columns one beside the other, each in the middle of the highest."""
    heights = [
        sum(_height(key) for key in column) + SPACE_Y * (len(column) - 1) for column in columns
    ]
    places: dict[str, Point] = {}
    for number, column in enumerate(columns):
        x = MARGIN + number * step
        y = MARGIN + (max(heights) - heights[number]) / 2
        for key in column:
            places[key] = (x, y)
            y += _height(key) + SPACE_Y
    return places


def _paths(
    chains: Mapping[Pair, Sequence[str]],
    places: Mapping[str, Point],
    widths: Mapping[Pair, float],
) -> dict[Pair, Path]:
    taken: list[Point] = []
    paths = {}
    for pair, chain in chains.items():
        is_turned = chain[0] != pair[0]
        points: list[Point] = []
        for key in chain:
            x, y = places[key]
            middle = y + _height(key) / 2 + (_BACK if is_turned else 0)
            points += [(x, middle), (x + WIDTH, middle)]
        points = points[1:-1]
        if is_turned:
            points.reverse()
        label = _free(_on_curve(points[-2], points[-1]), taken)
        taken.append(label)
        end = points[-1][0] + (_ARROW if is_turned else -_ARROW)
        points[-1] = (end, points[-1][1])
        paths[pair] = Path(_drawn(points), *label, widths[pair])
    return paths


def _drawn(points: Sequence[Point]) -> str:
    """Curves between layers, straight on within one."""
    pieces = [f"M{points[0][0]:.0f} {points[0][1]:.1f}"]
    for number, (one, other) in enumerate(itertools.pairwise(points)):
        if number % 2:
            pieces.append(f"H{other[0]:.0f}")
        else:
            middle = (one[0] + other[0]) / 2
            pieces.append(
                f"C{middle:.0f} {one[1]:.1f} {middle:.0f} {other[1]:.1f} "
                f"{other[0]:.0f} {other[1]:.1f}"
            )
    return " ".join(pieces)


def _on_curve(one: Point, other: Point) -> Point:
    at = _LABEL_AT
    eased = 3 * at**2 - 2 * at**3
    middle = (one[0] + other[0]) / 2
    x = (
        one[0] * (1 - at) ** 3
        + 3 * middle * ((1 - at) ** 2 * at + (1 - at) * at**2)
        + other[0] * at**3
    )
    return round(x, 1), round(one[1] + (other[1] - one[1]) * eased + 4, 1)


def _free(wanted: Point, taken: Sequence[Point]) -> Point:
    """The place, or the next one below it where no other text stands."""
    x, y = wanted
    width, height = _LABEL
    for _ in taken:
        if not any(abs(x - a) < width and abs(y - b) < height for a, b in taken):
            break
        y += height
    return x, round(y, 1)
