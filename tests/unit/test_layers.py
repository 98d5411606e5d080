"""Imports point downward only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import otel_django

PACKAGE = Path(otel_django.__file__).parent

BASE = {
    "names",
    "errors",
    "clock",
    "file_lock",
    "fork_gate",
    "guard",
    "contracts",
    "conf",
    "version",
    "command_choice",
    "host_environment",
    "log_record",
    "metric_definitions",
    "metric_points",
    "observation",
    "own_thread",
    "private_folder",
    "roll_ups",
    "runtime_state",
    "site_database",
}
"""What every part may import."""

LAYERS: list[set[str]] = [
    BASE,
    {"tracing", "metrics", "logs", "pipeline", "store", "models", "migrations"},
    {"instrumentation", "backends"},
    {"alerts", "observers"},
    {"health"},
    {"alerts.service"},
    {
        "admin_levels",
        "checks",
        "manual",
        "manual_logs",
        "manual_metrics",
        "middleware",
        "web",
    },
    {"receiver", "doctor"},
    {"cli"},
    {"viewer"},
    {"reporting"},
    {"cli.report"},
    {"admin_pages"},
    {"admin_alerts", "admin_health"},
    {"admin", "management", "bootstrap", "monitoring", "urls", "probe_urls"},
    {"apps", "tasks", "testing", "__init__", "__main__"},
    {"pytest_plugin"},
]
APART = {"alerts.service", "cli.report"}
"""Parts of parts that have a layer of their own."""
# Cores that know neither Django nor OpenTelemetry, so that they can be read and tested alone.
PURE = [
    "errors",
    "clock",
    "names",
    "version",
    "metrics/exposition",
    "metrics/classic",
    "metrics/metrics_json",
    "metrics/openmetrics",
    "metrics/prometheus_families",
    "metrics/prometheus_names",
    "metrics/prometheus_text",
    "pipeline/queue",
    "pipeline/retry",
    "pipeline/protobuf",
    "pipeline/otlp_logs",
    "pipeline/otlp_metrics",
    "pipeline/otlp_trace",
    "pipeline/spool",
    "pipeline/http_transport",
    "store/schema",
    "alerts/arithmetic",
    "alerts/evaluate",
    "alerts/expressions",
    "alerts/liveness",
    "alerts/keeping/contract",
    "alerts/keeping/documents",
    "alerts/keeping/journal",
    "alerts/keeping/merging",
    "alerts/muting",
    "alerts/promql",
    "alerts/catalogue",
    "alerts/definitions",
    "alerts/delivery/contract",
    "alerts/delivery/private_addresses",
    "alerts/delivery/retrying",
    "alerts/delivery/routes",
    "alerts/delivery/stages",
    "alerts/delivery/words",
    "alerts/reading",
    "alerts/rules",
    "alerts/slo",
    "alerts/state",
    "alerts/telling",
    "health/results",
    "health/check",
    "instrumentation/sql",
]


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).with_suffix("").as_posix(), path


def imported(path: Path) -> Iterator[str]:
    """Modules imported at run time (those only for type checkers don't count), dotted."""
    for node in _run_time(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _run_time(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _run_time(child)


def part(dotted: str) -> str | None:
    pieces = dotted.split(".")
    if pieces[0] != "otel_django" or len(pieces) < 2:
        return None
    nested = ".".join(pieces[1:3])
    return nested if nested in APART else pieces[1]


def layer(name: str) -> int:
    for number, members in enumerate(LAYERS):
        if name in members:
            return number
    raise AssertionError(f"{name} has no layer: give it one")


@pytest.mark.parametrize(("module", "path"), list(modules()), ids=lambda value: str(value)[-40:])
def test_a_part_imports_only_from_layers_below_or_its_own(module: str, path: Path) -> None:
    own = part(f"otel_django.{module.replace('/', '.')}")
    assert own is not None
    for dotted in imported(path):
        other = part(dotted)
        if other is None or other in {own, "__version__"}:
            continue
        same_layer_base = {own, other} <= BASE
        assert same_layer_base or layer(other) < layer(own), f"{module} imports {dotted}"


@pytest.mark.parametrize("module", PURE)
def test_a_core_imports_neither_django_nor_opentelemetry(module: str) -> None:
    path = PACKAGE / f"{module}.py"
    roots = {dotted.partition(".")[0] for dotted in imported(path)}
    assert not roots & {"django", "opentelemetry"}
