"""Certificates of the ledger: what is taken, and that the reader steps over what an older version took."""

from __future__ import annotations

from typing import Any

import pytest

from analytics.green import certificates_of_year
from plant.certificates import certificate_data
from plant.ports import LedgerEntry


def entry(number: int, data: dict[str, Any], amount: int = 100) -> LedgerEntry:
    return LedgerEntry("p", "certificate", f"g{number}", "gec", "plant", 0, 0, amount, "MWh", "Li", data=data, id=number)


def test_what_is_taken_is_kept_with_its_year_as_a_number_and_its_further_fields() -> None:
    data = {"type": "bought", "status": "cancelled", "quota_year": "2026", "generation_month": "2026-03", "batch": "7"}
    assert certificate_data(data) == data | {"quota_year": 2026}


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ({}, "data.type: found nothing"),
        ({"type": "bought", "status": "cancelled"}, "quota_year"),
        ({"type": "bought", "status": "cancelled", "quota_year": None}, "quota_year"),
        ({"type": "bought", "status": "cancelled", "quota_year": "next"}, "data.quota_year: found 'next'"),
        ({"type": "swapped", "status": "valid"}, "self_use"),
        ({"type": "bought", "status": "valid", "generation_month": "2026-13"}, "data.generation_month"),
    ],
)
def test_what_could_never_count_is_refused(data: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        certificate_data(data)


def test_an_entry_that_cannot_be_read_is_stepped_over_and_named() -> None:
    good = {"type": "bought", "status": "cancelled", "quota_year": 2026}
    entries = [
        entry(1, good),
        entry(2, good | {"quota_year": None}),
        entry(3, {}),
        entry(4, good | {"quota_year": 2025}),
        entry(5, {"type": "bought", "status": "valid"}),
        entry(6, good | {"type": "self_use", "quota_year": "2026"}, 7),
    ]
    found = certificates_of_year(entries, 2026)
    assert (found.bought_mwh, found.self_use_mwh, found.total_mwh, found.unreadable) == (100, 7, 107, (2, 3))
