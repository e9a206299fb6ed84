"""Figures of the truth: additive, consistent with one another, and equal to their definition worked out apart."""

from __future__ import annotations

import numpy as np
import pytest

from plant.series import Span
from simulators.accounts import green_in_store
from simulators.smelter import SmelterModel
from simulators.truth import Truth

T0 = 1_793_404_800_000_000_000
HOUR = 3600 * 10**9
DAY = 24 * HOUR
WEEK = Span(T0, T0 + 7 * DAY)


def test_metal_and_energy_add_up_over_spans(truth: Truth) -> None:
    halves = Span(T0, T0 + 3 * DAY + 12345), Span(T0 + 3 * DAY + 12345, T0 + 7 * DAY)
    for line in ("line-1", "line-2", "plant"):
        parts = sum(truth.metal_produced_t(line, half) for half in halves)
        assert parts == pytest.approx(truth.metal_produced_t(line, WEEK), rel=1e-9)
    assert sum(truth.energy_kwh("tie-1", half) for half in halves) == pytest.approx(truth.energy_kwh("tie-1", WEEK), rel=1e-9)


def test_plant_is_the_ratio_of_sums(truth: Truth) -> None:
    made = [truth.metal_produced_t(line, WEEK) for line in ("line-1", "line-2")]
    for figure in (truth.specific_energy_e1_kwh_per_t, truth.specific_energy_e2_kwh_per_t, truth.specific_energy_dc_kwh_per_t):
        weighted = np.dot(made, [figure("line-1", WEEK), figure("line-2", WEEK)]) / sum(made)
        assert figure("plant", WEEK) == pytest.approx(weighted, rel=1e-9)


def test_e1_follows_from_voltage_and_efficiency(truth: Truth, model: SmelterModel) -> None:
    line = truth.lines["line-1"]
    t_ns = T0 + np.arange(0, 7 * DAY, 60 * 10**9, dtype=np.int64)
    voltage = float(np.mean(model.state(t_ns)["voltage-1"]))
    efficiency = truth.current_efficiency("line-1", WEEK)
    # 1000 V / (k CE), k = 0.335573 kg/kAh; the current is nearly steady, so the mean voltage serves
    assert truth.specific_energy_dc_kwh_per_t(line.name, WEEK) == pytest.approx(
        1000 * voltage / (0.335573 * efficiency), rel=2e-4
    )
    assert (
        0.965 < truth.specific_energy_dc_kwh_per_t(line.name, WEEK) / truth.specific_energy_e1_kwh_per_t(line.name, WEEK) < 0.99
    )


def test_desulphurisation_is_what_the_tariff_leaves_out(truth: Truth) -> None:
    less = truth.specific_energy_e2_kwh_per_t("plant", WEEK) - truth.specific_energy_e2_tariff_kwh_per_t("plant", WEEK)
    per_tonne = truth.energy_kwh("desulphurisation", WEEK) / truth.metal_produced_t("plant", WEEK)
    assert less == pytest.approx(per_tonne, rel=1e-9)
    assert truth.specific_energy_e2_kwh_per_t("line-1", WEEK) > truth.specific_energy_e1_kwh_per_t("line-1", WEEK) + 200.0


def test_weighed_metal_closes_on_metal_made(truth: Truth) -> None:
    for line in truth.lines:
        stock = truth.metal_in_pots_t(line, WEEK.end_ns) - truth.metal_in_pots_t(line, WEEK.start_ns)
        tapped = truth.metal_tapped_t(line, WEEK)
        assert tapped + stock == pytest.approx(truth.metal_produced_t(line, WEEK), abs=1e-3)


def test_the_store_hands_on_the_mix_it_was_fed() -> None:
    # kWh: 10 held of unknown origin, then 10 stored from a mix half of sun: a quarter of 20 is green, and stays so on discharge
    stored = np.array([10.0, 20.0, 12.0, 12.0])
    share = green_in_store(stored, np.array([30.0, 0.0, 0.0]), np.array([30.0, 40.0, 40.0]), np.array([0.0, 7.0, 0.0]))
    np.testing.assert_allclose(share, [0.0, 0.25, 0.25])


def test_the_green_share_is_none_at_night_without_store(model: SmelterModel, truth: Truth) -> None:
    night = Span(T0 + 19 * HOUR, T0 + 20 * HOUR)  # 03:00 in Guizhou: no sun, the battery charges
    assert truth.green_share_physical_percent(night) == 0.0
    evening = Span(T0 + 12 * HOUR, T0 + 13 * HOUR)  # 20:00: the battery gives back what it got of the sun
    assert (
        0.0
        < truth.green_share_physical_percent(evening)
        < 100.0 * truth.energy("battery", evening).export_kwh / truth.load_kwh(evening)
    )
