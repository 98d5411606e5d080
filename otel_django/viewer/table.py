"""Tables that are sorted by their headings' links: ``?sort=p95``, ``?sort=-p95`` the other way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otel_django.viewer.visit import Visit

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Column:
    """``key`` is the rows' attribute; figures are sorted from the largest on, texts from a to z."""

    key: str
    title: str
    hint: str = ""
    text: bool = False
    classes: str = ""


class Heading(NamedTuple):
    """``order`` is what ``aria-sort`` says, empty for all columns but one."""

    title: str
    hint: str
    address: str
    order: str
    classes: str


def in_order(
    visit: Visit, rows: Iterable[Row], columns: Sequence[Column], first: str
) -> tuple[list[Row], list[Heading]]:
    """The rows as the address wants them, ``first`` being the column without a word; None last."""
    given = visit.text("sort", 40)
    chosen = next((each for each in columns if each.key == given.removeprefix("-")), None)
    is_turned = chosen is not None and given.startswith("-")
    column = chosen or next(each for each in columns if each.key == first)
    falling = column.text == is_turned
    known: list[Row] = []
    unknown: list[Row] = []
    for row in rows:
        (unknown if getattr(row, column.key) is None else known).append(row)
    known.sort(key=lambda row: _value(row, column), reverse=falling)
    order = "descending" if falling else "ascending"
    headings = []
    for each in columns:
        wanted = f"-{each.key}" if each is column and not is_turned else each.key
        address = visit.here(sort=None if wanted == first else wanted)
        classes = each.classes or ("" if each.text else "number")
        headings.append(
            Heading(each.title, each.hint, address, order if each is column else "", classes)
        )
    return known + unknown, headings


def _value(row: object, column: Column) -> Any:
    value = getattr(row, column.key)
    return value.lower() if column.text else value
