"""Rows as blocks for a store, and back."""

from __future__ import annotations

import numpy as np
import pytest

from analytics import table
from analytics.table import Table, from_block
from plant.series import QUARTER, QUARTER_NS


def test_blocks_are_bounded_and_hold_every_row_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "BLOCK_ROWS", 10)
    start_ns = np.arange(4, dtype=np.int64) * QUARTER_NS
    columns = {f"point:{n}": {"a": np.arange(4.0) + n, "b": np.array([np.nan, 1.0, np.nan, n])} for n in range(5)}
    rows = Table(QUARTER, start_ns, QUARTER_NS, columns | {"plant": {"c": np.ones(4)}})
    blocks = rows.blocks("p", 7)
    assert [len(b) for b in blocks] == [4, 8, 8, 4]
    assert blocks[0].fields == ("c",), "few rows of other fields come first"
    back = {n: f for b in blocks for n, f in from_block(b, start_ns, QUARTER_NS).columns.items()}
    assert set(back) == set(rows.columns)
    for node, fields in rows.columns.items():
        for field, column in fields.items():
            np.testing.assert_array_equal(back[node][field], column)
