"""The import rule and the purity of the core, read from the source itself."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from collector.modbus_frames import FUNCTION_OF

ROOT = Path(__file__).parents[3]
PURE = ["plant", "devices", "analytics"]
SHELL_IN_PURE = {"analytics/service.py"}
MAY_READ_PACKAGE_DATA = {"devices/catalog.py", "plant/rulebook.py"}
FORBIDDEN = {
    "asyncio", "socket", "time", "logging", "os", "pathlib", "subprocess", "threading", "structlog", "pymodbus", "aiomqtt",
    "paho", "mqtt5", "influxdb_client", "aiohttp", "httpx", "requests", "duckdb", "sqlalchemy", "fastapi", "uvicorn", "apprise",
}  # fmt: skip
ONE_FILE_EACH = {
    "pymodbus": {"simulators/modbus_server.py"},
    "serial": {"collector/wire.py"},
    "aiomqtt": {"collector/mqtt311_compat.py", "simulators/mqtt_publisher.py"},
    "mqtt5": {"collector/mqtt5_fast.py"},
    "influxdb_client": {"storage/influx_http.py"},
    "duckdb": {"storage/duck.py"},
    "sqlalchemy": {"storage/ledger.py", "storage/ledger_engine.py", "storage/ledger_tables.py"},
    "apprise": {"alerts/notify.py"},
    "grafana_client": {"dashboards/publish.py"},
    "amqtt": {"simulators/broker.py"},
    "google": {"devices/sparkplug_wire.py"},  # protobuf
    "dask": {"potwatt/partitions.py"},
}
PACKAGES = ["plant", "devices", "storage", "collector", "analytics", "alerts", "api", "dashboards", "simulators", "potwatt"]


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", PURE)
def test_pure_packages_import_no_shell(package: str) -> None:
    looked_at = 0
    for path in modules(package):
        name = path.relative_to(ROOT).as_posix()
        if name in SHELL_IN_PURE:
            continue
        looked_at += 1
        roots = {module.partition(".")[0] for module in imported(path)}
        assert not roots & FORBIDDEN, f"{name} imports {sorted(roots & FORBIDDEN)}"
        if name not in MAY_READ_PACKAGE_DATA:
            assert "importlib" not in roots, f"{name} reads package data"
    assert looked_at >= 5, "the folder moved: nothing was looked at"


def test_alert_engine_is_pure() -> None:
    roots = {module.partition(".")[0] for module in imported(ROOT / "alerts/engine.py")}
    assert not roots & FORBIDDEN


@pytest.mark.parametrize(("library", "allowed"), ONE_FILE_EACH.items())
def test_each_client_library_stands_behind_one_file(library: str, allowed: set[str]) -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in modules(package)
        if library in {module.partition(".")[0] for module in imported(path)}
    }
    assert users, f"{library} is a dependency that nothing imports"
    assert users <= allowed


def test_the_collector_knows_the_read_functions_of_modbus_alone() -> None:
    """The one place that puts a function code on the wire takes it from this table; the only other bytes sent are none."""
    assert FUNCTION_OF == {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
    senders = {path.name for path in modules("collector") if "FUNCTION_OF" in path.read_text("utf-8")}
    assert senders == {"modbus_frames.py"}
    text = (ROOT / "collector/modbus_frames.py").read_text("utf-8")
    assert text.count(".pack(") == 2, "one request a framing, each with a function of the table"
    assert text.count("FUNCTION_OF[request.table]") == 2
    line = (ROOT / "collector/modbus_line.py").read_text("utf-8")
    assert line.count(".write(") == line.count("write(self._framing.ask(station.unit, request))") == 1


def test_every_public_name_of_the_pure_packages_has_a_docstring() -> None:
    bare: list[str] = []
    seen = 0
    for package in ("plant", "devices", "analytics"):
        for path in modules(package):
            for node in ast.parse(path.read_text("utf-8")).body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                    seen += 1
                    if ast.get_docstring(node) is None:
                        bare.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert seen > 100
    assert not bare, "\n".join(bare)
