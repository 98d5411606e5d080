"""Which versions of services ran when, from the embedded store."""

from __future__ import annotations

from otel_django.backends.embedded_roll_ups import texts, with_roll_ups
from otel_django.backends.embedded_session import StoreReader
from otel_django.roll_ups import Release


class EmbeddedReleaseReader(StoreReader):
    """A ``ReleaseReader`` of the store at ``path``; cheap to make."""

    def releases(self, since_ns: int, until_ns: int) -> tuple[Release, ...]:
        """Of what versions of this package wrote that keep releases."""
        found: dict[tuple[int, int], tuple[int, int]] = {}
        with self._session() as read:
            for part in with_roll_ups(read):
                for *key, first, last in read.run(
                    "SELECT service, version, min(first_ns), max(last_ns) "
                    f"FROM source_{part.id} WHERE version IS NOT NULL GROUP BY 1, 2"
                ):
                    service, version = key
                    known = found.get((service, version), (first, last))
                    found[service, version] = (min(known[0], first), max(known[1], last))
            named = texts(read, {number for key in found for number in key})
        releases = (
            Release(named.get(service, ""), named.get(version, ""), first, last)
            for (service, version), (first, last) in found.items()
            if first <= until_ns and last >= since_ns
        )
        return tuple(sorted(releases, key=lambda each: (each.first_ns, each.service)))
