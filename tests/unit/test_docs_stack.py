"""The stack without containers, as docs/how-to/run-the-whole-stack.md starts it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "run-the-whole-stack.md").read_text(encoding="utf-8")
PROGRAMS = ("jaeger", "loki", "prometheus", "otelcol-contrib")
DEFAULT = re.compile(r"\$\{(?:env:)?(\w+):-([^}]*)\}")


def command_of(program: str) -> tuple[dict[str, str], list[str]]:
    """Its environment and its arguments."""
    section = PAGE.partition("\n## Without containers\n")[2].partition("\n## ")[0]
    lines = section.replace("\\\n", " ").splitlines()
    [words] = [
        line.split()[1:] for line in lines if line.startswith("$ ") and f" {program} " in line
    ]
    at = words.index(program)
    return dict(word.split("=", 1) for word in words[:at]), words[at + 1 :]


def configuration_of(program: str) -> str:
    """The text of the file that it is given."""
    [file] = [
        word.partition("=")[2] for word in command_of(program)[1] if "config.file=" in word
    ] or [word.partition("=")[2] for word in command_of(program)[1] if "--config=" in word]
    return (ROOT / file).read_text(encoding="utf-8")


def values_of(program: str) -> dict[str, str]:
    """What the file takes from the environment: as given, else its defaults."""
    return dict(DEFAULT.findall(configuration_of(program))) | command_of(program)[0]


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_variable_is_one_that_the_file_asks_for(program: str) -> None:
    given = command_of(program)[0].keys() - {"OTEL_TRACES_SAMPLER"}
    assert given <= dict(DEFAULT.findall(configuration_of(program))).keys()


def test_no_two_programs_listen_at_the_same_port() -> None:
    ports = [
        value
        for program in PROGRAMS
        for name, value in values_of(program).items()
        if name.endswith("_PORT")
    ]
    assert len(ports) > 10
    [address] = [word for word in command_of("prometheus")[1] if "listen-address" in word]
    ports.append(address.rpartition(":")[2])
    assert sorted(set(ports)) == sorted(ports)


def test_the_collector_sends_to_where_the_others_listen() -> None:
    collector, jaeger, loki = map(values_of, ("otelcol-contrib", "jaeger", "loki"))
    assert collector["JAEGER_OTLP_ENDPOINT"] == f"127.0.0.1:{jaeger['JAEGER_OTLP_GRPC_PORT']}"
    assert collector["LOKI_OTLP_ENDPOINT"] == f"http://127.0.0.1:{loki['LOKI_PORT']}/otlp"
    assert collector["PROMETHEUS_OTLP_ENDPOINT"] == "http://127.0.0.1:9090/api/v1/otlp"
    assert "--web.listen-address=127.0.0.1:9090" in command_of("prometheus")[1]
