"""Whole plants of fixed seeds through the shipped path, held against the truth. Fresh seeds: `potwatt selftest truth`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from analytics.figures import PeriodFigures
from plant.calendar import PlantCalendar
from plant.series import Span
from potwatt.selftest.cli import selftest_app
from potwatt.selftest.truth import TruthSettings, cases_of
from potwatt.selftest.truth_run import Case, analysed, run_trial
from potwatt.selftest.truth_table import Meters, verdict
from simulators.faults import Reported, with_faults
from simulators.smelter import SmelterModel
from simulators.trial import Trial, TrialSettings
from simulators.trial_faults import KINDS, draw_faults
from simulators.true_figures import true_figures
from simulators.truth import Truth

DAYS = 3
SPAN = TruthSettings(1, DAYS, 0, "none", 1).span
DAY = TruthSettings(1, 1, 0, "none", 1).span
MONTH = TruthSettings(1, 30, 0, "none", 1).span  # of the calendar
HOUR_NS = 3_600_000_000_000
PV = ("pv-1-inverter", "pv-2-inverter", "pv-3-inverter")


def test_exact_meters_give_exact_figures_of_a_closed_month() -> None:
    settings = TrialSettings(3, MONTH, class_used=0.0, step_s=300)
    found = verdict(run_trial(settings), Meters.EXACT)
    assert found.failures == []
    truth = Truth(SmelterModel(3, MONTH.start_ns))
    expected = {f"{node.partition(':')[0]} {name}" for node, name in true_figures(truth, MONTH)}
    assert {row.name for row in found.rows if row.period == "month" and not row.nulls} >= expected
    assert {row.name for row in found.rows} - expected == {"point energy_import", "point energy_export"}


def test_days_in_a_row_are_no_month() -> None:
    found = verdict(run_trial(TrialSettings(1, SPAN, class_used=0.0, step_s=300)), Meters.EXACT)
    assert found.failures == []
    assert {row.period for row in found.rows} == {"day", "span"}


def test_bands_hold_the_truth_and_are_sharp() -> None:
    found = verdict(cases_of([TrialSettings(seed, DAY, step_s=300) for seed in range(20, 30)], 2), Meters.CLASS)
    assert found.failures == []
    sharp = {row.name: row.sharpness for row in found.rows if row.period == "span"}
    assert sharp["plant load_energy"] is not None
    assert sharp["plant load_energy"] < 1.3
    unsharp = ["branch maximum_demand", "line metal_tapped", "plant metal_tapped"]  # steps of registers, and days without a tap
    assert [name for name, known in sharp.items() if known is None] == unsharp
    assert all(pooled.allowance < 0.03 for pooled in found.pooled)


def test_no_fault_makes_figures_and_points_silently_wrong() -> None:
    trials = [TrialSettings(seed, SPAN, KINDS, step_s=300) for seed in range(31, 34)]
    found = verdict(cases_of(trials, 2), Meters.FAULTY)
    assert found.failures == []


def test_every_kind_of_fault_changes_what_is_sent() -> None:
    span = Span(SPAN.start_ns, SPAN.start_ns + 30 * HOUR_NS)
    sound = Trial(TrialSettings(5, span)).reported()
    for kind in KINDS:
        trial = Trial(TrialSettings(5, span, (kind,)))
        sent = trial.reported()
        changed = [m for m in sent if not _same(sent[m], sound[m])]
        assert changed, kind
        assert set(changed) <= {meter for meter, _ in trial.drawn.told}, kind


def test_the_same_seed_draws_the_same_faults() -> None:
    meters = [f"m{i}" for i in range(40)]
    first, second = (draw_faults(3, SPAN, meters, meters[:2], KINDS, SPAN.start_ns) for _ in range(2))
    assert first.told == second.told
    assert first.told != draw_faults(4, SPAN, meters, meters[:2], KINDS, SPAN.start_ns).told


async def test_noon_deleted_from_pv_widens_the_band_and_keeps_the_truth_inside(tmp_path: Path) -> None:
    trial = Trial(TrialSettings(9, SPAN))
    whole, sent = trial.reported(), trial.reported()
    for meter in PV:
        sent[meter] = _without_noon(sent[meter])
    for part in ("whole", "holed"):
        (tmp_path / part).mkdir()
    full = await _month(trial, tmp_path / "whole", whole)
    holed = await _month(trial, tmp_path / "holed", sent)
    true_share = trial.truth.green_share_physical_percent(SPAN)
    true_made = -sum(trial.truth.energy_kwh(field, SPAN) for field in ("pv-1", "pv-2", "pv-3"))
    for name, truth in (("green_share_physical", true_share), ("renewable_generation", true_made)):
        before, after = full.figure("plant", name), holed.figure("plant", name)
        assert before is not None and after is not None
        assert after.low is not None and after.high is not None and before.low is not None and before.high is not None
        assert after.high - after.low > 1.5 * (before.high - before.low), name
        assert after.low <= truth <= after.high, name
        assert after.measured_share < before.measured_share - 0.2, name
        if after.value is None:
            assert "measured share" in after.reason, name
        else:
            assert after.value == pytest.approx(truth, rel=0.1), name
            assert "estimated" in after.reason, name
        assert not before.reason, name


def test_a_gate_that_fails_is_told() -> None:
    case = Case(1, "month", SPAN.start_ns, "plant", "load_energy", 100.0, 101.0, 100.9, 101.1, class_share=1e-5)
    found = verdict([replace(case, seed=seed) for seed in range(40)], Meters.CLASS)
    assert len(found.silent) == 40
    said = " ".join(found.failures)
    for gate in (
        "a whole band is 100.00 x",
        "plant load_energy (month): the band holds",
        "figures (month): 100.0% of 40 are wrong",
    ):
        assert gate in said
    exact = verdict([replace(case, low=99.0, class_share=None, allowed=0.005)], Meters.EXACT)
    assert [f for f in exact.failures if "off by 0.500% beyond" in f] == exact.failures


@pytest.mark.parametrize("meters", list(Meters))
def test_what_says_nothing_fails(meters: Meters) -> None:
    case = Case(1, "month", SPAN.start_ns, "plant", "load_energy", 100.0, 100.0, 99.9, 100.1, 1.0, (), 0.001)
    for unsaid in (replace(case, value=None), replace(case, low=None), replace(case, high=None)):
        found = verdict([case, unsaid], meters)
        assert [f for f in found.failures if "1 of 2 have no value or no band" in f], unsaid
    assert verdict([case], meters).failures == []


def test_a_band_that_says_nothing_fails_with_a_gap_as_well() -> None:
    case = Case(1, "month", SPAN.start_ns, "plant", "load_energy", 100.0, 100.0, 0.0, 1e6, 0.99, ("estimated",), 0.001)
    assert [f for f in verdict([case], Meters.FAULTY).failures if "at a measured share of 99.00%" in f]
    closed = replace(case, low=99.5, high=100.5, measured_share=1.0)
    assert [f for f in verdict([closed], Meters.FAULTY).failures if "0.5% either side" in f]


def test_one_month_of_two_silently_wrong_fails() -> None:
    case = Case(1, "month", SPAN.start_ns, "plant", "load_energy", 100.0, 100.0, 99.9, 100.1)
    wrong = replace(case, seed=2, value=101.0, low=100.9, high=101.1)
    cases = [replace(c, indicator=f"{c.indicator}-{i}") for i in range(40) for c in (case, wrong)]
    assert (
        "all figures (month): 50.0% of 80 are wrong without a word; at most 5% may be" in verdict(cases, Meters.FAULTY).failures
    )


def test_the_command_names_its_seed_and_unknown_faults() -> None:
    refused = CliRunner().invoke(selftest_app, ["truth", "--faults", "gremlins", "--seed", "4"])
    assert refused.exit_code == 2
    assert "gremlins" in refused.output


def _same(one: Reported, other: Reported) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("t_ns", "arrival_ns", "value"))


def _without_noon(reported: Reported) -> Reported:
    """Nothing between 10:00 and 14:00 of any day in the plant's zone, registers neither."""
    calendar: PlantCalendar = Trial(TrialSettings(9, SPAN)).site.calendar
    first = calendar.local(SPAN.start_ns).date()
    start = calendar.instant_ns(first)
    hour = (reported.t_ns - start) // HOUR_NS % 24
    rows = np.flatnonzero((hour < 10) | (hour >= 14))
    power = reported.quantities.index("active_power")
    kept = Reported(
        (reported.quantities[power],), reported.t_ns[rows], reported.arrival_ns[rows], reported.value[rows][:, [power]]
    )
    return with_faults(kept, ())


async def _month(trial: Trial, folder: Path, sent: dict[str, Reported]) -> PeriodFigures:
    async with analysed(trial, folder, sent) as analytics:
        return await analytics.figures(Span(SPAN.start_ns, SPAN.end_ns), "month")
