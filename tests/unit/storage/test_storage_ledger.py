"""The ledger's connection: settings of SQLite, addresses, refusals; no password in any text."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from real_servers import free_port

from plant.errors import StoreMisconfigured, StoreRejected, StoreUnavailable
from storage.ledger import SqlLedger
from storage.ledger_engine import LedgerEngine


class FixedClock:
    def now_ns(self) -> int:
        return 1_790_000_000_000_000_000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def test_sqlite_commits_to_disk_and_minds_foreign_keys(tmp_path: Path) -> None:
    engine = LedgerEngine(f"sqlite:///{tmp_path}/l.sqlite")

    def pragma(name: str) -> object:
        return engine.read(lambda c: c.exec_driver_sql(f"PRAGMA {name}").scalar())

    assert [await pragma(name) for name in ("journal_mode", "synchronous", "foreign_keys")] == ["wal", 2, 1]
    await engine.close()


async def test_a_transaction_that_raises_is_undone(tmp_path: Path) -> None:
    ledger = SqlLedger(f"sqlite:///{tmp_path}/l.sqlite", FixedClock())
    await ledger.setup()
    await ledger.put_state("p", "a", {"n": 1})

    def work(connection: object) -> None:
        connection.exec_driver_sql("DELETE FROM ledger_state")  # type: ignore[attr-defined]
        raise ValueError("changed my mind")

    with pytest.raises(ValueError, match="changed my mind"):
        await ledger._engine.write(work)
    assert await ledger.get_state("p", "a") == {"n": 1}
    await ledger.close()


@pytest.mark.parametrize("url", ["", "ledger.sqlite", "mysql://u:hush@h/d", "postgresql//u:hush@h", "redis://hush"])
def test_an_address_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(StoreMisconfigured, match=r"plant\.ledger_url is not an address") as caught:
        SqlLedger(url, FixedClock())
    assert "hush" not in str(caught.value)


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    ledger = SqlLedger(f"sqlite:///{tmp_path}/nowhere/l.sqlite", FixedClock())
    with pytest.raises(StoreMisconfigured, match=r"nowhere/l\.sqlite: unable to open database file"):
        await ledger.setup()
    await ledger.close()


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "l.sqlite").write_text("shift book\n" * 500)
    ledger = SqlLedger(f"sqlite:///{tmp_path}/l.sqlite", FixedClock())
    with pytest.raises(StoreMisconfigured, match="not a database"):
        await ledger.setup()
    await ledger.close()


async def test_a_locked_file_is_unavailable_for_now(tmp_path: Path) -> None:
    engine = LedgerEngine(f"sqlite:///{tmp_path}/l.sqlite", timeout_s=0.1)
    await engine.write(lambda c: c.exec_driver_sql("CREATE TABLE t (x)"))
    other = sqlite3.connect(tmp_path / "l.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match=r"locked.*trying again"):
        await engine.write(lambda c: c.exec_driver_sql("INSERT INTO t VALUES (1)"))
    assert await engine.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM t").scalar()) == 0
    other.close()
    await engine.write(lambda c: c.exec_driver_sql("INSERT INTO t VALUES (1)"))
    await engine.close()


async def test_rows_that_no_database_can_hold_are_refused_and_not_tried_again(tmp_path: Path) -> None:
    engine = LedgerEngine(f"sqlite:///{tmp_path}/l.sqlite")
    await engine.write(lambda c: c.exec_driver_sql("CREATE TABLE t (x NOT NULL)"))
    with pytest.raises(StoreRejected, match="can never be kept") as caught:
        await engine.write(lambda c: c.exec_driver_sql("INSERT INTO t VALUES (NULL)"))
    assert not caught.value.transient
    with pytest.raises(StoreMisconfigured, match="no such table"):
        await engine.read(lambda c: c.exec_driver_sql("SELECT * FROM nowhere"))
    await engine.close()


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    ledger = SqlLedger(f"sqlite:///{tmp_path}/l.sqlite", FixedClock())
    await ledger.setup()
    with sqlite3.connect(tmp_path / "l.sqlite") as file:
        file.execute("UPDATE ledger_about SET value = 99 WHERE name = 'schema_version'")
    with pytest.raises(StoreMisconfigured, match="schema version 99, this potwatt knows 1"):
        await ledger.setup()
    await ledger.close()


async def test_a_postgresql_that_is_away_is_unavailable_and_its_password_hidden() -> None:
    ledger = SqlLedger(f"postgresql://potwatt:hush@127.0.0.1:{free_port()}/potwatt", FixedClock())
    with pytest.raises(StoreUnavailable, match="potwatt:\\*\\*\\*@127") as caught:
        await ledger.setup()
    assert "hush" not in str(caught.value)
    await ledger.close()


async def test_a_postgresql_without_that_database_is_misconfigured(postgresql_server: str) -> None:
    ledger = SqlLedger(f"{postgresql_server}/nowhere", FixedClock())
    with pytest.raises(StoreMisconfigured, match=r'"nowhere" does not exist; check plant\.ledger_url'):
        await ledger.setup()
    await ledger.close()
