"""The energy dashboard of a plant: power, green share, energy per tonne against its limits, PV and storage, gaps. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from grafana_foundation_sdk.builders import dashboard as dashboard_builders
from grafana_foundation_sdk.builders import stat, timeseries
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import statements as q
from dashboards.further import further_panels
from dashboards.panels import GREEN, ORANGE, RED, PanelText, Step, stat_panel, time_panel
from plant import nodes
from plant.indicators import INDICATORS
from plant.rulebook import Rule, Rulebook
from plant.series import MINUTE, QUARTER
from plant.site import IMPORTED, Branch, Potline, Site

KWH_PER_T = "suffix: kWh/t"
E1, GREEN_SHARE = "specific_energy_e1", "green_share_physical"
SIGN = "+ flows away from the grid (import, load, charging), - is generation, discharge, export"
DC_QUANTITY, AC_QUANTITY = "dc_current", "active_power"
Panel = timeseries.Panel | stat.Panel


def energy_dashboard(site: Site, rulebook: Rulebook, at: date) -> Dashboard:
    """The dashboard with the limits in force on ``at``; times are shown in the plant's zone."""
    builder = (
        dashboard_builders.Dashboard(f"potwatt energy: {site.title_en} {site.title_zh}")
        .uid(f"potwatt-energy-{site.id}")
        .tags(["potwatt", site.id])
        .timezone(str(site.calendar.zone))
        .time("now-24h", "now")
        .refresh("30s")
        .readonly()
    )
    for panel in _panels(site, rulebook, at):
        builder.with_panel(panel)
    return builder.build()


def _panels(site: Site, rulebook: Rulebook, at: date) -> Iterator[Panel]:
    yield from _headline(site, rulebook, at)
    yield from _power(site)
    yield _green_share(site)
    for line in site.potlines.values():
        yield _e1(site, line, _limits(site, rulebook, at))
    if any(branch.kind in ("pv", "storage") for branch in site.branches.values()):
        yield _pv_and_storage_energy(site)
    yield from further_panels(site)
    yield from _completeness(site)
    yield from _meters(site)


def _headline(site: Site, rulebook: Rulebook, at: date) -> Iterator[Panel]:
    whole = "over the time shown, ratio of sums, 15-min intervals in which both are known"
    yield stat_panel(
        site.id,
        PanelText(_title(GREEN_SHARE), whole, "percent", 2, steps=_target_steps(site)),
        [q.derived_ratio(site.id, nodes.PLANT, ("green_to_load", "load_energy"), 100, "green share", over_time=False)],
    )
    limits = _limits(site, rulebook, at)
    for line in site.potlines.values():
        yield stat_panel(
            site.id,
            PanelText(
                f"e1 {line.title_en} {line.title_zh}", f"{whole}. {_named(limits)}", KWH_PER_T, 0, steps=_limit_steps(limits)
            ),
            [_e1_ratio(site, line, over_time=False)],
        )


def _power(site: Site) -> Iterator[Panel]:
    groups = {
        "Grid and own generation 下网与自备电源": ("grid_tie", "generator", "coupler"),
        "PV and storage 光伏与储能": ("pv", "storage"),
        "Loads 负荷": ("rectifier_group", "feeder", "transformer"),
    }
    for title, kinds in groups.items():
        branches = site.branches_of(*kinds)
        if branches:
            text = PanelText(f"Power by branch: {title}", SIGN, "kwatt", names=_branch_names(branches))
            of = [nodes.branch(branch.id) for branch in branches]
            yield time_panel(site.id, text, [q.derived_mean(site.id, MINUTE, "active_power", of, "$tag_node")], interval="1m")


def _green_share(site: Site) -> Panel:
    text = PanelText(
        _title(GREEN_SHARE),
        "on-site renewable energy attributed to load, of load; low and high hold the truth (means of 15-min bands)",
        "percent",
        2,
        steps=_target_steps(site),
    )
    ratio = q.derived_ratio(site.id, nodes.PLANT, ("green_to_load", "load_energy"), 100, "green share", over_time=True)
    return time_panel(site.id, text, [ratio, *_band(site, nodes.PLANT, GREEN_SHARE)], interval="15m")


