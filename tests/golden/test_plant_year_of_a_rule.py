"""A year's report is held against the rules of that year and counts the certificates of that year, up to its last nanosecond."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from analytics_plant import NS, entry, meter_toml, small_plant

from plant.series import QUARTER_NS

DAY_NS = 86_400 * NS
NEW_YEAR = round(datetime(2025, 12, 31, 16, tzinfo=UTC).timestamp()) * NS  # 2026-01-01 in Shanghai
SITE = 'branch = [{ id = "tie", kind = "grid_tie", bus = "b" }]\n' + meter_toml("tie", 1, 'branch = "tie", rated_power_kw = 2000')


async def test_the_report_of_2025_knows_nothing_of_2026(tmp_path: Path) -> None:
    # the quota of Inner Mongolia, 30.7 %, was in force for 2025 alone; 200 + 100 of 1 000 MWh are 30 %
    first = NEW_YEAR - 365 * DAY_NS
    async with small_plant(tmp_path, SITE, first, {"tie": ("active_power", "energy_import", "energy_export")}) as plant:
        plant.site = replace(plant.site, province="inner_mongolia")
        plant.restart()
        t_ns = first + np.arange(365 * 96, dtype=np.int64) * QUARTER_NS
        await plant.feed("tie", t_ns, interval_energy_import=np.full(len(t_ns), 1_000e3 / len(t_ns)))
        for year, kind, amount in ((2025, "self_use", 200), (2025, "bought", 100), (2026, "bought", 700)):
            data = {"type": kind, "status": "cancelled", "quota_year": year, "generation_month": "2025-12"}
            await plant.ledger.add([entry("certificate", "plant", first, amount, first + QUARTER_NS, **data)])
        plant.clock.t_ns = NEW_YEAR + DAY_NS
        await plant.work()
        ratio = (await plant.analytics.report("year", "2025")).body["figures"]["plant"]["certificate_ratio"]
        assert ratio["value"] == pytest.approx(30.0, abs=1e-6)
        assert list(ratio["editions"]) == ["certificate-quota@2025-01-01/inner_mongolia/2025-07-01"]
        assert ratio["status"]["certificate-quota"] in ("missed", "not decidable")
