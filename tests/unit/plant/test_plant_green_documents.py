"""Certificates with numbers, contract energy, statements: what is refused before it is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from analytics_plant import SteppedClock
from green_rows import START_NS, contract_entry, site_of

from plant.certificates import certificate_data, read_certificate, serials_fault, serials_taken
from plant.contract_energy import bought_data, quarters_fault
from plant.errors import ConfigError, InputError
from plant.ports import LedgerEntry
from plant.series import QUARTER_NS, Span
from potwatt.ledger_csv import parse_entries
from storage.ledger import SqlLedger


def batch(number: int, first: int, last: int, status: str = "valid", supersedes: int | None = None, **more: Any) -> LedgerEntry:
    data = {"type": "bought", "status": status, "serial_from": f"GEC-2026/{first:06}", "serial_to": f"GEC-2026/{last:06}"}
    key, mwh, more = f"b{number}", last - first + 1, data | more
    return LedgerEntry(
        "p",
        "certificate",
        key,
        "gec",
        "plant",
        0,
        0,
        mwh,
        "MWh",
        "li",
        key,
        data=data | more,
        supersedes=supersedes,
        id=number,
    )


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ({"serial_from": "A1"}, "come together"),
        ({"serial_from": "A9", "serial_to": "A3"}, "comes before"),
        ({"serial_from": "A1", "serial_to": "B3"}, "different series"),
        ({"serial_from": "none", "serial_to": "A3"}, "data.serial_from"),
        ({"type": "self_use", "status": "sold"}, "not tradable"),
    ],
)
def test_numbers_that_are_no_batch_are_refused(data: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        certificate_data({"type": "bought", "status": "valid"} | data)


def test_as_many_certificates_as_numbers() -> None:
    assert serials_fault(batch(1, 1, 100)) == ""
    wrong = LedgerEntry("p", "certificate", "k", "gec", "plant", 0, 0, 99, "MWh", "li", data=batch(1, 1, 100).data)
    assert "are 100 certificates" in serials_fault(wrong)


def test_a_number_is_held_once() -> None:
    held = [batch(1, 1, 100), batch(2, 200, 300)]
    assert serials_taken(batch(3, 101, 199), held) == ""
    assert "entry 2" in serials_taken(batch(3, 150, 200), held)
    assert serials_taken(batch(3, 1, 100, "cancelled", supersedes=1, quota_year=2026), held) == ""
    assert serials_taken(batch(1, 1, 100), held) == ""  # a repeat


def test_a_certificate_ends_two_years_after_its_month_began() -> None:
    assert read_certificate({"type": "bought", "status": "valid", "generation_month": "2026-03"}).ends_month == "2028-03"


async def test_the_ledger_refuses_numbers_that_it_holds_and_takes_their_change_of_status(tmp_path: Path) -> None:
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'l.sqlite'}", SteppedClock(START_NS))
    await ledger.setup()
    try:
        (first,) = await ledger.add([batch(0, 1, 100)])
        assert await ledger.add([batch(0, 1, 100)]) == []
        with pytest.raises(InputError, match=f"supersedes = {first}"):
            await ledger.add([batch(1, 500, 600), batch(2, 100, 120)])
        # 60 of them are cancelled, 40 are left: the one entry is replaced by two
        await ledger.add([batch(3, 1, 60, "cancelled", supersedes=first, quota_year=2026), batch(4, 61, 100)])
        found = await ledger.entries("p", ["certificate"], Span(0, 1))
        assert sorted(e.key for e in found) == ["b3", "b4"]
    finally:
        await ledger.close()


@pytest.mark.parametrize(
    ("kind", "data", "word"),
    [
        ("contract_energy", {}, "data.status: found nothing"),
        ("contract_energy", {"status": "final", "basis": "guess"}, "data.basis"),
        ("statement", {"direction": "both"}, "data.direction"),
    ],
)
def test_bought_energy_says_what_it_is(kind: str, data: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        bought_data(kind, data)
    assert bought_data("contract_energy", {"status": "final"}) == {"status": "final", "basis": "settled"}


def test_bought_energy_is_of_whole_quarters_of_an_hour() -> None:
    assert quarters_fault(QUARTER_NS, 2 * QUARTER_NS) == ""
    for span in ((QUARTER_NS, QUARTER_NS), (0, QUARTER_NS + 1), (2 * QUARTER_NS, QUARTER_NS)):
        assert "whole quarters of an hour" in quarters_fault(*span)


async def test_contract_energy_restates_no_row(tmp_path: Path) -> None:
    ledger = SqlLedger(f"sqlite:///{tmp_path / 'l.sqlite'}", SteppedClock(START_NS))
    await ledger.setup()
    try:
        await ledger.add([contract_entry("wind-farm", 0, 96, 5.0)])
        assert {d.node for d in await ledger.dirty("p", 99)} == {"documents"}
    finally:
        await ledger.close()


def test_a_table_of_settled_energy_is_taken_and_a_span_off_the_quarter_is_not() -> None:
    site = site_of(['id = "tie", kind = "grid_tie"'], '[[green.contract]]\nid = "w"\nsource = "wind"\n')
    head = "kind,subject,start,end,amount,unit,who,document,status,direction\n"
    rows = [
        "contract_energy,w,2026-10-01T00:00,2026-10-01T00:15,1.5,MWh,li,curve,final,\n",
        "statement,tie,2026-10-01T00:00,2026-11-01T00:00,2,GWh,li,bill,,export\n",
    ]
    found = parse_entries(head + "".join(rows), "green.csv", site)
    assert [(e.amount, e.unit) for e in found] == [(1_500, "kWh"), (2_000_000, "kWh")]
    assert found[1].data == {"direction": "export", "status": "final"}
    with pytest.raises(ConfigError, match="whole quarters of an hour"):
        parse_entries(head + rows[0].replace("00:15", "00:10"), "green.csv", site)
    with pytest.raises(ConfigError, match="allowed for contract_energy: w"):
        parse_entries(head + rows[0].replace(",w,", ",tie,"), "green.csv", site)
