"""Settings from the environment and from ``settings.OTEL_DJANGO``: precedence, what follows."""

from __future__ import annotations

import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_django.conf import Origin, Problem, Settings, load
from otel_django.conf.settings import SpanLimitSettings
from otel_django.conf.variables import VARIABLES

BASE_DIR = Path("/srv/shop")


def loaded(environ: dict[str, str] | None = None, **options: Any) -> Settings:
    given_options = {"base_dir": BASE_DIR, "debug": False, "settings_module": "shop.settings"}
    overrides = options.pop("overrides", {})
    return load(environ or {}, overrides, **{**given_options, **options})


def problem_of(settings: Settings, kind: str = "value") -> Problem:
    (problem,) = (one for one in settings.problems if one.kind == kind)
    return problem


def install_entry_point(
    folder: Path, monkeypatch: pytest.MonkeyPatch, group: str, name: str
) -> None:
    """A package on the path that offers ``name``."""
    info = folder / f"{name}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = a:b\n")
    monkeypatch.syspath_prepend(folder)


# --- where values come from


def test_the_environment_wins_over_the_settings() -> None:
    settings = loaded(
        {"OTEL_DJANGO_SLOW_REQUEST_MS": "250"},
        overrides={"SLOW_REQUEST_MS": 400, "SLOW_QUERY_MS": 50},
    )
    assert settings.slow_request_s == 0.25
    assert settings.slow_query_s == 0.05
    assert settings.origins["slow_request_s"] == Origin(
        "environment", "OTEL_DJANGO_SLOW_REQUEST_MS"
    )
    assert settings.origins["slow_query_s"] == Origin("settings", "OTEL_DJANGO_SLOW_QUERY_MS")
    assert settings.origins["n_plus_one"] == Origin("default", "OTEL_DJANGO_N_PLUS_ONE")


def test_the_environments_general_form_wins_over_the_settings_own_form() -> None:
    settings = loaded(
        {"OTEL_EXPORTER_OTLP_TIMEOUT": "3"}, overrides={"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": 4}
    )
    assert settings.otlp_traces.timeout_s == 3


def test_settings_take_standard_names_in_full_and_ours_short_or_in_full() -> None:
    settings = loaded(
        overrides={
            "OTEL_SERVICE_NAME": "orders",
            "KEEP": ["errors"],
            "OTEL_DJANGO_TRUST_INBOUND": [ip_network("10.0.0.0/8")],
            "STRICT": True,
            "OTEL_RESOURCE_ATTRIBUTES": {"team": "a,b%20c"},
        }
    )
    assert settings.service_name == "orders"
    assert settings.keep == {"errors"}
    assert settings.trust_inbound == (ip_network("10.0.0.0/8"),)
    assert settings.strict
    assert settings.resource_attributes == {"team": "a,b%20c"}


def test_an_empty_value_counts_as_not_set() -> None:
    environ = {name: " " for variable in VARIABLES for name in variable.names}
    assert vars(loaded(environ)) == vars(loaded())


def test_every_field_of_the_table_exists_and_has_an_origin() -> None:
    settings = loaded()
    assert len({variable.name for variable in VARIABLES}) == len(VARIABLES)
    for variable in VARIABLES:
        value: Any = settings
        for name in variable.field.split("."):
            value = getattr(value, name)
        assert settings.origins[variable.field].variable == variable.name


# --- values that can't be used


def test_a_wrong_value_gives_the_default_and_a_problem_that_says_how_to_mend_it() -> None:
    settings = loaded({"OTEL_DJANGO_SLOW_REQUEST_MS": "1s"})
    assert settings.slow_request_s == 1.0
    assert settings.origins["slow_request_s"].place == "default"
    problem = problem_of(settings)
    assert problem.name == "OTEL_DJANGO_SLOW_REQUEST_MS"
    assert problem.value_shown == "1s"
    assert problem.message.startswith("OTEL_DJANGO_SLOW_REQUEST_MS has the value '1s'")
    assert problem.hint == "Allowed: a number of milliseconds, 0 or more. Until then: 1000."


def test_a_wrong_value_in_the_environment_leaves_the_one_in_the_settings() -> None:
    settings = loaded({"OTEL_DJANGO_KEEP": "all"}, overrides={"KEEP": "slow"})
    assert settings.keep == {"slow"}
    assert problem_of(settings).hint.endswith("Until then: slow.")


