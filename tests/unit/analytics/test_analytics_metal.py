"""Current efficiency from weighed metal: months that close, bands that hold the truth, rows that are restated."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pytest
from analytics_plant import NS, SteppedClock, entry, meter_toml, small_plant

from analytics.derive import PlantModel
from analytics.metal import Fit, Fits
from analytics.period_metal import process_metal
from analytics.period_rows import Period
from analytics.reconcile import DAY_NS, changed_spans, efficiencies, fits_from, fits_state, months
from analytics.table import Table
from plant import nodes
from plant.calendar import PlantCalendar
from plant.ports import LedgerEntry
from plant.rulebook import parse_rules, shipped_rule_texts
from plant.series import QUARTER, QUARTER_NS, Span
from simulators.documents import inventories
from simulators.noise import draw
from simulators.parameters import FARADAY_KG_PER_KAH
from simulators.plant import SimulatedPlant

F64 = npt.NDArray[np.float64]
RULES = parse_rules(shipped_rule_texts())
NOVEMBER = 1_793_462_400 * NS  # 2026-11-01 00:00 in Shanghai
MONTH = Span(NOVEMBER, NOVEMBER + 30 * DAY_NS)
LINES = ("line-1", "line-2")


def _rows(span: Span, full_t: dict[str, F64], fits: dict[str, Fits] | None = None) -> Table:
    """Rows of lines whose metal at 100 % is ``full_t``, made with the efficiency of ``fits`` (else 93 %)."""
    start_ns = span.bounds(QUARTER_NS)[:-1]
    columns = {}
    for line, full in full_t.items():
        ce = fits[line].at(start_ns)[0] if fits else np.full(len(full), 0.93)
        one = np.ones(len(full))
        columns[nodes.line(line)] = {
            "metal_produced": full * ce,
            "current_efficiency": 100 * ce,
            "measured_share": one,
            "completeness": one,
        }
    return Table(QUARTER, start_ns, QUARTER_NS, columns)


class _Month:
    """A month of the simulated smelter as its documents and its ampere-hour meters tell it, and as it was."""

    def __init__(self, seed: int, folder: Path, span: Span = MONTH, known: Span = MONTH) -> None:
        smelter = SimulatedPlant(seed, folder / str(seed), SteppedClock(span.end_ns))
        # this plant counts its pots at midnight, so that statements stand at the bounds of the month
        calendar = replace(smelter.site.calendar, production_day_start=time(0))
        self.truth, self.site = smelter.truth, replace(smelter.site, calendar=calendar)
        model = PlantModel.of(self.site, FARADAY_KG_PER_KAH, lambda _m, _q: None)
        counted = Span(known.start_ns, known.end_ns + 1)  # the morning that ends the month too
        self.entries = inventories(self.truth, seed, self.site.id, self.site.calendar, counted)
        for line in LINES:
            taps = self.truth.tapping[line].taps(span)
            self.entries += [
                entry("metal_tapped", line, int(t), int(kg)) for t, kg in zip(taps.t_ns, taps.weighed_kg, strict=True)
            ]
        self.full_t = {line: self._full_t(seed, line, span) for line in LINES}
        self.fits = efficiencies(model, _rows(span, self.full_t), self.entries, {}, MONTH.start_ns)
        self.rows = _rows(span, self.full_t, self.fits)

    def _full_t(self, seed: int, line: str, span: Span) -> F64:
        """Faraday metal by slot from meters that are off by a gain of their own."""
        columns, _ = self.truth.model.integrals(span.bounds(QUARTER_NS))
        current = sum(np.diff(columns[f"current-{group}"]) for group in self.truth.lines[line].groups)
        gain = 1 + draw(seed, f"{line}/current gain", -0.005, 0.005)
        pots = float(self.truth.lines[line].pots)
        full: F64 = FARADAY_KG_PER_KAH * current * gain * pots / 1000
        return full

    def metal(self, line: str, span: Span) -> tuple[float, float, float]:
        """(low, value, high) in t."""
        period = Period(self.site, RULES, MONTH, "month", self.rows, "provisional", self.entries, self.fits).part(span, "day")
        found = process_metal(period, nodes.line(line), [line])
        assert found.low is not None
        assert found.value is not None
        assert found.high is not None
        return found.low, found.value, found.high


def _closed_t(entries: list[LedgerEntry], line: str) -> float:
    stated = {e.start_ns: e.amount for e in entries if e.kind == "metal_in_pots" and e.subject == line}
    tapped = sum(e.amount for e in entries if e.kind == "metal_tapped" and e.subject == line)
    return (tapped + stated[MONTH.end_ns] - stated[MONTH.start_ns]) / 1000


def test_a_month_between_statements_closes_exactly(tmp_path: Path) -> None:
    month = _Month(4, tmp_path)
    for line in LINES:
        low, value, high = month.metal(line, MONTH)
        assert value == pytest.approx(_closed_t(month.entries, line), rel=1e-12)
        assert 0.003 < (high - low) / 2 / value < 0.005


def test_a_hole_in_the_current_does_not_keep_a_month_from_closing(tmp_path: Path) -> None:
    month = _Month(4, tmp_path)
    rows = {line: np.where(np.arange(2880) // 40 == 30, np.nan, full) for line, full in month.full_t.items()}
    model = PlantModel.of(month.site, FARADAY_KG_PER_KAH, lambda _m, _q: None)
    month.fits = efficiencies(model, _rows(MONTH, rows), month.entries, {}, MONTH.start_ns)
    month.rows = _rows(MONTH, rows, month.fits)
    for line in LINES:
        low, value, high = month.metal(line, MONTH)
        assert value == pytest.approx(_closed_t(month.entries, line), rel=1e-12)
        assert (high - low) / 2 / value < 0.005


def test_the_bands_hold_the_truth_over_seeds(tmp_path: Path) -> None:
    inside: list[bool] = []
    inside_days: list[bool] = []
    for seed in range(8):
        month = _Month(seed, tmp_path)
        for line in LINES:
            low, _, high = month.metal(line, MONTH)
            inside.append(low <= month.truth.metal_produced_t(line, MONTH) <= high)
            for day in range(0, 30, 5):
                span = Span(MONTH.start_ns + day * DAY_NS, MONTH.start_ns + (day + 1) * DAY_NS)
                low, _, high = month.metal(line, span)
                inside_days.append(low <= month.truth.metal_produced_t(line, span) <= high)
    assert np.mean(inside) >= 0.95
    assert np.mean(inside_days) >= 0.95


def test_taps_without_inventories_leave_the_stated_efficiency(tmp_path: Path) -> None:
    month = _Month(4, tmp_path, known=Span(MONTH.start_ns, MONTH.start_ns))
    line = month.site.potlines["line-1"]
    [fit] = month.fits["line-1"].fits
    assert (fit.value, fit.origin) == (line.current_efficiency_ref, "stated")
    assert fit.uncertainty == pytest.approx(np.hypot(line.current_efficiency_uncertainty, line.current_efficiency_ref * 0.005))


def test_a_running_month_takes_the_fit_of_its_last_statement(tmp_path: Path) -> None:
    month = _Month(4, tmp_path, known=Span(MONTH.start_ns, MONTH.start_ns + 20 * DAY_NS))
    [fit] = month.fits["line-1"].fits
    assert fit.window == Span(MONTH.start_ns, MONTH.start_ns + 20 * DAY_NS)
    _, value, _ = month.metal("line-1", MONTH)
    assert value == pytest.approx(month.truth.metal_produced_t("line-1", MONTH), rel=0.01)


def test_lost_taps_do_not_pass_for_a_low_efficiency(tmp_path: Path) -> None:
    month = _Month(4, tmp_path)
    lost = [e for e in month.entries if e.kind != "metal_tapped" or not 10 <= (e.start_ns - MONTH.start_ns) // DAY_NS < 12]
    model = PlantModel.of(month.site, FARADAY_KG_PER_KAH, lambda _m, _q: None)
    found = efficiencies(model, _rows(MONTH, month.full_t), lost, {}, MONTH.start_ns)
    assert {fit.origin for fits in found.values() for fit in fits.fits} <= {"stated", "stated, weighed metal disagrees"}


def test_a_late_weight_touches_the_months_whose_fit_it_changes_alone() -> None:
    june, july, august = (MONTH.start_ns + i * 30 * DAY_NS for i in range(3))
    until = august + 10 * DAY_NS
    fits = [Fit(value, 0.004, "weighed") for value in (0.93, 0.931, 0.932)]
    old = Fits((june, july, august), tuple(fits))
    new = Fits((june, july, august), (fits[0], Fit(0.94, 0.004, "weighed"), fits[2]))
    other = Fits((june, july, august), tuple(fits))
    assert changed_spans({"a": new, "b": other}, {"a": old, "b": old}, {}, until) == [Span(july, august)]
    assert changed_spans({"a": old}, {"a": old}, {}, until) == []
    both = {"a": new, "b": Fits((june, july, august), (*fits[:2], Fit(0.94, 0.004, "weighed")))}
    assert changed_spans(both, {"a": old, "b": old}, {}, until) == [Span(july, until)]
    ends = {"a": Fits((june, july, august), (Fit(0.94, 0.004, "weighed"), fits[1], Fit(0.94, 0.004, "weighed")))}
    assert changed_spans(ends, {"a": old}, {}, until) == [Span(june, july), Span(august, until)]


def test_fits_survive_the_ledger(tmp_path: Path) -> None:
    fits = _Month(4, tmp_path).fits["line-2"]
    assert fits_from(fits_state(fits)) == fits


def test_closing_months_lie_side_by_side() -> None:
    calendar = PlantCalendar(ZoneInfo("Asia/Shanghai"), closing_day=26)
    year = Span(calendar.instant_ns(date(2026, 1, 10)), calendar.instant_ns(date(2027, 1, 3)))
    found = months(calendar, year)
    assert found[0].start_ns <= year.start_ns < found[0].end_ns
    assert found[-1].start_ns < year.end_ns <= found[-1].end_ns
    assert all(a.end_ns == b.start_ns for a, b in pairwise(found))
    assert len(found) == 13


CELLS = """
branch = [
  { id = "tie", kind = "grid_tie", bus = "b" },
  { id = "rect", kind = "rectifier_group", bus = "b", potline = "line" },
]
[[potline]]
id = "line"
current_efficiency_ref = 0.93
pots = [{ valid_from = 2020-01-01T00:00:00Z, running = 200 }]
""" + "".join(
    meter_toml(name, i + 1, measures, 900)
    for i, (name, measures) in enumerate(
        {
            "tie": 'branch = "tie", rated_power_kw = 400000',
            "rect": 'branch = "rect", rated_power_kw = 300000',
            "rect-dc": 'branch = "rect", side = "dc", rated_power_kw = 300000',
        }.items()
    )
)
AC = ("active_power", "energy_import", "energy_export")
DC = ("dc_current", "dc_charge")
POWER_KW, CURRENT_KA = 200_000.0, 240.0


async def test_late_documents_restate_a_month_until_it_closes(tmp_path: Path) -> None:
    known = {"tie": AC, "rect": AC, "rect-dc": DC}
    start_ns = round(datetime(2026, 5, 31, 16, tzinfo=UTC).timestamp()) * NS
    days = 32
    async with small_plant(tmp_path, CELLS, start_ns, known) as plant:
        t_ns = start_ns + np.arange(days * 96 + 1, dtype=np.int64) * QUARTER_NS
        hours = (t_ns - start_ns) / 3.6e12
        one = np.ones(len(t_ns))
        for meter in ("tie", "rect"):
            await plant.feed(meter, t_ns, active_power=POWER_KW * one, energy_import=POWER_KW * hours, energy_export=0 * one)
        await plant.feed("rect-dc", t_ns, dc_current=CURRENT_KA * one, dc_charge=CURRENT_KA * hours)
        plant.clock.t_ns = int(t_ns[-1]) + 600 * NS
        await plant.work()
        month = plant.site.calendar.month(2026, 6)
        before = (await plant.analytics.figures(month)).figure("line:line", "metal_produced")
        full_t = 0.335573 * CURRENT_KA * 720 * 200 / 1000
        assert before is not None
        assert before.value == pytest.approx(0.93 * full_t, rel=1e-5)
        kg_a_day = round(0.945 * full_t / 30 * 1000)
        stated = [entry("metal_in_pots", "line", month.start_ns + d * DAY_NS, 2_500_000 + 300 * d) for d in range(31)]
        tapped = [entry("metal_tapped", "line", month.start_ns + d * DAY_NS + 3600 * NS, kg_a_day - 300) for d in range(30)]
        await plant.ledger.add([*stated, *tapped])
        await plant.work()
        found = await plant.analytics.figures(month)
        metal, ce, e1 = (found.figure("line:line", n) for n in ("metal_produced", "current_efficiency", "specific_energy_e1"))
        assert metal is not None
        assert ce is not None
        assert e1 is not None
        assert metal.value == pytest.approx(30 * kg_a_day / 1000, rel=1e-9)
        assert ce.value == pytest.approx(94.5, abs=0.001)
        assert e1.value == pytest.approx(POWER_KW * 720 / (30 * kg_a_day / 1000), rel=1e-9)
        rows = await plant.store.read_derived(QUARTER, ["line:line"], ["metal_produced"], month)
        assert rows.column("line:line", "metal_produced")[1].sum() == pytest.approx(metal.value, rel=1e-9)
        plant.restart()
        await plant.work()
        again = (await plant.analytics.figures(month)).figure("line:line", "metal_produced")
        assert again == metal
