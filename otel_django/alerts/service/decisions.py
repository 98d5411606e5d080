"""What people decided about groups of errors, for rules that look for new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_django.site_database import AWAY, connected

if TYPE_CHECKING:
    from collections.abc import Mapping

NEVER_NS: Final = 1 << 62
"""When an ignored group could come back."""
MOST: Final = 10_000


class Decisions:
    """What was read last counts while the database is away."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._resolved: Mapping[str, int] = {}

    def read(self) -> None:
        """Ask the database; may hang."""
        from otel_django.models import ErrorGroupState

        try:
            with connected(self._database):
                rows = (
                    ErrorGroupState._base_manager.using(self._database)
                    .exclude(state=ErrorGroupState.State.OPEN)
                    .order_by("-at_ms")
                    .values_list("fingerprint", "state", "at_ms")[:MOST]
                )
                self._resolved = {
                    fingerprint: at_ms * 1_000_000
                    if state == ErrorGroupState.State.RESOLVED
                    else NEVER_NS
                    for fingerprint, state, at_ms in rows
                }
        except AWAY:
            return

    def resolved(self) -> Mapping[str, int]:
        """Fingerprints, and when the group was resolved, in nanoseconds."""
        return self._resolved