def test_a_wrong_value_in_the_settings_is_named_as_it_is_written_there() -> None:
    settings = loaded(overrides={"N_PLUS_ONE": object()})
    assert problem_of(settings).message.startswith('settings.OTEL_DJANGO["N_PLUS_ONE"] has')
    assert problem_of(settings).value_shown == "object"


def test_a_problem_shows_no_secret_and_stays_on_one_line() -> None:
    settings = loaded(
        {
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer hush,\nhush",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://me:hush@:4318",
            "OTEL_RESOURCE_ATTRIBUTES": "db.password=hush,\nx",
            "OTEL_LOG_LEVEL": "loud\n" * 100,
        }
    )
    assert len(settings.problems) == 5
    for problem in settings.problems:
        text = f"{problem.value_shown}|{problem.message}|{problem.hint}"
        assert "hush" not in text
        assert "\n" not in text
        assert len(text) < 600


def test_one_value_that_fills_several_fields_is_one_problem() -> None:
    assert problem_of(loaded({"OTEL_ATTRIBUTE_COUNT_LIMIT": "many"}))


def test_a_value_that_contains_itself_is_a_problem() -> None:
    endless: list[object] = []
    endless.append(endless)
    assert problem_of(loaded(overrides={"KEEP": endless})).value_shown == "list"


@pytest.mark.parametrize("overrides", [["KEEP"], "KEEP", 7])
def test_settings_that_are_no_dict_are_a_problem(overrides: object) -> None:
    assert problem_of(loaded(overrides=overrides)).name == "OTEL_DJANGO"


@given(
    st.dictionaries(
        st.sampled_from(sorted({name for variable in VARIABLES for name in variable.names})),
        st.text() | st.sampled_from(["://", "http://[", "a=b", "1", "none", "~nobody/x", "\udcff"]),
    ),
    st.dictionaries(st.text() | st.integers(), st.integers() | st.text() | st.lists(st.text())),
    st.booleans(),
)
def test_no_value_whatsoever_stops_the_site(
    environ: dict[str, str], overrides: Any, debug: bool
) -> None:
    settings = load(environ, overrides, base_dir=None, debug=debug, settings_module=None)
    assert settings.spool_dir.is_absolute()
    for problem in settings.problems:
        assert problem.message.isprintable()
        assert problem.hint


# --- names nobody knows


@pytest.mark.parametrize(
    ("environ", "overrides", "meant"),
    [
        ({"OTEL_DJANGO_KEPP": "errors"}, {}, "OTEL_DJANGO_KEEP"),
        ({"OTEL_DJANGO_SLOW_REQUEST": "1"}, {}, "OTEL_DJANGO_SLOW_REQUEST_MS"),
        ({"OTEL_DJANGO_SERVICE_NAME": "x"}, {}, "OTEL_SERVICE_NAME"),
        ({}, {"NPLUSONE": 3}, "N_PLUS_ONE"),
        ({}, {"keep": "errors"}, "KEEP"),
        ({}, {"OTEL_EXPORTER_OTLP_ENDPIONT": "x"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"OTEL_EXPORTER_OTLP_ENDPIONT": "x"}, {}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"OTEL_TRACE_SAMPLER": "x"}, {}, "OTEL_TRACES_SAMPLER"),
        ({"OTEL_SERVICENAME": "x"}, {}, "OTEL_SERVICE_NAME"),
        ({"OTEL_EXPORTER_OTEL_HEADERS": "x"}, {}, "OTEL_EXPORTER_OTLP_HEADERS"),
    ],
)
def test_a_misspelt_name_gets_the_likely_one(
    environ: dict[str, str], overrides: dict[str, object], meant: str
) -> None:
    problem = problem_of(loaded(environ, overrides=overrides), "unknown_name")
    assert problem.hint == f"Did you mean {meant}?"


OTHER_NAMES = [
    "HEALTH_TTL",
    "HEALTH_URLS",
    "VIEWER",
    "READ_FROM",
    "READ_FROM_HEADERS_JAEGER",
    "ALERTS_EVALUATOR",
    "ALERT_OF_MINE",
]


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_a_name_that_is_like_no_other_is_left_alone(name: str) -> None:
    settings = loaded({f"OTEL_DJANGO_{name}": "x"}, overrides={name: "x"})
    assert [one for one in settings.problems if one.kind == "unknown_name"] == []


@pytest.mark.parametrize(
    "name",
    [
        "OTEL_EXPORTER_ZIPKIN_ENDPOINT",
        "OTEL_PYTHON_FLASK_EXCLUDED_URLS",
        "OTEL_PYTHON_TORNADO_TRACED_REQUEST_ATTRS",
        "OTEL_PYTHON_ID_GENERATOR",
        "OTEL_COLLECTOR_URL",
    ],
)
def test_standard_names_that_others_read_are_left_alone(name: str) -> None:
    settings = loaded({name: "x"})
    assert [one for one in settings.problems if one.kind == "unknown_name"] == []


