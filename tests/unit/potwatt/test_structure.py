"""The import rule and the purity of the core, read from the source itself."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PURE = ["plant", "devices", "analytics"]
SHELL_IN_PURE = {"analytics/service.py"}
MAY_READ_PACKAGE_DATA = {"devices/catalog.py", "plant/rulebook.py"}
FORBIDDEN = {
    "asyncio", "socket", "time", "logging", "os", "pathlib", "subprocess", "threading", "structlog", "pymodbus", "aiomqtt",
    "paho", "mqtt5", "influxdb_client", "aiohttp", "httpx", "requests", "duckdb", "sqlalchemy", "fastapi", "uvicorn", "apprise",
}  # fmt: skip
ONE_FILE_EACH = {
    "pymodbus": {"collector/modbus.py", "simulators/modbus_server.py"},
    "aiomqtt": {"collector/mqtt311_compat.py", "simulators/mqtt_publisher.py"},
    "mqtt5": {"collector/mqtt5_fast.py"},
    "influxdb_client": {"storage/influx_http.py"},
    "duckdb": {"storage/duck.py"},
    "sqlalchemy": {"storage/ledger.py", "storage/ledger_engine.py", "storage/ledger_tables.py"},
    "apprise": {"alerts/notify.py"},
    "grafana_client": {"dashboards/publish.py"},
    "amqtt": {"simulators/broker.py"},
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


def test_collector_has_no_modbus_write_code() -> None:
    text = (ROOT / "collector/modbus.py").read_text("utf-8")
    assert "read_holding_registers" in text or "ReadHoldingRegisters" in text
    for word in ("write_coil", "write_register", "write_registers", "WriteSingle", "WriteMultiple", "mask_write", "readwrite_"):
        assert word not in text


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
