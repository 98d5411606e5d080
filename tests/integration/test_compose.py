"""The compose file, read by the loader that Docker's own program uses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from otel_django.conf.variables import VARIABLES
from tests.integration.foreign_programs import go_program
from tests.server_process import ROOT

PATH = os.environ["PATH"]
PROFILES = ("minimal", "full", "ha")
APPLICATION = {"web", "worker", "beat", "monitoring"}
ONCE = {"prepare", "folders"}
"""They make something ready and end."""
WITHOUT_A_SHELL = {"collector"}
"""Nothing in the image could ask whether it is healthy."""
NOT_ROOT_BY_IMAGE = {
    "prepare",
    *APPLICATION,
    "redis-exporter",
    "postgres-exporter",
    "prometheus",
    "prometheus-a",
    "prometheus-b",
    "prometheus-store",
    "alertmanager",
    "grafana",
}
AS_ROOT = {"folders"}
"""Only to give folders away."""
PORTS = {
    "web": "8000",
    "worker": "9808",
    "prometheus": "9090",
    "prometheus-store": "9090",
    "grafana": "3001",
    "redis": "6379",
    "redis-exporter": "9121",
    "postgres-exporter": "9187",
}

Services = dict[str, dict[str, Any]]


def loaded(
    env: str, folder: Path, profile: str, *further: Path
) -> subprocess.CompletedProcess[str]:
    file = folder / f"{profile}.env"
    file.write_text(env)
    files = [ROOT / "docker-compose.yml", *further, file]
    command = [str(go_program("compose_go")), *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def environment(profile: str) -> str:
    make_env = [sys.executable, str(ROOT / "examples/shop/make_env.py"), profile]
    return subprocess.run(make_env, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module", params=PROFILES)
def profile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def services(profile: str, tmp_path_factory: pytest.TempPathFactory) -> Services:
    done = loaded(environment(profile), tmp_path_factory.mktemp("compose"), profile)
    assert done.returncode == 0, done.stderr
    found: Services = json.loads(done.stdout)["services"]
    return found


def test_every_mounted_file_is_there(services: Services) -> None:
    for name, service in services.items():
        for volume in service.get("volumes", []):
            if volume["type"] == "bind":
                assert Path(volume["source"]).exists(), (name, volume["source"])
                assert volume["read_only"], (name, volume["target"])


def test_every_variable_of_the_application_is_known(services: Services) -> None:
    known = {name for variable in VARIABLES for name in variable.names}
    assert services.keys() >= APPLICATION
    for name in APPLICATION:
        given = {each for each in services[name]["environment"] if each.startswith("OTEL_")}
        assert given <= known, name


def test_ports_are_published_on_the_loopback_only_and_are_those_promised(
    services: Services,
) -> None:
    published = {
        name: port["published"]
        for name, service in services.items()
        for port in service.get("ports", [])
        if port["host_ip"] == "127.0.0.1"
    }
    wanted = {name: port for name, port in PORTS.items() if name in services}
    assert published.items() >= wanted.items()
    everywhere = [
        name
        for name, service in services.items()
        for port in service.get("ports", [])
        if port.get("host_ip") != "127.0.0.1"
    ]
    assert everywhere == []
    assert "ports" not in services["postgres"]


def test_each_service_is_limited_hardened_and_asked_for_its_health(services: Services) -> None:
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert re.search(r":v?\d|:local$", service["image"]), name  # pinned
        if name not in ONCE:
            assert int(service["mem_limit"]) > 0, name
            assert service["restart"] == "unless-stopped", name
        assert ("healthcheck" in service) == (name not in ONCE | WITHOUT_A_SHELL), name


def test_nothing_runs_as_root(services: Services) -> None:
    by_user = {name for name, service in services.items() if service.get("user")}
    assert services.keys() - by_user - NOT_ROOT_BY_IMAGE - AS_ROOT == set()


def test_one_evaluator_tells(services: Services, profile: str) -> None:
    wanted = "embedded" if profile == "minimal" else "prometheus"
    for name in APPLICATION:
        assert services[name]["environment"]["OTEL_DJANGO_ALERTS_EVALUATOR"] == wanted
    assert ("alertmanager" in services) == (wanted == "prometheus")


def test_no_password_has_a_default(tmp_path: Path) -> None:
    env = environment("full").splitlines()
    for line in env[1:]:
        name = line.partition("=")[0]
        without = "\n".join(each for each in env if each != line)
        done = loaded(without, tmp_path, "full")
        assert done.returncode == 1, name
        assert name in done.stderr
    assert len({line.partition("=")[2] for line in env}) == len(env)


def test_no_file_is_written_into_what_is_read_only(services: Services) -> None:
    """Docker refuses to start it: secrets and configs that come from no file are copied in."""
    for name, service in services.items():
        assert not service.get("secrets"), name
        assert not service.get("configs"), name


def test_who_reads_the_token_from_a_file_has_it_before_it_starts(services: Services) -> None:
    readers = {name for name, each in services.items() if mounted(each, "tokens", "/run/secrets")}
    assert readers == {name for name in services if name.startswith(("prometheus", "alertm"))}
    for name in readers:
        assert services[name]["user"] == "65534:65534"
        needed = services[name]["depends_on"]["folders"]
        assert needed["condition"] == "service_completed_successfully"


def test_the_token_is_written_for_those_who_read_it_alone(tmp_path: Path) -> None:
    services = json.loads(loaded(environment("full"), tmp_path, "full").stdout)["services"]
    [*shell, script] = services["folders"]["command"]
    script = script.replace("$$", "$").replace(" /", f" {tmp_path}/")
    owned = re.compile(r"^chown .*$", re.MULTILINE)  # this test's user mayn't give files away
    assert "chown 65534:65534 /tokens/site_token" in owned.findall(
        script.replace(str(tmp_path), "")
    )
    (tmp_path / "tokens").mkdir()
    for tokens in ("first,second", "third"):  # twice: it is there the second time
        command = [*shell, owned.sub("", script)]
        subprocess.run(command, check=True, env={"OTEL_DJANGO_TOKENS": tokens, "PATH": PATH})
        file = tmp_path / "tokens/site_token"
        assert file.stat().st_mode & 0o777 == 0o400
        assert file.read_text() == tokens.partition(",")[0]


def mounted(service: dict[str, Any], volume: str, target: str) -> bool:
    return any(
        (each["source"], each["target"]) == (volume, target) and each.get("read_only")
        for each in service.get("volumes", [])
        if each["type"] == "volume"
    )


def test_the_documented_override_gives_the_collector_a_vendors_file(tmp_path: Path) -> None:
    page = (ROOT / "docs/how-to/send-to-a-vendor.md").read_text()
    [text] = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    override = tmp_path / "docker-compose.override.yml"
    override.write_text(text)
    done = loaded(environment("full"), tmp_path, "full", override)
    assert done.returncode == 1
    assert "HONEYCOMB_API_KEY" in done.stderr
    done = loaded(environment("full") + "HONEYCOMB_API_KEY=key\n", tmp_path, "full", override)
    assert done.returncode == 0, done.stderr
    collector = json.loads(done.stdout)["services"]["collector"]
    files = [option.partition("--config=")[2] for option in collector["command"]]
    assert len(files) == 3
    mounts = {each["target"]: each["source"] for each in collector["volumes"]}
    for file in files:
        [(target, source)] = [each for each in mounts.items() if file.startswith(each[0])]
        assert Path(source + file.removeprefix(target)).is_file(), file


def test_the_image_copies_what_is_there_and_leaves_root() -> None:
    lines = (ROOT / "examples/shop/Dockerfile").read_text().splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--" not in line]
    assert copied
    for each in [path for paths in copied for path in paths]:
        assert (ROOT / each).exists(), each
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    for each in [path for paths in copied for path in paths]:
        assert any(f"!{each}".startswith(line) for line in kept if line.startswith("!")), each
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001:10001"]


def test_the_passwords_are_for_their_owner_alone(tmp_path: Path) -> None:
    with (tmp_path / ".env").open("w") as file:
        (tmp_path / ".env").chmod(0o644)
        subprocess.run(
            [sys.executable, str(ROOT / "examples/shop/make_env.py")], stdout=file, check=True
        )
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_an_unknown_profile_makes_no_secrets() -> None:
    command = [sys.executable, str(ROOT / "examples/shop/make_env.py"), "everything"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]}
    )
    assert done.returncode == 1
    assert "full, minimal, ha" in done.stderr
    assert done.stdout == ""
