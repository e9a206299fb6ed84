"""The deployment files fit each other, the dashboards and the house rule that nothing listens beyond loopback."""

from __future__ import annotations

import configparser
import subprocess
from pathlib import Path
from string import Template

import pytest
import yaml

from dashboards.publish import data_sources
from dashboards.statements import DATABASE_SUFFIX
from plant.config import parse_site

DEPLOY = Path(__file__).parents[3] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))


def test_provisioned_data_sources_are_those_that_publishing_makes():
    site = parse_site(
        """
        [plant]
        id = "works"
        name = { en = "Works" }
        [[bus]]
        id = "b"
        [store]
        kind = "influxdb"
        database = "db"
        username = "grafana"
        password_env = "P"
        """,
        "site.toml",
    )
    text = (DEPLOY / "grafana/datasources/potwatt.yaml").read_text("utf-8")
    values = {
        "POTWATT_PLANT": "works",
        "POTWATT_DATABASE": "db",
        "POTWATT_READER_USER": "grafana",
        "POTWATT_READER_PASSWORD": "pw",
    }
    provisioned = yaml.safe_load(Template(text).substitute(values))["datasources"]
    published = data_sources(site, {"P": "pw"})
    for key in ("name", "uid", "type", "access", "url", "user", "jsonData", "secureJsonData"):
        assert [source[key] for source in provisioned] == [source[key] for source in published]


def test_nothing_listens_beyond_loopback():
    services = COMPOSE["services"]
    assert all(service["network_mode"] == "host" and "ports" not in service for service in services.values())
    assert services["influxdb"]["environment"]["INFLUXDB_HTTP_BIND_ADDRESS"].startswith("127.0.0.1:")
    assert services["influxdb"]["environment"]["INFLUXDB_BIND_ADDRESS"].startswith("127.0.0.1:")
    assert services["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
    listeners = [line for line in (DEPLOY / "mosquitto.conf").read_text("utf-8").splitlines() if line.startswith("listener")]
    assert listeners == ["listener 1883 127.0.0.1"]


def test_files_that_the_services_mount_are_there_or_are_the_plants_own():
    own = {"site", "passwords", "dashboards-json"}
    for service in COMPOSE["services"].values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (DEPLOY / source).exists() or source.removeprefix("./") in own, source
            else:
                assert source in COMPOSE["volumes"]


def test_each_service_has_its_own_secrets_and_grafana_may_only_read():
    grafana, potwatt = COMPOSE["services"]["grafana"], COMPOSE["services"]["potwatt"]
    assert not set(grafana["env_file"]) & set(potwatt["env_file"])
    assert not [key for key in grafana["environment"] if "PASSWORD" in key]
    reader = grafana["environment"]["POTWATT_READER_USER"]
    assert reader != COMPOSE["services"]["influxdb"]["environment"]["INFLUXDB_ADMIN_USER"]
    recipe = (DEPLOY.parent / "docs/operations.md").read_text("utf-8")
    grants = [line for line in recipe.splitlines() if line.startswith("GRANT")]
    assert grants == [f'GRANT READ ON "potwatt{suffix}" TO "{reader}"' for suffix in DATABASE_SUFFIX.values()]


def test_the_build_takes_the_tools_of_the_lock():
    build = [line for line in (DEPLOY / "Dockerfile").read_text("utf-8").splitlines() if "pip install" in line]
    assert all("--require-hashes" in line or "--no-build-isolation" in line for line in build)


def test_images_are_pinned_and_no_secret_is_written_down():
    for name, service in COMPOSE["services"].items():
        assert ":" in service["image"] or "build" in service, name
        for key, value in service.get("environment", {}).items():
            assert "PASSWORD" not in key or value.startswith("${"), key


@pytest.mark.parametrize("key", ["NoNewPrivileges", "ProtectSystem", "PrivateTmp", "PrivateDevices", "SystemCallFilter"])
def test_the_unit_is_hardened_and_checks_the_site_before_it_starts(key):
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(DEPLOY / "potwatt.service", "utf-8")
    service = unit["Service"]
    assert key in service
    assert service["ExecStartPre"].split()[1:] == ["check", "/etc/potwatt/site.toml"]
    assert service["ExecStart"].split()[1:] == ["run", "/etc/potwatt/site.toml"]


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", 1)])
def test_servers_that_cannot_be_installed_are_missed_with_a_word_and_fail_under_ci_alone(
    tmp_path: Path, ci: str, code: int
) -> None:
    for name, text in {"id": "echo 0", "apt-get": "exit 100", "ls": "exit 1"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    script = DEPLOY.parent / "tests" / "servers.sh"
    done = subprocess.run(["/bin/sh", script], env={"PATH": str(tmp_path), "CI": ci}, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "some tests will skip" in done.stdout
