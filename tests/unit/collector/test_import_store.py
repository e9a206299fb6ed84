"""Imports into a running plant: what is new is written, what it touches is computed again, what is stored stays."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path

import pytest
from collector_blocks import SteppedClock

from collector.import_store import Imported, import_file
from plant.config import parse_site
from plant.errors import InputError
from plant.frame import FrameBlock
from plant.ports import SpoolCursor, Written
from plant.series import QUARTER_NS, Span
from storage.ledger import SqlLedger
from storage.memory import MemoryStore

ALWAYS = Span(0, 2**62)
START_NS = round(datetime.fromisoformat("2024-01-01T00:00Z").timestamp()) * 10**9
NOW_NS = START_NS + 30 * 86_400 * 10**9
SITE = parse_site(
    """
    [plant]
    id = "works"
    name = { en = "Works" }
    [[bus]]
    id = "main"
    voltage_kv = 10
    [[endpoint]]
    id = "files"
    protocol = "import"
    [[meter]]
    id = "m1"
    profile = "imported"
    endpoint = "files"
    [[branch]]
    id = "grid"
    kind = "grid_tie"
    bus = "main"
    [[point]]
    id = "tie"
    branch = "grid"
    mounting = [{ meter = "m1" }]
    """,
    "site.toml",
)
TIME = '[time]\ncolumn = "time"\nformats = ["%Y-%m-%d %H:%M"]\nzone = "UTC"\nstamp = "start"\ninterval_s = {}\n'
COLUMN = '[[column]]\nname = "{}"\nmeter = "m1"\nquantity = "interval_energy_{}"\nunit = "kWh"\n'
IMPORT, EXPORT = COLUMN.format("in", "import"), COLUMN.format("out", "export")


class Plant:
    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, MemoryStore("works")
        self.ledger = SqlLedger(f"sqlite:///{folder}/ledger.sqlite", SteppedClock(NOW_NS))

    async def take(self, table: str | bytes, columns: str = IMPORT, interval_s: int = 900, file: str = "") -> Imported:
        path, mapping = self.folder / "table.csv", self.folder / "map.toml"
        path.write_bytes(table.encode() if isinstance(table, str) else table)
        mapping.write_text(file + TIME.format(interval_s) + columns)
        imported, _ = await import_file(path, mapping, SITE, store=self.store, ledger=self.ledger, now_ns=NOW_NS)
        return imported

    async def values(self, quantity: str) -> list[float]:
        return (await self.store.read("m1", f"interval_energy_{quantity}", ALWAYS)).value.tolist()

    async def dirty(self) -> list[int]:
        """Slots of the tie to be computed anew, counted from the first of January."""
        found = await self.ledger.dirty("works", 10_000)
        assert {slot.node for slot in found} <= {"point:tie"}
        return [(slot.slot_ns - START_NS) // QUARTER_NS for slot in found]


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[Plant]:
    made = Plant(tmp_path)
    await made.ledger.setup()
    yield made
    await made.ledger.close()


async def test_a_column_added_to_the_mapping_later_is_stored(plant: Plant) -> None:
    table = "time,in,out\n2024-01-01 00:00,1,5\n2024-01-01 00:15,2,6\n"
    await plant.take(table)
    again = await plant.take(table, IMPORT + EXPORT)
    assert again.written == Written(2, 2, 0)
    assert await plant.values("export") == [5.0, 6.0]
    assert (await plant.take(table, IMPORT + EXPORT)).written == Written(0, 4, 0)


async def test_a_cell_that_could_not_be_read_is_filled_by_a_mended_file(plant: Plant) -> None:
    await plant.take("time,in\n2024-01-01 00:00,1\n2024-01-01 00:15,?\n2024-01-01 00:30,\n")
    assert await plant.values("import") == [1.0]
    mended = await plant.take("time,in\n2024-01-01 00:00,1\n2024-01-01 00:15,2\n2024-01-01 00:30,3\n")
    assert mended.written == Written(2, 1, 0)
    assert await plant.values("import") == [1.0, 2.0, 3.0]


async def test_another_value_for_a_stored_instant_is_counted_and_not_written(plant: Plant) -> None:
    await plant.take("time,in\n2024-01-01 00:00,1\n")
    assert (await plant.take("time,in\n2024-01-01 00:00,9\n")).written == Written(0, 0, 1)
    assert await plant.values("import") == [1.0]


async def test_every_slot_of_an_interval_and_its_neighbours_are_computed_anew(plant: Plant) -> None:
    await plant.take("time,in\n2024-01-01 01:00,100\n", interval_s=3600)
    assert await plant.dirty() == [3, 4, 5, 6, 7, 8]


async def test_what_was_computed_while_the_values_were_written_is_marked_again(plant: Plant) -> None:
    class Slow(MemoryStore):
        async def write(self, blocks: Sequence[FrameBlock], sink_cursor: SpoolCursor | None = None) -> Written:
            assert await plant.dirty() == [-1, 0, 1], "being killed here costs a computation, no more"
            await plant.ledger.clear_dirty_span("works", ALWAYS, 2**62)
            return await super().write(blocks, sink_cursor)

    plant.store = Slow("works")
    await plant.take("time,in\n2024-01-01 00:00,1\n")
    assert await plant.dirty() == [-1, 0, 1]
    await plant.ledger.clear_dirty_span("works", ALWAYS, 2**62)
    await plant.take("time,in\n2024-01-01 00:00,1\n")
    assert await plant.dirty() == [], "nothing new"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8"])
async def test_a_wrong_encoding_is_told(plant: Plant, encoding: str) -> None:
    with pytest.raises(InputError, match=rf"table.csv: .*{encoding}.*set file.encoding"):
        await plant.take("time,电\n".encode("gb18030"), file=f'[file]\nencoding = "{encoding}"\n')
