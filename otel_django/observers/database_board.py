"""The board of a whole deployment: a table in the site's database.

Each call is one or two statements in autocommit, on a connection of the calling thread that is
closed after it: to be used on threads of ours only. All times are by the database's clock.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from django.db.models import F, Q

from otel_django.observers.board import BoardAway, Result
from otel_django.site_database import AWAY, NowMs, connected

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from otel_django.models import Lease


class DatabaseBoard:
    """The table in the database called ``alias``."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    @contextlib.contextmanager
    def _leases(self) -> Iterator[QuerySet[Lease]]:
        from otel_django.models import Lease

        try:
            with connected(self._alias):
                yield Lease._base_manager.using(self._alias).all()
        except AWAY as error:
            raise BoardAway(type(error).__name__) from error  # its text may hold a password

    def claim(self, name: str, owner: str, ttl_s: float) -> bool:
        """Take or renew the lease with one conditional UPDATE."""
        until_ms = NowMs() + int(ttl_s * 1000)
        with self._leases() as leases:
            free = Q(owner=owner) | Q(until_ms__lt=NowMs())
            mine = leases.filter(free, name=name)
            if mine.update(owner=owner, until_ms=until_ms):
                return True
            if leases.filter(name=name).exists():
                return False
            self._add(leases, name)
            return bool(mine.update(owner=owner, until_ms=until_ms))

    def _add(self, leases: QuerySet[Lease], name: str) -> None:
        leases.bulk_create([leases.model(name=name)], ignore_conflicts=True)

    def release(self, name: str, owner: str) -> None:
        """End the lease now."""
        with self._leases() as leases:
            leases.filter(name=name, owner=owner).update(until_ms=0)

    def put(self, name: str, owner: str, text: str) -> bool:
        """Leave a result while the lease is held."""
        with self._leases() as leases:
            held = leases.filter(name=name, owner=owner)
            return bool(held.update(result=text, observed_ms=NowMs()))

    def get(self, name: str) -> Result | None:
        """What was left last; None: nothing yet."""
        return self._results(name=name).get(name)

    def post(self, name: str, owner: str, text: str) -> None:
        """Leave a result under a name of one's own."""
        with self._leases() as leases:
            row = leases.filter(name=name)
            values = {"owner": owner, "result": text, "observed_ms": NowMs()}
            if not row.update(**values):
                self._add(leases, name)
                row.update(**values)

    def posted(self, prefix: str) -> Mapping[str, Result]:
        """What was left under names that begin so."""
        results = self._results(name__startswith=prefix)
        return {name[len(prefix) :]: result for name, result in results.items()}

    def _results(self, **which: str) -> dict[str, Result]:
        with self._leases() as leases:
            rows = leases.filter(**which, observed_ms__gt=0).values_list(
                "name", "result", NowMs() - F("observed_ms")
            )
            return {name: Result(text, age_ms / 1000) for name, text, age_ms in rows}

    def remove(self, name: str, owner: str | None = None) -> None:
        """Delete the row."""
        with self._leases() as leases:
            row = leases.filter(name=name)
            if owner is not None:
                row = row.filter(owner=owner)
            row._raw_delete(self._alias)
