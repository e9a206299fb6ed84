"""The outlook of a simulated smelter: it settles into the truth, says what must happen, and refuses what it cannot know."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from outlook_plant import DAY_NS, FIRST_NS, asked, demo_site, smelter_rows

from analytics.outlook import STUDY, _days
from analytics.outlook_model import Days
from analytics.outlook_targets import Limit, _best_day
from analytics.study import Studied
from analytics.table import Table
from plant.ports import LedgerEntry
from plant.series import QUARTER_NS, Span
from plant.site import Site

PLACE = "latitude_deg = 26.6\nlongitude_deg = 106.7\n"  # of the demo's [outlook]


@pytest.fixture(scope="module")
def rows() -> Table:
    return smelter_rows(3, 151)


@pytest.fixture(scope="module")
def site() -> Site:
    return demo_site()


def may(site: Site, rows: Table, day: float) -> Studied:
    """Outlook of May when ``day`` days of it are settled."""
    span = site.calendar.month(2026, 5)
    return STUDY.compute(asked(STUDY, site, "month", span, rows, span.start_ns + round(day * 96) * QUARTER_NS))


def of_may(rows: Table, site: Site, name: str) -> float:
    span = site.calendar.month(2026, 5)
    first, end = np.searchsorted(rows.start_ns, [span.start_ns, span.end_ns])
    return float(rows.columns["plant"][name][first:end].sum())


def test_it_narrows_onto_the_truth(site: Site, rows: Table) -> None:
    truth = of_may(rows, site, "renewable_generation")
    widths = []
    for day in (5, 15.25, 30.5):
        figure = may(site, rows, day).figures["plant"]["renewable_generation_outlook"]
        assert figure.low is not None and figure.high is not None and figure.value is not None
        assert figure.low <= figure.value <= figure.high
        widths.append(figure.high - figure.low)
    assert widths == sorted(widths, reverse=True)
    assert figure.value == pytest.approx(truth, rel=0.02)
    assert widths[-1] < 0.02 * truth


def test_bands_of_whole_answers_hold(site: Site, rows: Table) -> None:
    """Settled part, days and a first day in part are those of the study itself: nine looks at three months."""
    held: dict[str, list[bool]] = {}
    for month in (3, 4, 5):
        span = site.calendar.month(2026, month)
        first, end = np.searchsorted(rows.start_ns, [span.start_ns, span.end_ns])
        for day in (2.25, 12.5, 22.75):
            found = STUDY.compute(asked(STUDY, site, "month", span, rows, span.start_ns + round(day * 96) * QUARTER_NS))
            for name in ("load_energy", "grid_import", "renewable_generation", "metal_produced", "rectifier_energy"):
                figure = found.figures["plant"][f"{name}_outlook"]
                truth = float(rows.columns["plant"][name][first:end].sum())
                assert figure.low is not None and figure.high is not None
                held.setdefault(name, []).append(figure.low <= truth <= figure.high)
    assert 0.6 <= np.mean([np.mean(one) for one in held.values()]) <= 0.97
    assert min(sum(one) for one in held.values()) >= 4


def test_ratios_are_of_the_whole_month(site: Site, rows: Table) -> None:
    figures = may(site, rows, 30.9).figures["plant"]
    e1 = of_may(rows, site, "rectifier_energy") / of_may(rows, site, "metal_produced")
    assert figures["specific_energy_e1_outlook"].value == pytest.approx(e1, rel=1e-4)
    green = 100 * of_may(rows, site, "green_to_load") / of_may(rows, site, "load_energy")
    assert figures["green_share_physical_outlook"].value == pytest.approx(green, rel=0.01)
    assert figures["specific_energy_e1_outlook"].status["baseline"] == "met"


def test_the_same_data_give_the_same_answer(site: Site, rows: Table) -> None:
    assert may(site, rows, 12) == may(site, rows, 12)


def test_what_the_rest_must_average_keeps_the_limit(site: Site, rows: Table) -> None:
    target = next(t for t in may(site, rows, 12).body["targets"] if t["node"] == "plant" and t["limit"] == "benchmark")
    span = site.calendar.month(2026, 5)
    first, cut, end = np.searchsorted(rows.start_ns, [span.start_ns, span.start_ns + 12 * DAY_NS, span.end_ns])
    energy, metal = (rows.columns["plant"][name] for name in ("rectifier_energy", "metal_produced"))
    kept = energy[first:cut].sum() + target["rest_must_average"] * metal[cut:end].sum()
    assert kept / metal[first:end].sum() == pytest.approx(13_000, rel=2e-4)


def test_a_target_beyond_clear_skies_cannot_be_reached(rows: Table) -> None:
    wanted = demo_site(**{"green_share_target_percent = 15.0": "green_share_target_percent = 60.0"})
    target = next(t for t in may(wanted, rows, 12).body["targets"] if t["indicator"] == "green_share_physical")
    assert target["verdict"] == "cannot be reached"
    assert target["green_missing_mwh"] > target["surplus_expected_mwh"]
    assert "cannot be reached" in target["text"]["en"] and "无法达到" in target["text"]["zh"]


def test_load_can_only_move_to_what_is_exported(rows: Table) -> None:
    share = may(demo_site(), rows, 12).figures["plant"]["green_share_physical_outlook"].value
    assert share is not None
    goal = f"green_share_target_percent = {share + 0.2:.3f}"
    wanted = demo_site(**{"green_share_target_percent = 15.0": goal})
    target = next(t for t in may(wanted, rows, 12).body["targets"] if t["indicator"] == "green_share_physical")
    assert target["verdict"] in ("likely", "unlikely")
    assert 0 < target["load_to_shift_mwh"] <= target["surplus_expected_mwh"]
    assert target["hours_to_shift"] == pytest.approx(1000 * target["load_to_shift_mwh"] / target["surplus_power_kw"])


def test_certificates_of_the_year(rows: Table) -> None:
    site = demo_site(**{"green_share_target_percent = 15.0": "quota_target_percent = 30.0"})
    span, data = site.calendar.year(2026), {"type": "bought", "status": "cancelled", "quota_year": 2026}
    held = LedgerEntry("demo", "certificate", "a", "office", "plant", FIRST_NS, FIRST_NS, 400_000, "MWh", "li", data=data)
    found = STUDY.compute(asked(STUDY, site, "year", span, rows, FIRST_NS + 120 * DAY_NS, [held]))
    target = next(t for t in found.body["targets"] if t["limit"] == "target")
    least = found.figures["plant"]["certificate_ratio_outlook"]
    assert (least.value, least.high) == (None, None) and "not projected" in least.reason
    assert (target["expected"], target["chance"], target["verdict"]) == (None, None, "open")
    power_mwh = 400_000 / (least.low or 0) * 100  # by the lowest ratio, so by the most power used
    assert target["certificates_to_buy_high"] == pytest.approx(0.3 * power_mwh - 400_000, abs=2 + 1e-5 * power_mwh)
    assert target["certificates_to_buy_low"] <= target["certificates_to_buy"] <= target["certificates_to_buy_high"]
    without = STUDY.compute(asked(STUDY, site, "year", span, rows, FIRST_NS + 120 * DAY_NS))
    assert without.figures["plant"]["certificate_ratio_outlook"].reason == "no certificate cancelled for 2026 is in the ledger"
    bare = next(t for t in without.body["targets"] if t["limit"] == "target")
    assert bare["certificates_to_buy"] == target["certificates_to_buy"] + 400_000


def test_days_of_unknown_storage_tell_no_loss(rows: Table, site: Site) -> None:
    """Of every second day what the battery gave is not known: its loss is that of the other days."""
    day = np.arange(len(rows.start_ns)) // 96
    plant = dict(rows.columns["plant"])
    plant["storage_discharge"] = np.where(day % 2 == 0, np.nan, plant["storage_discharge"])
    holed = Table("15m", rows.start_ns, rows.step_ns, rows.columns | {"plant": plant})
    span = site.calendar.month(2026, 5)
    found = [_days(asked(STUDY, site, "month", span, r, span.start_ns + 10 * DAY_NS)) for r in (rows, holed)]
    true, seen = (days.of("plant", "storage_loss") for days in found)
    assert np.isnan(seen).sum() >= len(seen) // 2 - 1
    assert seen[np.isfinite(seen)] == pytest.approx(true[np.isfinite(seen)])


def test_a_stub_of_a_day_is_not_the_best_that_can_be() -> None:
    limit = Limit("x", "upper_limit", "specific_energy_e1", 13_000.0, "x@1")
    hours, ones = np.full(3, 24.0), np.ones(3)
    sums = {("plant", "rectifier_energy"): np.array([13_000.0, 13_100, 50]), ("plant", "metal_produced"): np.array([1.0, 1, 0.1])}
    assert _best_day(limit, "plant", Days(np.arange(3), hours, ones, ones, sums)) == 13_000.0


def test_too_short_a_past_is_refused(site: Site) -> None:
    january = site.calendar.month(2026, 1)
    found = STUDY.compute(asked(STUDY, site, "month", january, smelter_rows(3, 9), FIRST_NS + 9 * DAY_NS))
    assert found.body["status"] == "refused"
    assert found.figures["plant"]["load_energy_outlook"].value is None
    assert found.figures["plant"]["load_energy_outlook"].reason == "9 days are known, 14 are needed for an outlook"


def test_without_a_place_the_sun_is_known_for_weeks_alone(rows: Table) -> None:
    bare = demo_site(**{PLACE: ""})
    month = may(bare, rows, 12).figures["plant"]
    assert month["renewable_generation_outlook"].value == pytest.approx(of_may(rows, bare, "renewable_generation"), rel=0.3)
    year = STUDY.compute(asked(STUDY, bare, "year", bare.calendar.year(2026), rows, FIRST_NS + 150 * DAY_NS)).figures["plant"]
    assert year["renewable_generation_outlook"].value is None
    assert "names no place" in year["renewable_generation_outlook"].reason
    assert year["specific_energy_e1_outlook"].value is not None


def test_a_period_that_is_over_or_not_begun(site: Site, rows: Table) -> None:
    april, june = site.calendar.month(2026, 4), site.calendar.month(2026, 6)
    at_ns = FIRST_NS + 140 * DAY_NS
    assert STUDY.compute(asked(STUDY, site, "month", april, rows, at_ns)).body["status"] == "over"
    assert STUDY.compute(asked(STUDY, site, "month", june, rows, at_ns)).body["status"] == "refused"


def test_a_day_that_was_not_measured_is_no_day(site: Site) -> None:
    broken = smelter_rows(3, 60)
    day = site.calendar.day(date(2026, 2, 10))
    first = int(np.searchsorted(broken.start_ns, day.start_ns))
    for columns in broken.columns.values():
        for column in columns.values():
            column[first : first + 40] = np.nan
    march = site.calendar.month(2026, 3)
    found = STUDY.compute(asked(STUDY, site, "month", Span(march.start_ns, march.end_ns), broken, FIRST_NS + 60 * DAY_NS))
    assert found.body["days_known"] == 59
    assert found.figures["plant"]["specific_energy_e1_outlook"].value is not None
