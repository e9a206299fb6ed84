"""An embedded store whose files were damaged is refused in words that say so, and is left as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from plant.errors import StoreMisconfigured
from storage.duck import Database

KILLED = "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]); c.execute('create table t as select 1 as a'); os._exit(0)"


def refused(path: Path) -> str:
    before = {found.name: found.read_bytes() for found in path.parent.iterdir()}
    with pytest.raises(StoreMisconfigured) as raised:
        Database(path).open()
    assert {found.name: found.read_bytes() for found in path.parent.iterdir()} == before
    return str(raised.value)


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", ["cut", "header", "block", "wal"])
def test_a_damaged_file_is_called_damaged(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "series.duckdb"
    if damage == "wal":
        subprocess.run([sys.executable, "-c", KILLED, str(path)], check=True)
        flip(path.with_name("series.duckdb.wal"), -3)
    else:
        with duckdb.connect(str(path)) as connection:
            connection.execute("create table t as select range a from range(100000)")
        if damage == "cut":
            os.truncate(path, path.stat().st_size // 2)
        else:
            flip(path, {"header": 4100, "block": 12_300}[damage])
    told = refused(path)
    assert "is a damaged file" in told
    assert "potwatt restore" in told
    assert "another process" not in told
