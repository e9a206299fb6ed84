"""Panels of the energy dashboard beyond energy per tonne: residuals, quality of the supply, sun, storage. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from grafana_foundation_sdk.builders import timeseries

from analytics.gauges import BETWEEN_PHASES, UNBALANCE, gauge_pairs
from dashboards import statements as q
from dashboards.panels import PanelText, time_panel
from plant import nodes
from plant.series import QUARTER
from plant.site import Site

_SEEN = "means of a quarter of an hour; empty where the meter was silent"
# title, unit of Grafana, decimals; the quantity whose meters show it
_GAUGES = {
    "frequency": ("Frequency 频率", "hertz", 3, "frequency"),
    UNBALANCE: ("Voltage unbalance 电压不平衡度", "percent", 2, BETWEEN_PHASES[0]),
    "irradiance": ("Irradiance in the plane of the modules 组件面辐照度", "suffix: W/m2", 0, "irradiance"),
    "state_of_charge": ("State of charge 储能荷电状态", "percent", 1, "state_of_charge"),
}


def further_panels(site: Site) -> Iterator[timeseries.Panel]:
    """Residual by bus section, frequency, unbalance, irradiance and state of charge, where the plant has them."""
    sections = {nodes.bus(bus): bus for bus in site.buses}
    text = PanelText(
        "Residual by bus section 母线段不平衡电量",
        "metered sources less metered sinks in a quarter of an hour, sign kept; within the classes of the meters it says nothing",
        "kwatth",
        names=sections,
    )
    yield _panel(site, text, "residual", list(sections))
    for field, (title, unit, decimals, shown_by) in _GAUGES.items():
        names = {nodes.meter(m): _name(site, m) for m, quantity in gauge_pairs(site) if quantity == shown_by}
        if names:
            yield _panel(site, PanelText(title, _SEEN, unit, decimals, names), field, list(names))


def _panel(site: Site, text: PanelText, field: str, of: list[str]) -> timeseries.Panel:
    return time_panel(site.id, text, [q.derived_mean(site.id, QUARTER, field, of, "$tag_node")], interval="15m")


def _name(site: Site, meter: str) -> str:
    found = site.meters[meter]
    return f"{found.title_en} {found.title_zh}"