# --- the service


@pytest.mark.parametrize(
    ("environ", "module", "name"),
    [
        ({}, "shop.settings", "shop"),
        ({}, "config.settings.production", "config"),
        ({}, "settings", "shop"),
        ({"OTEL_SERVICE_NAME": "orders"}, "shop.settings", "orders"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a,b=c"}, "shop.settings", "a"),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "service.name=a,b=c", "OTEL_SERVICE_NAME": "o"},
            "shop.settings",
            "o",
        ),
    ],
)
def test_the_services_name(environ: dict[str, str], module: str, name: str) -> None:
    settings = loaded(environ, settings_module=module)
    assert settings.service_name == name
    assert "service.name" not in settings.resource_attributes


def test_a_project_without_names_is_an_unknown_service() -> None:
    settings = load({}, {}, base_dir=None, debug=False, settings_module=None)
    assert settings.service_name == "unknown_service"


def test_the_name_among_the_resources_attributes_is_its_origin() -> None:
    settings = loaded({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a"})
    assert settings.origins["service_name"] == Origin("environment", "OTEL_RESOURCE_ATTRIBUTES")


# --- what is kept and sent

STORE = BASE_DIR / ".otel_django" / "store.sqlite3"


def test_under_debug_with_nothing_set_the_store_is_on() -> None:
    settings = loaded(debug=True)
    assert settings.store == STORE
    assert settings.traces_exporters == ()
    assert settings.problems == ()


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318"},
        {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://c:4318"},
        {"OTEL_TRACES_EXPORTER": "console"},
        {"OTEL_METRICS_EXPORTER": "none"},
        {"OTEL_DJANGO_STORE": "off"},
    ],
)
def test_under_debug_the_store_is_off_where_something_else_is_set(environ: dict[str, str]) -> None:
    assert loaded(environ, debug=True).store is None


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("on", STORE),
        ("var/traces.sqlite3", BASE_DIR / "var/traces.sqlite3"),
        ("/var/lib/traces.sqlite3", Path("/var/lib/traces.sqlite3")),
        ("~/traces.sqlite3", Path.home() / "traces.sqlite3"),
    ],
)
def test_the_store_can_be_put_anywhere_beside_an_exporter(value: str, path: Path) -> None:
    settings = loaded({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_DJANGO_STORE": value})
    assert settings.store == path
    assert settings.traces_exporters == ("otlp",)


def test_nothing_is_created_on_disk(tmp_path: Path) -> None:
    loaded({"OTEL_DJANGO_STORE": "on", "OTEL_DJANGO_SPOOL_DIR": "spool"}, base_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_debug_and_with_nothing_set_a_problem_says_that_nothing_is_kept() -> None:
    settings = loaded()
    assert (settings.store, settings.traces_exporters) == (None, ())
    assert (settings.metrics_exporters, settings.logs_exporters) == ((), ())
    assert "neither kept nor sent" in problem_of(settings, "nothing_kept").message


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_DJANGO_ENABLED": "false"},
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_DJANGO_STORE": "off"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"},
        {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://c:4318/v1/logs"},
        {"OTEL_METRICS_EXPORTER": "prometheus"},
        {"OTEL_DJANGO_METRICS_LISTEN": "9808"},
        {"OTEL_DJANGO_LOG_FILE": "site.log"},
    ],
)
def test_who_decided_that_nothing_is_kept_is_not_told_so(environ: dict[str, str]) -> None:
    assert loaded(environ).problems == ()


@pytest.mark.parametrize(
    ("value", "exporters"),
    [
        ("otlp", ("otlp",)),
        ("otlp,console", ("otlp", "console")),
        ("none", ()),
    ],
)
def test_exporters_are_those_that_are_named(value: str, exporters: tuple[str, ...]) -> None:
    assert loaded({"OTEL_TRACES_EXPORTER": value}).traces_exporters == exporters


def test_an_unknown_exporter_is_a_problem_and_the_known_ones_stay() -> None:
    settings = loaded({"OTEL_TRACES_EXPORTER": "jaeger,otlp"})
    assert settings.traces_exporters == ("otlp",)
    assert "'jaeger'" in problem_of(settings).message


# --- tracing


def test_times_in_milliseconds_become_seconds() -> None:
    settings = loaded({"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_BSP_EXPORT_TIMEOUT": "2500"})
    assert settings.bsp_schedule_delay_s == 0.1
    assert settings.bsp_export_timeout_s == 2.5


def test_limits_follow_the_general_one_unless_they_have_their_own() -> None:
    settings = loaded(
        {
            "OTEL_ATTRIBUTE_COUNT_LIMIT": "10",
            "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": "3",
            "OTEL_SPAN_EVENT_COUNT_LIMIT": "0",
            "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "99",
        }
    )
    assert settings.span_limits == SpanLimitSettings(
        attributes=10,
        events=0,
        links=128,
        event_attributes=10,
        link_attributes=3,
        value_length=99,
    )


@pytest.mark.parametrize(
    "sampler",
    [
        f"{prefix}{name}"
        for prefix in ("", "parentbased_")
        for name in ("always_on", "always_off", "traceidratio")
    ],
)
def test_all_samplers_of_the_specification_are_known(sampler: str) -> None:
    settings = loaded({"OTEL_TRACES_SAMPLER": sampler.upper(), "OTEL_DJANGO_STORE": "on"})
    assert settings.traces_sampler == sampler
    assert settings.problems == ()


def test_a_sampler_of_an_installed_package_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_entry_point(tmp_path, monkeypatch, "opentelemetry_traces_sampler", "dice")
    environ = {"OTEL_TRACES_SAMPLER": "dice", "OTEL_TRACES_SAMPLER_ARG": "0.5"}
    settings = loaded(environ, debug=True)
    assert (settings.traces_sampler, settings.traces_sampler_arg) == ("dice", 0.5)
    assert settings.problems == ()


def test_a_ratio_must_be_a_share() -> None:
    environ = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "10"}
    settings = loaded(environ)
    assert settings.traces_sampler_arg == 1.0
    assert "from 0 to 1" in problem_of(settings).hint


