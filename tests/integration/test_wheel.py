"""The wheel, in an environment of its own, run from another folder: nothing depends on the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("wheel")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out, source = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("source") / "potwatt"
    # from a copy: setuptools looks at every file of the folder, and other tests make and remove some meanwhile
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info"))
    # no build isolation: setuptools is in the lock, and the build needs no network then
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    built = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    return next(out.glob("potwatt-*.whl"))


def test_wheel_carries_package_data_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for expected in ("plant/rules/tariff.toml", "api/web/index.html", "potwatt/site_template.toml"):
        assert expected in names
    assert sum(name.startswith("devices/profiles/") and name.endswith(".toml") for name in names) >= 8
    assert not [name for name in names if name.startswith(("tests/", "docs/", "benchmarks/"))]


def test_wheel_runs_in_an_empty_environment_from_the_root_folder(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True, timeout=120)
    packages = next((tmp_path / "env" / "lib").glob("python3*")) / "site-packages"
    zipfile.ZipFile(wheel).extractall(packages)
    # the locked dependencies come from the environment of the tests, the project itself only from the wheel
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    python = str(tmp_path / "env" / "bin" / "python")
    where = "import plant, api, sys; print(plant.__file__); print(api.__file__)"
    found = subprocess.run(
        [python, "-c", where], cwd="/", env=environment, check=True, capture_output=True, text=True, timeout=60
    )
    assert all(line.startswith(str(packages)) for line in found.stdout.splitlines()), found.stdout

    def potwatt(*arguments: str) -> subprocess.CompletedProcess[str]:
        code = "from potwatt.cli import main; main()"
        return subprocess.run(
            [python, "-c", code, *arguments], cwd="/", env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    site = tmp_path / "site.toml"
    assert potwatt("init", str(site)).returncode == 0
    checked = potwatt("check", str(site))
    assert checked.returncode == 0, checked.stderr
    assert "is right" in checked.stdout
    assert potwatt("devices").returncode == 0
