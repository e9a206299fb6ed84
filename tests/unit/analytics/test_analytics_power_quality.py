"""Quality of the supply: what is proven outside, what may have been, and what no meter showed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.gauges import gauge_columns, gauge_pairs, unbalance_percent
from analytics.period_rows import Period
from analytics.power_quality import CHAPTER, Shown, minutes_above, value_95
from analytics.samples import Samples
from analytics.table import Table
from plant.config import parse_site
from plant.indicators import Figure
from plant.ports import Annotation
from plant.rulebook import parse_rules, shipped_rule_texts
from plant.series import QUARTER_NS, Series, Span
from plant.site import Site
from tests.analytics_plant import NS, meter_toml

START_NS = 1_793_462_400 * NS
BOOK = parse_rules(shipped_rule_texts())
F64 = npt.NDArray[np.float64]


def _site(voltage_kv: float, vt_ratio: float = 1.0) -> Site:
    head = f"""
plant = {{ id = "p", name = {{ en = "P" }}, zone = "Asia/Shanghai" }}
bus = [{{ id = "b", voltage_kv = {voltage_kv} }}]
endpoint = [{{ id = "g", protocol = "modbus_tcp", host = "127.0.0.1", port = 502 }}]
branch = [
  {{ id = "tie-1", kind = "grid_tie", bus = "b" }},
  {{ id = "tie-2", kind = "grid_tie", bus = "b" }},
  {{ id = "unit", kind = "generator", bus = "b", source = "captive_coal" }},
]
"""
    ties = (
        meter_toml(f"m{n}", n, f'branch = "tie-{n}", rated_power_kw = 1000, class_percent = 0.2, vt_ratio = {vt_ratio}')
        for n in (1, 2)
    )
    return parse_site(head + "".join(ties) + meter_toml("mu", 3, 'branch = "unit", rated_power_kw = 500'), "site.toml")


def _readings(slots: int, **columns: F64) -> dict[tuple[str, str], Series]:
    """A reading a minute of both ties and the unit; a column is named ``<meter>__<quantity>``."""
    t_ns = START_NS + np.arange(slots * 15, dtype=np.int64) * 60 * NS
    found = {}
    for name, value in columns.items():
        meter, _, quantity = name.partition("__")
        known = np.isfinite(value)
        found[meter, quantity] = Series(t_ns[known], value[known], np.zeros(int(known.sum()), np.int16))
    return found


def _figures(site: Site, slots: int, **columns: F64) -> Mapping[str, Mapping[str, Figure]]:
    bounds = START_NS + np.arange(slots + 1, dtype=np.int64) * QUARTER_NS
    rows = Table("15m", bounds[:-1], QUARTER_NS, gauge_columns(site, _readings(slots, **columns), bounds))
    period = Period(site, BOOK, Span(int(bounds[0]), int(bounds[-1])), "day", rows, "live")
    return CHAPTER.compute(period, {}).figures


def _flat(slots: int, value: float) -> F64:
    return np.full(slots * 15, value)


def _voltages(slots: int, volts: float) -> dict[str, F64]:
    return {f"m1__{q}": _flat(slots, volts) for q in ("voltage_l1_l2", "voltage_l2_l3", "voltage_l3_l1")}


def test_voltage_on_the_secondary_side_is_held_against_both_deviations_together() -> None:
    volts = _voltages(8, 100.0)
    volts["m1__voltage_l2_l3"][3] = 106.0
    volts["m1__voltage_l3_l1"][70] = 95.0
    bus = _figures(_site(220, 2200), 8, **volts)["bus:b"]
    assert bus["voltage_deviation_up"].value == pytest.approx(6.0)
    assert bus["voltage_deviation_down"].value == pytest.approx(5.0)
    span = bus["voltage_deviation_span"]
    assert span.value == pytest.approx(11.0) and span.status == {"voltage-deviation-35kv": "exceeded"}
    assert "voltage_outside" not in bus  # at 220 kV no limit is one of an instant


def test_a_limit_that_was_not_passed_is_not_decidable_with_a_hole() -> None:
    volts = _voltages(8, 10_100.0)
    whole = _figures(_site(10), 8, **volts)["bus:b"]
    assert whole["voltage_deviation_up"].status == {"voltage-deviation-up-20kv": "met"}
    assert whole["voltage_outside"].value == 0.0 == whole["voltage_outside"].high
    for column in volts.values():
        column[30:45] = np.nan
    holed = _figures(_site(10), 8, **volts)["bus:b"]
    up = holed["voltage_deviation_up"]
    assert up.value == pytest.approx(1.0) and up.high is None
    assert up.status == {"voltage-deviation-up-20kv": "not decidable"} and "1 of 8" in up.reason
    assert up.completeness == pytest.approx(7 / 8)
    outside = holed["voltage_outside"]
    assert (outside.low, outside.high) == (0.0, 15.0)


def test_few_readings_of_an_interval_leave_the_rest_of_it_open() -> None:
    volts = _voltages(8, 10_000.0)
    for column in volts.values():
        column[31:45] = np.nan
    bus = _figures(_site(10), 8, **volts)["bus:b"]
    assert bus["voltage_deviation_up"].high is None
    assert bus["voltage_deviation_up"].status == {"voltage-deviation-up-20kv": "not decidable"}
    assert bus["voltage_outside"].low == 0.0 and bus["voltage_outside"].high == pytest.approx(14.0)
    assert bus["voltage_outside"].measured_share == pytest.approx((7 + 1 / 15) / 8)


def test_three_phases_at_once_are_no_longer_outside_than_the_time_lasts() -> None:
    volts = _voltages(1, 12_000.0)
    outside = _figures(_site(10), 1, **volts)["bus:b"]["voltage_outside"]
    assert (outside.value, outside.high) == (15.0, 15.0)


def _moved(first_vt: float, hour: int, then: str) -> Site:
    """Of the first tie what was mounted first, and what from an hour on."""
    site = _site(220, 2200)
    point = next(p for p in site.points.values() if p.branch == "tie-1")
    edge_ns = START_NS + hour * 3600 * NS
    early = replace(point.mountings[0], vt_ratio=first_vt, valid_to_ns=edge_ns)
    late = replace(point.mountings[0], meter=then, valid_from_ns=edge_ns)
    moved = replace(point, mountings=(early, late))
    return replace(site, points={**site.points, point.id: moved})


def test_each_ratio_counts_while_it_was_mounted() -> None:
    volts = {name: np.where(np.arange(120) < 60, 200.0, 100.0) for name in _voltages(8, 100.0)}
    bus = _figures(_moved(1100, 1, "m1"), 8, **volts)["bus:b"]
    assert bus["voltage_deviation_up"].value == pytest.approx(0.0, abs=1e-9)
    assert bus["voltage_deviation_span"].completeness == 1.0


def test_a_meter_that_left_the_tie_shows_it_no_longer() -> None:
    site = _moved(2200, 1, "m9")
    assert {s.end_ns for s in gauge_pairs(site)["m1", "voltage_l1_l2"]} == {START_NS + 3600 * NS}
    volts = _voltages(8, 100.0)
    for column in volts.values():
        column[60:] = 300.0  # where it is now
    site = replace(site, meters={**site.meters, "m9": replace(site.meters["m1"], id="m9")})
    bus = _figures(site, 8, **volts)["bus:b"]
    assert bus["voltage_deviation_up"].value == pytest.approx(0.0, abs=1e-9)
    still, moving = _flat(8, 0.0), _flat(8, 500.0)
    on_tie = {"m9__active_power": still, "m2__active_power": still, "mu__active_power": _flat(8, -400.0)}
    plant = _figures(site, 8, m1__active_power=moving, **on_tie)["plant"]
    assert plant["islanded_time"].value == 60.0  # the first hour it was on the tie and moving


def test_a_verdict_that_mends_does_so_for_gauges() -> None:
    site = _site(10)
    note = Annotation("p", "m1", "", 0, 2**62, "wrong_ratio x1000", "li", "seen")
    bounds = START_NS + np.arange(5, dtype=np.int64) * QUARTER_NS
    small = _readings(4, m1__active_power=_flat(4, 0.5), m2__active_power=_flat(4, 0.0), mu__active_power=_flat(4, 400.0))
    assert gauge_columns(site, small, bounds)["island"]["islanded"].sum() == 60.0
    assert gauge_columns(site, small, bounds, [note])["island"]["islanded"].sum() == 0.0


def test_a_power_that_changes_direction_is_no_island() -> None:
    through = _flat(4, 300.0)
    through[20:22], through[22:] = 0.0, -300.0
    plant = _figures(_site(10), 4, m1__active_power=through, m2__active_power=through, mu__active_power=_flat(4, 400.0))["plant"]
    assert plant["islandings"].value == 0.0
    assert (plant["islanded_time"].value, plant["islanded_time"].high) == (0.0, 2.0)


def test_without_any_reading_there_is_no_figure_and_half_of_them_is_null() -> None:
    assert "bus:b" not in _figures(_site(10), 4, m1__frequency=_flat(4, np.nan))
    hertz = _flat(4, 50.05)
    hertz[:45] = np.nan
    figure = _figures(_site(10), 4, m1__frequency=hertz)["bus:b"]["frequency_deviation"]
    assert figure.value is None and figure.status == {"frequency-deviation": "unknown"}


def test_a_second_meter_takes_over_where_the_first_is_silent() -> None:
    first, second = _flat(4, 50.01), _flat(4, 50.3)
    first[15:30] = np.nan
    figures = _figures(_site(10), 4, m1__frequency=first, m2__frequency=second)["bus:b"]
    assert figures["frequency_deviation"].value == pytest.approx(0.3)
    assert figures["frequency_deviation"].status == {"frequency-deviation": "exceeded"}
    assert figures["frequency_outside"].value == pytest.approx(15.0)


def test_a_dead_section_is_an_interruption_and_no_deviation() -> None:
    volts = _voltages(8, 10_000.0)
    for column in volts.values():
        column[15:30] = 0.0
    bus = _figures(_site(10), 8, **volts)["bus:b"]
    assert bus["voltage_deviation_down"].value == pytest.approx(0.0)


def test_islanding_needs_all_ties_still_and_a_supply() -> None:
    one, two, unit = _flat(4, 300.0), _flat(4, 200.0), _flat(4, -400.0)
    one[10:40], two[20:50] = 0.0, 0.0
    plant = _figures(_site(10), 4, m1__active_power=one, m2__active_power=two, mu__active_power=unit)["plant"]
    assert plant["islanded_time"].value == 20.0 == plant["islanded_time"].high
    assert plant["islandings"].value == 1.0
    unit[:] = 0.0
    dark = _figures(_site(10), 4, m1__active_power=one, m2__active_power=two, mu__active_power=unit)["plant"]
    assert dark["islanded_time"].value == 0.0
    two[:] = np.nan
    assert "plant" not in _figures(_site(10), 4, m1__active_power=one, m2__active_power=two, mu__active_power=unit)


def test_frequency_of_the_island_has_its_own_limit() -> None:
    still, hertz = _flat(4, 0.0), _flat(4, 50.3)
    hertz[30:] = 50.05
    still[30:] = 100.0
    found = _figures(
        _site(10), 4, m1__active_power=still, m2__active_power=still, mu__active_power=_flat(4, -400.0), m1__frequency=hertz
    )
    bus = found["bus:b"]
    assert bus["frequency_deviation"].value == pytest.approx(0.05)
    assert bus["frequency_deviation_islanded"].value == pytest.approx(0.3)
    assert bus["frequency_deviation_islanded"].status == {"frequency-deviation-islanded": "met"}


def test_unbalance_from_three_magnitudes() -> None:
    # the phasors of a positive sequence of 100 and a negative one of 2 have these magnitudes between phases
    a = np.exp(2j * np.pi / 3)
    phases = [abs(100 * a**-k + 2 * np.exp(0.7j) * a**k) for k in range(3)]
    t_ns = np.array([START_NS])
    found = unbalance_percent([Samples(t_ns, np.array([v])) for v in phases])
    assert found.value[0] == pytest.approx(2.0, rel=1e-9)


@given(
    st.lists(st.floats(-10, 10), min_size=2, max_size=30),
    st.floats(-10, 10),
)
def test_minutes_above_hold_the_truth(values: list[float], limit: float) -> None:
    column = np.array(values)
    truth = 15.0 * float((column > limit).mean())
    found = minutes_above(Shown(*(np.array([x]) for x in (column.mean(), column.min(), column.max(), 1.0))), limit)
    assert found.low is not None and found.high is not None and found.value is not None
    assert found.low - 1e-6 <= truth <= found.high + 1e-6
    assert found.low <= found.value <= found.high


@given(st.lists(st.floats(0, 10), min_size=1, max_size=60), st.data())
def test_the_95_percent_value_of_all_lies_in_the_band_of_some(values: list[float], data: st.DataObject) -> None:
    column = np.array(values)
    truth = value_95(column)
    assert truth.value == truth.low == truth.high
    hidden = data.draw(st.sets(st.integers(0, len(values) - 1), max_size=len(values) - 1))
    partly = column.copy()
    partly[list(hidden)] = np.nan
    found = value_95(partly)
    assert truth.value is not None and found.value is not None
    assert found.low is None or found.low <= truth.value or len(hidden) > 0.95 * len(values)
    assert found.high is None or found.high >= truth.value
