"""Shares of renewable energy, physical and by documents; never added up."""

from __future__ import annotations

from plant.indicators.row import Indicator

ROWS: tuple[Indicator, ...] = (
    Indicator(
        "green_share_physical",
        "%",
        "percent",
        "Green share, physical on site",
        "现场物理绿电占比",
        "on-site renewable energy attributed to load, of load",
    ),
    Indicator(
        "certificate_ratio",
        "%",
        "percent",
        "Certificate ratio R",
        "绿证口径绿电消费比例",
        "certificates valid and cancelled for the year, of total power use",
    ),
    Indicator("pv_self_consumption", "%", "percent", "PV self-consumption", "光伏自用率", "(generation - export) of generation"),
    Indicator("pv_feed_in", "%", "percent", "PV feed-in", "光伏上网率", "export of renewable energy, of generation"),
    Indicator("green_to_load", "kWh", "kwh", "On-site renewable energy to load", "现场绿电供负荷", "attributed"),
)
