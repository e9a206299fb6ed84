"""Registered exchanges and readings by eye: they enter the register, restate what they touch and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from plant import nodes
from plant.entry_data import entry_data, plausible_entry
from plant.ports import LedgerEntry
from plant.register_statements import statements_of
from plant.series import QUARTER, QUARTER_NS, Span
from storage.ledger import SqlLedger
from tests.analytics_plant import NS, SmallPlant, meter_toml, small_plant

START = 1_780_272_000 * NS  # 00:00 UTC
HOUR_NS = 4 * QUARTER_NS
SITE = """
branch = [{ id = "tie", kind = "grid_tie", bus = "b" }, { id = "mill", kind = "feeder", bus = "b" }]
""" + "".join(meter_toml(name, unit, f'branch = "{name}", rated_power_kw = 2000') for unit, name in enumerate(("tie", "mill"), 1))
KNOWN = dict.fromkeys(("tie", "mill"), ("energy_import", "energy_export"))
KW = 800.0


def stated(kind: str, t_ns: int, kwh: float, end_ns: int | None = None, **data: object) -> LedgerEntry:
    return LedgerEntry(
        "p", kind, f"{kind}{t_ns}", "office", "mill", t_ns, end_ns or t_ns, round(kwh * 1000), "Wh", "li", data=dict(data)
    )


def taken(entry: LedgerEntry) -> LedgerEntry:
    return replace(entry, data=entry_data(entry.kind, entry.data))


def readings(hours: float) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return START + np.arange(0, int(hours * 60) + 1, dtype=np.int64) * 60 * NS


async def energy(plant: SmallPlant, node: str, field: str = "energy_import") -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    block = await plant.store.read_derived(QUARTER, [node], [field], Span(START, START + 6 * HOUR_NS))
    order = np.argsort(block.start_ns)
    found: np.ndarray[tuple[int], np.dtype[np.float64]] = block.value[order, 0]
    return found


async def versions(plant: SmallPlant) -> dict[int, int]:
    rows = await plant.store.read_derived(QUARTER, [nodes.point("mill")], ["energy_import"], Span(START, START + 6 * HOUR_NS))
    return {int(t): int(v) for t, v in zip(rows.start_ns, rows.version, strict=True)}


async def fed(plant: SmallPlant, mill_kwh: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    t_ns = readings(6)
    zero = np.zeros(len(t_ns))
    await plant.feed("tie", t_ns, energy_import=5e5 + KW * (t_ns - START) / HOUR_NS, energy_export=zero)
    known = np.isfinite(mill_kwh)
    await plant.feed("mill", t_ns[known], energy_import=mill_kwh[known], energy_export=zero[known])


async def test_a_registered_exchange_loses_and_doubles_nothing_and_restates_only_its_gap(tmp_path: Path) -> None:
    t_ns = readings(6)
    swap = START + 3 * HOUR_NS + 20 * NS  # between two readings
    hours = (t_ns - START) / HOUR_NS
    register = np.where(t_ns < swap, 90_000 + KW * hours, 12.5 + KW * (hours - (swap - START) / HOUR_NS))
    async with small_plant(tmp_path, SITE, START + 7 * HOUR_NS, KNOWN) as plant:
        await fed(plant, register)
        await plant.work()
        before, first = await energy(plant, nodes.point("mill"), "measured_share"), await versions(plant)
        assert before[12] < 1  # the minute of the exchange is in nobody's register
        last = 90_000 + KW * (swap - START) / HOUR_NS
        await plant.ledger.add([stated("meter_exchange", swap, last, first_kwh=12.5)])
        await plant.work()
        after, second = await energy(plant, nodes.point("mill")), await versions(plant)
        proven = await energy(plant, nodes.point("mill"), "measured_share")
    np.testing.assert_allclose(after, KW / 4, atol=1e-3)  # stated in whole Wh
    assert (proven == 1).all()
    touched = sorted(t for t in first if first[t] != second[t])
    assert touched == [START + 3 * HOUR_NS]


async def test_a_reading_by_eye_divides_a_gap_and_a_corrected_one_restates_it_again(tmp_path: Path) -> None:
    t_ns = readings(6)
    hours = (t_ns - START) / HOUR_NS
    # nothing for four hours, in the first of which nothing flowed
    flowed = np.where(hours < 2, hours, 1 + hours - 2 + (hours >= 2) * 0.0)
    register = np.where((hours > 1) & (hours < 5), np.nan, 1000 + KW * flowed)
    async with small_plant(tmp_path, SITE, START + 7 * HOUR_NS, KNOWN) as plant:
        await fed(plant, register)
        await plant.work()
        whole = (await energy(plant, nodes.point("mill"))).sum()
        first = await versions(plant)
        at = START + 3 * HOUR_NS
        (number,) = await plant.ledger.add([stated("meter_reading", at, 1000 + KW * 1.5)])
        await plant.work()
        divided, second = await energy(plant, nodes.point("mill")), await versions(plant)
        await plant.ledger.add([replace(stated("meter_reading", at, 1000 + KW * 2), supersedes=number, reason="misread")])
        await plant.work()
        corrected = await energy(plant, nodes.point("mill"))
    assert divided.sum() == pytest.approx(whole, abs=1e-6) and corrected.sum() == pytest.approx(whole, abs=1e-6)
    np.testing.assert_allclose(divided[4:12], KW * 0.5 / 8, rtol=1e-6)
    np.testing.assert_allclose(corrected[4:12], KW / 8, rtol=1e-6)
    touched = sorted(t for t in first if first[t] != second[t])
    assert touched == [START + i * QUARTER_NS for i in range(4, 21)]


class _Asked(SqlLedger):
    """A ledger that notes how long the spans are that statements are asked of."""

    spans_ns: ClassVar[list[int]] = []

    async def entries(self, plant: str, kinds: Sequence[str], span: Span, *, with_superseded: bool = False) -> list[LedgerEntry]:
        if "meter_reading" in kinds:
            self.spans_ns.append(span.end_ns - span.start_ns)
        return await super().entries(plant, kinds, span, with_superseded=with_superseded)


async def test_a_correction_reads_what_lies_near_it_and_finds_what_was_of_another_year(
    tmp_path: Path,
) -> None:
    kwh = 1000 + KW * (readings(6) - START) / HOUR_NS
    kwh[61:300] = np.nan
    async with small_plant(tmp_path, SITE, START, KNOWN) as plant:
        await fed(plant, kwh)
        asked = _Asked(f"sqlite:///{tmp_path / 'ledger.sqlite'}", plant.clock)
        await asked.setup()
        plant.restart(ledger=asked)
        plant.clock.t_ns = START + 8 * HOUR_NS
        at, year_ns = START + 3 * HOUR_NS, 365 * 24 * HOUR_NS
        (near,) = await plant.ledger.add([stated("meter_reading", at, 1000 + KW * 1.5)])
        await plant.work()
        await plant.ledger.add([replace(stated("meter_reading", at, 1000 + KW * 2), supersedes=near, reason="misread")])
        await plant.work()
        assert 0 < max(asked.spans_ns) < year_ns
        (far,) = await plant.ledger.add([stated("meter_reading", at - 2 * year_ns, 900.0)])
        await plant.work()
        entry = stated("meter_reading", at + QUARTER_NS, 1000 + KW * 2.25)
        await plant.ledger.add([replace(entry, supersedes=far, reason="of this year")])
        await plant.work()
        found = await energy(plant, nodes.point("mill"))
        await asked.close()
    assert max(asked.spans_ns) > 2 * year_ns
    assert found.sum() == pytest.approx(KW * 6, abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "change", "data", "word"),
    [
        ("meter_exchange", {}, {}, "data.first_kwh: found nothing"),
        ("meter_exchange", {}, {"first_kwh": "-1"}, "data.first_kwh: found '-1'"),
        ("meter_exchange", {}, {"first_kwh": "nan"}, "data.first_kwh"),
        ("meter_exchange", {}, {"first_kwh": 0, "meter": "spare"}, "mount it there first"),
        ("meter_exchange", {}, {"first_kwh": 0, "register": "sideways"}, "data.register"),
        ("meter_exchange", {"subject": "tie-9"}, {"first_kwh": 0}, "a metering point of the site: tie, mill"),
        ("meter_reading", {"end_ns": START + HOUR_NS}, {}, "a reading is of one instant"),
    ],
)
async def test_what_cannot_be_stated_is_refused(
    tmp_path: Path, kind: str, change: dict[str, object], data: dict[str, object], word: str
) -> None:
    async with small_plant(tmp_path, SITE, START, KNOWN) as plant:
        with pytest.raises(ValueError, match=word):
            plausible_entry(plant.site, taken(replace(stated(kind, START, 1.0), data=data, **change)))  # type: ignore[arg-type]
        good = stated("meter_reading", START, 1.0)
        assert plausible_entry(plant.site, taken(replace(good, data={"register": "export"}))).data == {"register": "export"}


def test_an_entry_that_was_written_past_the_checks_stops_no_computation() -> None:
    good, bad = stated("meter_exchange", START, 1.0, first_kwh=0), stated("meter_exchange", START + 1, 1.0)
    assert [s.start_ns for s in statements_of([bad, good])] == [START]


async def test_a_register_that_shows_zero_for_hours_tells_nothing_and_is_restated_when_it_is_back(tmp_path: Path) -> None:
    unrated = SITE.replace(", rated_power_kw = 2000", "")
    t_ns = readings(6)
    hours = (t_ns - START) / HOUR_NS
    register = np.where((hours > 1.5) & (hours < 4.5), 0.0, 90_000 + KW * hours)
    zero = np.zeros(len(t_ns))
    async with small_plant(tmp_path, unrated, START, KNOWN) as plant:
        told: list[np.ndarray[tuple[int], np.dtype[np.float64]]] = []
        for first in range(0, 360, 60):
            rows = slice(first, first + 60 + (first == 300))
            await plant.feed("tie", t_ns[rows], energy_import=5e5 + KW * hours[rows], energy_export=zero[rows])
            await plant.feed("mill", t_ns[rows], energy_import=register[rows], energy_export=zero[rows])
            plant.clock.t_ns = int(t_ns[rows][-1]) + 5 * 60 * NS
            await plant.work()
            told.append(await energy(plant, nodes.point("mill")))
        plant.clock.t_ns = START + 7 * HOUR_NS
        await plant.work()
        found = await energy(plant, nodes.point("mill"))
    assert np.isnan(told[2][8:12]).all() and np.isnan(told[3][8:16]).all()
    np.testing.assert_allclose(found, KW / 4, rtol=1e-6)