def test_a_ratio_without_a_ratio_sampler_is_a_problem() -> None:
    settings = loaded({"OTEL_TRACES_SAMPLER_ARG": "0.1"})
    assert "no effect" in problem_of(settings, "combination").message


def test_a_batch_larger_than_the_queue_is_cut_and_a_problem() -> None:
    environ = {"OTEL_BSP_MAX_QUEUE_SIZE": "10", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "20"}
    settings = loaded(environ)
    assert settings.bsp_max_export_batch_size == 10
    assert problem_of(settings, "combination").name == "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"


def test_a_small_queue_makes_small_batches() -> None:
    settings = loaded({"OTEL_BSP_MAX_QUEUE_SIZE": "10", "OTEL_DJANGO_STORE": "off"})
    assert settings.bsp_max_export_batch_size == 10
    assert settings.problems == ()


def test_propagators_are_those_that_can_be_loaded() -> None:
    assert loaded({"OTEL_PROPAGATORS": "baggage,tracecontext"}).propagators == (
        "baggage",
        "tracecontext",
    )
    assert loaded({"OTEL_PROPAGATORS": "none"}).propagators == ()
    assert loaded({"OTEL_PROPAGATORS": "semaphore"}).propagators == ("tracecontext", "baggage")


def test_a_propagator_of_an_installed_package_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_entry_point(tmp_path, monkeypatch, "opentelemetry_propagator", "semaphore")
    assert loaded({"OTEL_PROPAGATORS": "semaphore"}).propagators == ("semaphore",)


def test_urls_for_django_come_before_the_general_ones() -> None:
    environ = {"OTEL_PYTHON_EXCLUDED_URLS": "a", "OTEL_PYTHON_DJANGO_EXCLUDED_URLS": "b, ^c$"}
    assert loaded(environ).excluded_urls == ("b", "^c$")


def test_a_configuration_file_is_said_not_to_be_read_and_the_variables_count() -> None:
    settings = loaded({"OTEL_CONFIG_FILE": "otel.yaml", "OTEL_SERVICE_NAME": "shop"})
    problem = problem_of(settings, "config_file")
    assert problem.name == "OTEL_CONFIG_FILE"
    assert "isn't read" in problem.message
    assert "other OTEL_* variables" in problem.hint
    assert settings.service_name == "shop"


# --- the cost of it


def test_importing_the_settings_imports_nothing_of_opentelemetry() -> None:
    code = (
        "import sys, otel_django.conf; otel_django.conf.load({}, {}, base_dir=None, debug=True,"
        " settings_module=None); print([m for m in sys.modules if m.startswith('opentelemetry')])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert output.strip() == "[]"
