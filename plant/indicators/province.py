"""Figures that only several plants together have."""

from __future__ import annotations

from plant.indicators.row import Indicator

ROWS: tuple[Indicator, ...] = (
    Indicator(
        "capacity_at_benchmark_province",
        "%",
        "percent",
        "Capacity of the province at or above the benchmark",
        "全省达到标杆水平产能占比",
        "licensed capacity of all plants of a province, lines whose e1 meets the benchmark",
        "capacity of lines with specific_energy_e1 <= benchmark / capacity",
        ("specific_energy_e1", "benchmark"),
    ),
)
