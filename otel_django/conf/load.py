"""From the environment and Django's settings to ``Settings``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from otel_django.conf import otlp
from otel_django.conf.alert_thresholds import alert_thresholds
from otel_django.conf.otlp import OtlpSettings
from otel_django.conf.parsers import Unusable, plain
from otel_django.conf.settings import (
    DATA_DIR,
    SIGNALS,
    UNKNOWN_SERVICE,
    Settings,
    SpanLimitSettings,
)
from otel_django.conf.sources import Found, Origin, Problem, Sources, spoken
from otel_django.conf.variables import CONFIG_FILE, VARIABLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def load(
    environ: Mapping[str, str],
    overrides: Mapping[str, object] | None,
    *,
    base_dir: Path | None,
    debug: bool,
    settings_module: str | None,
    import_dir: Path | None = None,
) -> Settings:
    """Settings from the environment and ``settings.OTEL_DJANGO``; raises for no value of theirs.

    ``import_dir`` is the folder from which the settings module is imported.
    """
    draft = _Draft(Sources(environ, overrides), base_dir, debug, settings_module)
    for signal in SIGNALS:
        draft.resolve_otlp(signal)
    draft.resolve_service()
    draft.resolve_exporters()
    draft.resolve_paths()
    draft.check_combinations()
    return draft.settings(tuple(dict.fromkeys(filter(None, (base_dir, import_dir)))))


def from_django() -> Settings:
    """Settings of this process: its environment and Django's settings."""
    from django.conf import settings

    module = getattr(settings, "SETTINGS_MODULE", None)
    import_dir = _import_dir(module)
    return load(
        os.environ,
        getattr(settings, "OTEL_DJANGO", None),
        base_dir=_path(getattr(settings, "BASE_DIR", None)) or import_dir,
        debug=bool(settings.DEBUG),
        settings_module=module,
        import_dir=import_dir,
    )


def no_color() -> bool:
    """Whether the user wants no colours anywhere (no-color.org)."""
    return bool(os.environ.get("NO_COLOR"))


def _path(setting: object) -> Path | None:
    try:
        setting = plain(setting)
    except Unusable:
        return None
    return Path(setting).absolute() if isinstance(setting, str) else None


def _import_dir(settings_module: str | None) -> Path | None:
    """The folder from which the settings module is imported."""
    module = sys.modules.get(settings_module or "")
    file = getattr(module, "__file__", None)
    if not settings_module or not file:
        return None
    depth = settings_module.count(".") + hasattr(module, "__path__")
    parents = Path(file).absolute().parents
    return parents[min(depth, len(parents) - 1)]


