"""What meters leave open against each other."""

from __future__ import annotations

from plant.indicators.row import Indicator

ROWS: tuple[Indicator, ...] = (
    Indicator(
        "suspect_meters",
        "1",
        "count",
        "Meters under suspicion",
        "疑似异常电表数",
        "meters that the balances, rectifier groups and check meters accuse",
        "number of suspects that are clear",
        ("residual", "rectifier_group_efficiency"),
    ),
    Indicator(
        "suspect_energy",
        "kWh",
        "kwh",
        "Energy misread by a suspect",
        "疑似异常电表误计电量",
        "what the meter showed less what it should have shown",
        "shown - shown / gain",
        ("residual", "rectifier_group_efficiency"),
    ),
)
