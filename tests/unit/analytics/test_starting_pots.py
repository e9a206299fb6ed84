"""Energy of starting pots is taken off by edition, slot by slot, and wherever energy is put per tonne."""

from __future__ import annotations

import numpy as np
import pytest
from analytics_plant import entry
from process_rows import AC_KWH, CE, DAY, ETA, METAL_T, RULES, RUNNING, K, of_day, rows_of, site_of

from analytics.period import period_figures
from analytics.period_rows import Period
from analytics.study import Question
from analytics.tariff_projection import AssessedUnit, specific
from analytics.tariff_study import wants
from plant import nodes
from plant.indicators import Figure
from plant.ports import LedgerEntry
from plant.series import QUARTER_NS, Span

POTS = RUNNING + ", { valid_from = 2026-05-31T16:00:00Z, running = 298, starting = 2 }"
KEPT = "[process]\nstarting_voltage_v = 6.0\n"
# rows are of 300 pots' metal: the line's ampere-hours follow from it and the 298 of the register
OFF_DC = METAL_T * 1000 / K / CE / 298 * 12
OFF_AC = OFF_DC / ETA


def _edition(day: str) -> str:
    return KEPT + f'start_up = [{{ valid_from = {day}, energy = "deducted", document = "norm" }}]\n'


def _period(settings: str, days: int = 1, entries: list[LedgerEntry] | None = None) -> Period:
    rows = rows_of(Span(DAY.start_ns, DAY.start_ns + days * (DAY.end_ns - DAY.start_ns)))
    span = Span(DAY.start_ns, int(rows.start_ns[-1]) + QUARTER_NS)
    return Period(site_of(settings, POTS), RULES, span, "day" if days == 1 else "interval", rows, "provisional", entries or [])


def _plant(period: Period) -> dict[str, Figure]:
    return dict(period_figures(period).figures[nodes.PLANT])


def test_every_energy_per_tonne_is_without_them_by_edition() -> None:
    kept, off = _plant(_period(KEPT)), _plant(_period(_edition("2026-01-01")))
    less = {"specific_energy_dc": OFF_DC, "specific_energy_e1": OFF_AC, "specific_energy_e2_tariff": OFF_AC}
    for name, kwh in less.items():
        assert kept[name].value is not None
        assert off[name].value == pytest.approx((kept[name].value or 0.0) - kwh / METAL_T)
        assert "taken off" in off[name].reason
    assert off["specific_energy_e1"].value == pytest.approx((AC_KWH - OFF_AC) / METAL_T)
    assert off["rectifier_efficiency"].value == pytest.approx(100 * ETA)


def test_an_edition_takes_off_from_its_own_day_on() -> None:
    kept, later = _plant(_period(KEPT, 4)), _plant(_period(_edition("2026-06-04"), 4))
    name = "specific_energy_e1"
    assert later[name].value == pytest.approx((kept[name].value or 0.0) - OFF_AC / METAL_T / 4)


def test_the_tiered_price_is_assessed_on_what_the_report_says() -> None:
    period = _period(_edition("2026-01-01"))
    found, _ = specific(period, AssessedUnit(nodes.PLANT, ("a",), "comprehensive_energy_tariff"))
    assert found.value == pytest.approx(_plant(period)["specific_energy_e2_tariff"].value)
    question = Question(period.site, RULES, "year", period.site.calendar.year(2026), DAY.end_ns, DAY.end_ns)
    read = {field for _, fields in wants(question).columns for field in fields}
    assert {"rectifier_energy", "dc_energy", "pots_running", "current_efficiency"} <= read


def test_ingots_are_without_them_too() -> None:
    booked = [of_day("ingots", 1_100_000), entry("metal_tapped", "a", DAY.start_ns + 1, 1_100_000)]
    kept, off = (_plant(_period(text, 1, booked))["specific_energy_e3"].value for text in (KEPT, _edition("2026-01-01")))
    assert kept is not None
    assert off == pytest.approx(kept - OFF_AC / METAL_T)


def test_what_no_voltage_is_stated_for_stays_in_and_is_told() -> None:
    period = _period('[process]\nstart_up = [{ valid_from = 2026-01-01, energy = "deducted", document = "norm" }]\n')
    found = _plant(period)["specific_energy_e1"]
    assert found.value == pytest.approx(AC_KWH / METAL_T)
    assert "states no voltage" in found.reason
    assert np.isfinite(found.value or np.nan)
