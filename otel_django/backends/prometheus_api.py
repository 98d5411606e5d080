"""Questions to Prometheus's HTTP API, and the series it answers with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_django.backends.underscored import OF_RESOURCES, dotted

if TYPE_CHECKING:
    from otel_django.backends.remote import Remote

MAX_NAMES: Final = 5_000
MAX_SERIES: Final = 10_000
WARNED: Final = "Prometheus warns that parts of its answer may be missing"
"""As Thanos does where one of its stores is away."""
_LATEST_MS: Final = 2**63 // 10**6
_LARGEST: Final = 1e300
"""Room for what is reckoned with it."""
SERVICE_LABELS: Final = ("service_name", "job")
"""``job`` is ``namespace/name``, or the name alone, of what came by OTLP."""
_INSTANCE_LABELS: Final = ("service_instance_id", "instance")
_NO_ATTRIBUTES: Final = frozenset({"__name__", "le", *SERVICE_LABELS, *_INSTANCE_LABELS})


class Series(NamedTuple):
    """Labels, and samples: milliseconds since the epoch, value."""

    labels: dict[str, str]
    samples: list[tuple[int, float]]

    @property
    def service(self) -> str:
        """Who sent it."""
        return service_of(self.labels)

    @property
    def instance(self) -> str:
        """Which one of them."""
        found = (self.labels.get(label, "") for label in _INSTANCE_LABELS)
        return next(filter(None, found), "")

    @property
    def attributes(self) -> tuple[tuple[str, str], ...]:
        """Under OpenTelemetry's names, sorted; without the resource's."""
        return attributes_of(self.labels)


def service_of(labels: Mapping[str, str]) -> str:
    """The service's name; empty where it isn't known."""
    named, job = (labels.get(label, "") for label in SERVICE_LABELS)
    return named or job.rpartition("/")[2]


def attributes_of(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Those of the measurement."""
    found = {dotted(key): value for key, value in labels.items() if key not in _NO_ATTRIBUTES}
    return tuple(sorted(pair for pair in found.items() if not OF_RESOURCES.match(pair[0])))


def bound_of(labels: Mapping[str, str]) -> float | None:
    """A bucket's upper bound; None: it has none that is a number."""
    try:
        bound = float(labels.get("le") or "inf")
    except ValueError:
        return None
    return None if math.isnan(bound) else bound


class PrometheusApi:
    """Raises ReadError as ``Remote``. ``partial`` is said once an answer came with a warning."""

    def __init__(self, remote: Remote) -> None:
        self.remote = remote
        self.partial = ""

    def instant(self, query: str, at_ns: int) -> list[Series]:
        """A vector's series have one sample, a matrix's those of its range: at least one.

        Samples that are no finite number aren't told.
        """
        return self._series("/api/v1/query", {"query": query, "time": f"{at_ns / 1e9:.3f}"})

    def range(self, query: str, first_ns: int, last_ns: int, step_ns: int) -> list[Series]:
        """A sample at each step, from the first on."""
        return self._series(
            "/api/v1/query_range",
            {
                "query": query,
                "start": f"{first_ns / 1e9:.3f}",
                "end": f"{last_ns / 1e9:.3f}",
                "step": f"{step_ns / 1e9:.3f}",
            },
        )

    def names(self, since_ns: int | None = None) -> list[str]:
        """Of all metrics, or of those since a time; at most 5,000."""
        asked: dict[str, Any] = {"limit": MAX_NAMES}
        if since_ns is not None:
            asked["start"] = f"{since_ns / 1e9:.3f}"
        found = self._data("/api/v1/label/__name__/values", asked)
        if not isinstance(found, list):
            raise self.remote.malformed()
        return [str(each) for each in found[:MAX_NAMES]]

    def label_sets(self, since_ns: int, until_ns: int) -> list[dict[str, str]]:
        """Of all series of a range, at most 10,000."""
        found = self._data(
            "/api/v1/series",
            {
                "match[]": '{__name__!=""}',
                "start": f"{since_ns / 1e9:.3f}",
                "end": f"{until_ns / 1e9:.3f}",
                "limit": MAX_SERIES,
            },
        )
        try:
            return [{str(key): str(each[key]) for key in each} for each in found[:MAX_SERIES]]
        except (TypeError, KeyError):
            raise self.remote.malformed() from None

    def exemplars(self, selector: str, since_ns: int, until_ns: int) -> Iterable[Mapping[str, Any]]:
        """As the API has them: ``seriesLabels``, ``exemplars``."""
        found = self._data(
            "/api/v1/query_exemplars",
            {
                "query": selector,
                "start": f"{since_ns / 1e9:.3f}",
                "end": f"{until_ns / 1e9:.3f}",
            },
        )
        return found if isinstance(found, list) else ()

    def _series(self, path: str, parameters: Mapping[str, Any]) -> list[Series]:
        found = self._data(path, parameters)
        try:
            made = [
                Series(
                    {str(key): str(value) for key, value in each["metric"].items()},
                    list(_samples(each.get("values") or [each["value"]])),
                )
                for each in found["result"]
                if "values" in each or "value" in each  # else a native histogram
            ]
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            raise self.remote.malformed() from None
        return [each for each in made if each.samples]

    def _data(self, path: str, parameters: Mapping[str, Any]) -> Any:
        answer = self.remote.ask(path, parameters)
        if not isinstance(answer, dict) or answer.get("status") != "success":
            raise self.remote.malformed()
        if answer.get("warnings"):
            self.partial = WARNED
        return answer.get("data")


def _samples(found: Iterable[Any]) -> Iterator[tuple[int, float]]:
    for at, text in found:
        at_ms, value = round(float(at) * 1000), float(text)
        if not 0 <= at_ms < _LATEST_MS:
            raise ValueError("no time")
        if abs(value) < _LARGEST:
            yield at_ms, value