def _e1(site: Site, line: Potline, limits: Sequence[Rule]) -> Panel:
    title = f"{_title(E1)}: {line.title_en} {line.title_zh}"
    description = f"low and high hold the truth (means of 15-min bands). {_named(limits)}"
    text = PanelText(title, description, KWH_PER_T, 0, steps=_limit_steps(limits))
    asked = [_e1_ratio(site, line, over_time=True), *_band(site, nodes.line(line.id), E1)]
    return time_panel(site.id, text, asked, interval="15m")


def _e1_ratio(site: Site, line: Potline, *, over_time: bool) -> q.Statement:
    node = nodes.line(line.id)
    return q.derived_ratio(site.id, node, ("rectifier_energy", "metal_produced"), 1, "e1", over_time=over_time)


def _band(site: Site, node: str, indicator: str) -> list[q.Statement]:
    return [q.derived_mean(site.id, QUARTER, f"{indicator}_{edge}", [node], edge) for edge in ("low", "high")]


def _pv_and_storage_energy(site: Site) -> Panel:
    names = ("renewable_generation", "green_to_load", "storage_charge", "storage_discharge", "grid_export")
    text = PanelText("PV and storage energy 光伏与储能电量", "energy in each step of time", "kwatth")
    return time_panel(site.id, text, [q.derived_sum(site.id, nodes.PLANT, name, _title(name)) for name in names], interval="15m")


def _completeness(site: Site) -> Iterator[Panel]:
    of = [nodes.point(point) for point in site.points]
    if of:
        names = {nodes.point(point): point for point in site.points}
        text = PanelText("Meter completeness 电表数据完整率", "readings received of readings due", "percentunit", names=names)
        yield time_panel(site.id, text, [q.derived_mean(site.id, MINUTE, "completeness", of, "$tag_node")], interval="1m")


def _meters(site: Site) -> Iterator[Panel]:
    sides: dict[str, list[str]] = {"ac": [], "dc": []}
    for point in site.points.values():
        for mounting in point.mountings:
            if site.meters[mounting.meter].profile != IMPORTED and mounting.meter not in sides[point.side]:
                sides[point.side].append(mounting.meter)
    names = {meter.id: f"{meter.title_en} {meter.title_zh}" for meter in site.meters.values()}
    empty = "Empty where the meter was silent: its last value is not carried on."
    counts = [
        q.reading_count(site.id, quantity, sides[side], "$tag_meter")
        for side, quantity in (("ac", AC_QUANTITY), ("dc", DC_QUANTITY))
        if sides[side]
    ]
    if counts:
        text = PanelText("Silent meters: readings received 无数据电表:收到的读数", empty, "short", 0, names=names)
        yield time_panel(site.id, text, counts, interval="1m")
    if sides["ac"]:
        text = PanelText("Power as the meters say it 电表原始功率", f"{empty} The meter's own arrow.", "kwatt", names=names)
        yield time_panel(site.id, text, [q.reading_mean(site.id, AC_QUANTITY, sides["ac"], "$tag_meter")], interval="10s")


def _limits(site: Site, rulebook: Rulebook, at: date) -> list[Rule]:
    rules = rulebook.for_indicator(E1, at, (site.province, "CN"))
    return sorted((rule for rule in rules if rule.kind == "upper_limit"), key=lambda rule: rule.value)


def _limit_steps(limits: Sequence[Rule]) -> tuple[Step, ...]:
    # the first limit passed turns a figure orange, the second red
    colours = (ORANGE, *(RED for _ in limits))
    return (Step(None, GREEN), *(Step(float(rule.value), colour) for rule, colour in zip(limits, colours, strict=False)))


def _target_steps(site: Site) -> tuple[Step, ...]:
    target = site.accounting.green_share_target_percent
    return () if target is None else (Step(None, ORANGE), Step(target, GREEN))


def _named(limits: Sequence[Rule]) -> str:
    return "; ".join(f"{rule.id} {rule.value} {rule.unit}: {rule.document}" for rule in limits) or "no limit is in force"


def _branch_names(branches: Sequence[Branch]) -> dict[str, str]:
    return {nodes.branch(branch.id): f"{branch.title_en} {branch.title_zh}" for branch in branches}


def _title(indicator: str) -> str:
    row = INDICATORS[indicator]
    return f"{row.en} {row.zh}"
