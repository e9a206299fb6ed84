"""A province of made-up plants: site files and a year's interval amounts in Parquet, seeded, for bench_province and its test."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from storage.duck import write_readings

QUARTER_MS = 900_000
POTS, VOLTAGE_V = 280, 4.0


def month_starts(year: int) -> list[int]:
    """Starts of the months of a year and of the next January, UTC ms: the plants keep UTC."""
    at = [datetime(year + m // 12, m % 12 + 1, 1, tzinfo=UTC) for m in range(13)]
    return [round(t.timestamp()) * 1000 for t in at]


def make_plant(folder: Path, number: int, feeders: int, year: int, months: int, seed: int) -> None:
    """A plant of a tie, PV, three rectifier groups and ``feeders`` feeders, with readings of the first ``months`` of a year."""
    random = np.random.default_rng([seed, number])
    (folder / "readings").mkdir(parents=True)
    (folder / "site.toml").write_text(_site(number, feeders), "utf-8")
    starts = month_starts(year)
    names = [f"f{i}" for i in range(feeders)]
    size = random.uniform(0.7, 1.3)
    counted = {f"r{i}": 0.0 for i in range(3)}
    for m in range(months):
        t_ms = np.arange(starts[m], starts[m + 1], QUARTER_MS)
        hour = (t_ms // 3_600_000) % 24
        sun = np.clip(np.sin((hour - 6) / 12 * np.pi), 0, None) * random.uniform(0.2, 1.0, len(t_ms)) * 2_000 * size
        loads = {name: random.normal(60, 2, len(t_ms)) * size for name in names}
        groups = {f"r{i}": random.normal(20_000, 60, len(t_ms)) * size for i in range(3)}
        total = np.sum([*loads.values(), *groups.values()], axis=0) * 1.002
        rows = {**loads, **groups, "pv": sun, "tie": total - sun}
        found = {
            (name, "interval_energy_export" if name == "pv" else "interval_energy_import"): amount
            for name, amount in rows.items()
        }
        # 4.0 V a pot and an efficiency of 98.1 %: the charge behind the energy, as a register that counts on
        for name, amount in groups.items():
            charge = amount * 0.981 / (POTS * VOLTAGE_V)
            found |= {
                (f"dc-{name}", "interval_energy_import"): amount * 0.981,
                (f"dc-{name}", "dc_charge"): counted[name] + np.cumsum(charge) - charge,
            }
            counted[name] += charge.sum()
        write_readings(folder / "readings" / f"{year}-{m + 1:02}.parquet", {pair: (t_ms, value) for pair, value in found.items()})


def _site(number: int, feeders: int) -> str:
    branches = [
        ("tie", "grid_tie", ""),
        ("pv", "pv", ""),
        *((f"r{i}", "rectifier_group", 'potline = "l"') for i in range(3)),
        *((f"f{i}", "feeder", f'purpose = "{"fume_treatment" if i % 3 == 0 else "other"}"') for i in range(feeders)),
    ]
    text = f"""
[plant]
id = "plant-{number}"
name = {{ en = "Plant {number}" }}
zone = "UTC"
province = "guizhou"
enterprise = "Company {number % 20}"
[[bus]]
id = "b"
voltage_kv = 220
[[endpoint]]
id = "g"
protocol = "import"

[[potline]]
id = "l"
current_efficiency_ref = 0.935
current_efficiency_uncertainty = 0.01
pots = [{{ valid_from = 2000-01-01T00:00:00Z, running = {POTS} }}]
"""
    for name, kind, more in branches:
        text += f"""
[[branch]]
id = "{name}"
kind = "{kind}"
bus = "b"
{more}
[[meter]]
id = "{name}"
profile = "imported"
endpoint = "g"
poll_interval_s = 900
measures = {{ branch = "{name}", class_percent = 0.5 }}
"""
    for name in ("r0", "r1", "r2"):
        text += f"""
[[meter]]
id = "dc-{name}"
profile = "imported"
endpoint = "g"
poll_interval_s = 900
measures = {{ branch = "{name}", side = "dc", class_percent = 0.2 }}
"""
    return text
