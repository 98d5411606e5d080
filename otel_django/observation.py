"""What looks at things outside the process, and what it tells of them.

Apart from the other contracts, whose many rows no process needs that only observes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol


class Observer(Protocol):
    """Looks at something outside the process from time to time, such as a broker's queues.

    ``scope``: ``host`` has one process a host look, ``deployment`` one of all hosts' (without a
    database, one a host), ``process`` each that can; ``name`` is its own then. ``observe`` runs on
    a thread of its own and keeps to ``timeout_s`` itself; what it raises is counted and said once,
    and it is called less often until it succeeds. Its result is kept where every process of the
    scope can read it, and shown as metrics, by the process that looked, until it is older than
    three intervals.
    """

    interval_s: float
    timeout_s: float

    @property
    def name(self) -> str:
        """Names it for the other processes."""
        ...

    @property
    def scope(self) -> Literal["process", "host", "deployment"]:
        """Who of those that can is to look."""
        ...

    def is_possible(self) -> bool:
        """Whether this process can look; cheap, and asked often."""
        ...

    def observe(self) -> Iterable[Observation]:
        """What is there now."""
        ...


@dataclass(frozen=True, slots=True)
class Observation:
    """One value of a gauge or of an observed counter, by the name in ``names``."""

    name: str
    value: float
    attributes: Mapping[str, Any] = field(default_factory=dict)
