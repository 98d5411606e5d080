"""The rows that a batch adds to a roll-up."""

from __future__ import annotations


class Sums:
    """Amounts by key; both are in the order of the table's columns."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows: dict[tuple[int, ...], list[int]] = {}

    def add(self, key: tuple[int, ...], *amounts: int) -> None:
        """Add to each of a key's sums."""
        row = self._rows.get(key)
        if row is None:
            self._rows[key] = list(amounts)
        else:
            for index, amount in enumerate(amounts):
                row[index] += amount

    def rows(self) -> list[list[int]]:
        """Key and sums in one."""
        return [[*key, *sums] for key, sums in self._rows.items()]
