"""PromQL and LogQL as the panels ask it."""

from __future__ import annotations

from typing import Final, NamedTuple

JOB: Final = 'job=~"$job"'
"""Every board has the variable ``job``: the service's name, with its namespace before it."""
RATE: Final = "$__rate_interval"


class Query(NamedTuple):
    """``legend`` names a series by its labels (``{{http_route}}``)."""

    expr: str
    legend: str = ""
    exemplars: bool = False


def select(metric: str, *matchers: str) -> str:
    """The metric's series of the chosen services."""
    return f"{metric}{{{', '.join((JOB, *matchers))}}}"


def rate(metric: str, *matchers: str, by: str = "", over: str = RATE) -> str:
    """A counter's increase a second, summed."""
    return f"sum{_by(by)} (rate({select(metric, *matchers)}[{over}]))"


def increase(metric: str, *, by: str, over: str) -> str:
    """A counter's increase in that time, summed."""
    return f"sum{_by(by)} (increase({select(metric)}[{over}]))"


def share(metric: str, part: str, whole: str = "", *, by: str, over: str = RATE) -> str:
    """Of a counter: what matches ``part`` to what matches ``whole``; nothing where that is 0."""
    all_of_it = rate(metric, *([whole] if whole else []), by=by, over=over)
    return f"{rate(metric, part, by=by, over=over)} / ({all_of_it} > 0)"


def ratio(part: str, whole: str) -> str:
    """0 where the part has no series yet, nothing where the whole is 0."""
    return f"(({part}) or 0 * ({whole})) / (({whole}) > 0)"


def quantile(q: float, histogram: str, *matchers: str, by: str = "", over: str = RATE) -> str:
    """Of a histogram, by its name without ``_bucket``."""
    labels = f"{by}, le" if by else "le"
    return (
        f"histogram_quantile({q}, {rate(f'{histogram}_bucket', *matchers, by=labels, over=over)})"
    )


def mean(histogram: str, *matchers: str, by: str = "", over: str = RATE) -> str:
    """A histogram's mean."""
    total = rate(f"{histogram}_sum", *matchers, by=by, over=over)
    return f"{total} / ({rate(f'{histogram}_count', *matchers, by=by, over=over)} > 0)"


def quantiles(histogram: str, *matchers: str) -> tuple[Query, ...]:
    """The usual three, with exemplars: dots that open a trace."""
    return tuple(
        Query(quantile(q, histogram, *matchers), name, exemplars=q == 0.95)
        for q, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    )


def named(expr: str, label: str, otherwise: str) -> str:
    """With ``otherwise`` in the label of the series that have none: a legend needs a word."""
    return f'label_replace({expr}, "{label}", "{otherwise}", "{label}", "")'


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""