class _Draft:
    """Settings in the making: what was found, then what follows from it."""

    def __init__(
        self, sources: Sources, base_dir: Path | None, debug: bool, settings_module: str | None
    ) -> None:
        self._sources = sources
        self._problems = sources.problems
        self._base_dir = base_dir
        self._debug = debug
        self._settings_module = settings_module or ""
        self._found = {
            variable.field: found for variable in VARIABLES if (found := sources.read(variable))
        }
        self._values: dict[str, Any] = {name: one.value for name, one in self._found.items()}
        self._report_config_file()

    def settings(self, source_dirs: tuple[Path, ...]) -> Settings:
        """The finished settings."""
        values: dict[str, Any] = {}
        groups: dict[str, dict[str, Any]] = {}
        for name, value in self._values.items():
            group, dot, member = name.partition(".")
            if dot:
                groups.setdefault(group, {})[member] = value
            else:
                values[name] = value
        return Settings(
            **values,
            otlp_traces=OtlpSettings(**groups.get("otlp_traces", {})),
            otlp_metrics=OtlpSettings(**groups.get("otlp_metrics", {})),
            otlp_logs=OtlpSettings(**groups.get("otlp_logs", {})),
            span_limits=SpanLimitSettings(**groups.get("span_limits", {})),
            alert_thresholds=SimpleNamespace(
                **(alert_thresholds() | groups.get("alert_thresholds", {}))
            ),
            debug=self._debug,
            base_dir=self._base_dir,
            source_dirs=source_dirs,
            problems=_once(self._problems),
            origins=self._origins(),
        )

    def _origins(self) -> dict[str, Origin]:
        return {
            variable.field: self._found[variable.field].origin
            if variable.field in self._found
            else Origin("default", variable.name)
            for variable in VARIABLES
        }

    def resolve_otlp(self, signal: str) -> None:
        """The receiver of a signal."""
        prefix = f"otlp_{signal}."
        found = {
            name.removeprefix(prefix): one
            for name, one in self._found.items()
            if name.startswith(prefix)
        }
        values = otlp.resolve(signal, found, self._problems)
        if "endpoint" not in found:
            self._found.pop(f"{prefix}endpoint", None)
        self._values.update({prefix + name: value for name, value in values.items()})

    def resolve_service(self) -> None:
        """The service's name: said, among the resource's attributes, or the project's."""
        attributes = self._values.get("resource_attributes", {})
        attributes_name = attributes.pop("service.name", "")
        if "service_name" in self._found:
            return
        if attributes_name:
            origin = self._found["resource_attributes"].origin
            self._found["service_name"] = Found(attributes_name, origin)
        self._values["service_name"] = attributes_name or self._project_name()

    def _project_name(self) -> str:
        package, dot, _ = self._settings_module.partition(".")
        if dot:
            return package
        return (self._base_dir and self._base_dir.name) or UNKNOWN_SERVICE

    def resolve_exporters(self) -> None:
        """Naming an endpoint switches the export on; naming no exporter at all leaves it off."""
        for signal in SIGNALS:
            exporters = f"{signal}_exporters"
            if exporters not in self._found and f"otlp_{signal}.endpoint" in self._found:
                self._values[exporters] = ("otlp",)

    def resolve_paths(self) -> None:
        """The files, absolute."""
        store = self._values.pop("store", "on" if self._store_by_default() else "off")
        if store != "off":
            within = Path(DATA_DIR, "store.sqlite3") if store == "on" else store
            self._values["store"] = self._absolute(within)
        for field, usual in (("spool_dir", "spool"), ("run_dir", "run")):
            self._values[field] = self._absolute(self._values.get(field, Path(DATA_DIR, usual)))
        if "log_file" in self._values:
            self._values["log_file"] = self._absolute(self._values["log_file"])

    def _store_by_default(self) -> bool:
        return self._debug and not self._says_where_to_send()

    def _says_where_to_send(self) -> bool:
        return any(
            f"otlp_{signal}.endpoint" in self._found or f"{signal}_exporters" in self._found
            for signal in SIGNALS
        )

    def _absolute(self, path: str | Path) -> Path:
        try:
            expanded = Path(path).expanduser()
        except RuntimeError:  # nobody's home is known
            expanded = Path(path)
        return _start(self._base_dir) / expanded

    def check_combinations(self) -> None:
        """Problems that two values make together."""
        self._check_sampler_arg()
        self._check_batch_size("bsp")
        self._check_batch_size("blrp")
        if self._keeps_nothing_unasked():
            self._problems.append(_NOTHING_KEPT)

    def _check_sampler_arg(self) -> None:
        arg = self._found.get("traces_sampler_arg")
        sampler = self._values.get("traces_sampler", Settings.traces_sampler)
        if arg and "always_" in sampler:
            self._problems.append(
                Problem(
                    arg.origin.variable,
                    f"{arg.value:g}",
                    f"{spoken(arg.origin)} has no effect with the sampler {sampler}.",
                    "Set OTEL_TRACES_SAMPLER=parentbased_traceidratio.",
                    "combination",
                )
            )

    def _check_batch_size(self, processor: str) -> None:
        """``processor`` is bsp (spans) or blrp (log records)."""
        field = f"{processor}_max_export_batch_size"
        queue = self._values.get(f"{processor}_max_queue_size")
        batch = self._values.get(field, getattr(Settings, field))
        if queue is None or batch <= queue:
            return
        self._values[field] = queue
        if field in self._found:
            origin = self._found[field].origin
            self._problems.append(
                Problem(
                    origin.variable,
                    str(batch),
                    f"{spoken(origin)} is {batch}, more than the queue holds.",
                    f"Set it to OTEL_{processor.upper()}_MAX_QUEUE_SIZE or less. "
                    f"Until then: {queue}.",
                    "combination",
                )
            )

    def _keeps_nothing_unasked(self) -> bool:
        switched_off = self._values.get("sdk_disabled") or self._values.get("enabled") is False
        elsewhere = {"store", "metrics_listen", "log_file"} & self._found.keys()
        decided = elsewhere or self._says_where_to_send()
        return not (self._debug or switched_off or decided)

    def _report_config_file(self) -> None:
        if self._sources.mentions(CONFIG_FILE):
            self._problems.append(_CONFIG_FILE_IGNORED)


_NOTHING_KEPT: Final = Problem(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "",
    "Telemetry is neither kept nor sent: DEBUG is off, and no endpoint, exporter or store is set.",
    "Set OTEL_EXPORTER_OTLP_ENDPOINT to send it, OTEL_DJANGO_STORE=on to keep it here, or "
    "OTEL_DJANGO_ENABLED=false if that is meant.",
    "nothing_kept",
)
_CONFIG_FILE_IGNORED: Final = Problem(
    CONFIG_FILE,
    "",
    f"{CONFIG_FILE} is set, but that file isn't read: the OpenTelemetry SDK's support of it is "
    "experimental.",
    "Say with the other OTEL_* variables, which count as usual, what the file says.",
    "config_file",
)


def _once(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Each once: a general variable is read for every signal that has none of its own."""
    return tuple({(one.name, one.message): one for one in reversed(problems)}.values())[::-1]


def _start(base_dir: Path | None) -> Path:
    """Where relative paths start."""
    if base_dir is not None:
        return base_dir.absolute()
    try:
        return Path.cwd()
    except OSError:  # somebody removed it
        return Path(os.sep)
