"""Baselines: a saving put into the rows is found with its uncertainty, and what says nothing is refused with a reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from outlook_plant import DAY_NS, FIRST_NS, asked, demo_site

from analytics.baseline import STUDY
from analytics.study import Studied
from analytics.table import Table
from api.render.table import note
from plant.errors import ConfigError
from plant.ports import LedgerEntry
from plant.series import QUARTER_NS
from plant.site import Site

DAYS = 120
BASELINE = """
[[baseline]]
id = "potline-1"
node = "line-1"
energy = "rectifier_energy"
variables = ["metal_produced"]
reference_start = 2026-01-01
reference_end = 2026-03-01
"""


def made_rows(saved: float = 0.0, noise: float = 0.002, kwh_per_t: float = 12_600.0) -> Table:
    """Days of 400 to 460 t at 100 000 kWh + 12 600 kWh/t, with ``saved`` of it spared from March on."""
    rng = np.random.default_rng(8)
    metal = rng.uniform(400, 460, DAYS)
    energy = (100_000 + kwh_per_t * metal) * (1 + noise * rng.standard_normal(DAYS))
    energy[59:] *= 1 - saved
    ones = np.ones(DAYS * 96)
    columns = {
        "line:line-1": {
            "metal_produced": np.repeat(metal / 96, 96),
            "rectifier_energy": np.repeat(energy / 96, 96),
            "measured_share": ones.copy(),
        }
    }
    return Table("15m", FIRST_NS + np.arange(DAYS * 96, dtype=np.int64) * QUARTER_NS, QUARTER_NS, columns)


def march(rows: Table, site: Site | None = None, settled_days: int = DAYS, entries: tuple[LedgerEntry, ...] = ()) -> Studied:
    site = site or demo_site(BASELINE)
    span = site.calendar.month(2026, 3)
    return STUDY.compute(asked(STUDY, site, "month", span, rows, FIRST_NS + settled_days * DAY_NS, entries))


def test_a_saving_is_found_within_its_uncertainty() -> None:
    found = march(made_rows(saved=0.01))
    figure, (body,) = found.figures["baseline:potline-1"]["baseline_saving_percent"], found.body["baselines"]
    assert figure.value == pytest.approx(1.0, abs=0.15)
    assert figure.low is not None and figure.high is not None and figure.low < 1.0 < figure.high
    assert body["proven"] and body["status"] == "held"
    assert body["fit"]["variables"][0]["slope"] == pytest.approx(12_600, rel=0.05)
    assert body["fit"]["r2"] > 0.97 and body["reference_points"] == 59
    assert [row["label"] for row in body["cusum"]] == [f"2026-03-{n:02}" for n in range(1, 32)]
    assert body["cusum"][-1]["cusum_kwh"] == pytest.approx(body["saving_kwh"])


def test_nothing_saved_is_not_called_a_saving() -> None:
    proven = [march(made_rows(noise=noise)).body["baselines"][0]["proven"] for noise in (0.001, 0.002, 0.003)]
    assert proven == [False] * 3


def test_intervals_hold_what_they_say() -> None:
    """The sum of 30 days after 60 days of reference, 400 times over: 9 of 10 intervals of 90 % hold it, give or take."""
    from analytics.regression import fit

    rng, held = np.random.default_rng(4), 0
    for _ in range(400):
        x = rng.uniform(400, 460, (90, 1))
        y = 5 + 12 * x[:, 0] + rng.normal(0, 30, 90)
        model = fit(("metal_produced",), x[:60], y[:60])
        assert model is not None
        held += abs(y[60:].sum() - model.predict(x[60:]).sum()) <= model.half_width(x[60:], 0.9)
    assert 0.86 <= held / 400 <= 0.97


def test_a_running_month_counts_its_whole_days() -> None:
    body = march(made_rows(), settled_days=70).body["baselines"][0]
    assert body["points"] == 11 and body["cusum"][-1]["label"] == "2026-03-11"


def test_badly_measured_days_are_left_out_and_counted() -> None:
    rows = made_rows(saved=0.01)
    share = rows.columns["line:line-1"]["measured_share"]
    share[62 * 96 : 64 * 96] = 0.2
    share[10 * 96 : 11 * 96] = 0.2
    found = march(rows)
    body = found.body["baselines"][0]
    assert (body["points_badly_measured"], body["reference_points_left_out"], len(body["cusum"])) == (2, 1, 29)
    assert found.figures["baseline:potline-1"]["baseline_saving"].completeness == pytest.approx(29 / 31)


def test_two_days_say_nothing_of_a_month() -> None:
    rows = made_rows(saved=0.01)
    rows.columns["line:line-1"]["measured_share"][61 * 96 : 90 * 96] = 0.1
    found = march(rows)
    figure = found.figures["baseline:potline-1"]["baseline_saving"]
    assert (figure.value, figure.reason) == (None, "2 of 31 points of the period are measured well enough, 50% are needed")
    assert found.body["baselines"][0]["status"] == "refused"
    assert note(figure.reason, "zh") == "本期 31 个数据点中 2 个实测充分,至少需要 50%"


def test_rows_between_reference_and_period_are_not_read() -> None:
    site = demo_site(BASELINE)
    span = site.calendar.month(2026, 4)
    rows = made_rows(saved=0.01)
    material = asked(STUDY, site, "month", span, rows, FIRST_NS + DAYS * DAY_NS)
    assert len(material.rows.start_ns) == (59 + 30) * 96
    whole = replace(material, rows=rows)
    found, same = (STUDY.compute(m).figures["baseline:potline-1"]["baseline_saving"] for m in (material, whole))
    assert (found.value, found.low) == (pytest.approx(same.value), pytest.approx(same.low))


def test_a_tap_that_cannot_be_is_no_metal() -> None:
    site = demo_site(BASELINE.replace('"metal_produced"', '"metal_tapped"'))
    taps = [
        LedgerEntry("demo", "metal_tapped", f"t{day}", "office", "line-1", start, start, kg, "kg", "li", data=data)
        for day in range(DAYS)
        for start in [FIRST_NS + day * DAY_NS + 1]
        for kg, data in ((430_000 + 100 * day, {}), (900_000_000, {"implausible": "too much"}))
    ]
    material = asked(STUDY, site, "month", site.calendar.month(2026, 3), made_rows(), FIRST_NS + DAYS * DAY_NS, taps)
    found = STUDY.compute(material).body["baselines"][0]
    assert found["fit"]["variables"][0]["range"] == pytest.approx([430.0, 435.8])


@pytest.mark.parametrize(
    ("rows", "more", "reason"),
    [
        (made_rows(noise=0.2), "", "R2 "),
        (made_rows(), "points_min = 80", "the reference has 59 points, 80 are needed"),
        (made_rows(), 'resolution = "month"', "the reference has 2 points, 10 are needed"),
    ],
)
def test_weak_fits_are_refused(rows: Table, more: str, reason: str) -> None:
    found = march(rows, demo_site(BASELINE + more))
    figure = found.figures["baseline:potline-1"]["baseline_saving"]
    assert figure.value is None and figure.reason.startswith(reason)
    assert found.body["baselines"][0]["status"] == "refused"


def test_beyond_the_range_nothing_is_said() -> None:
    rows = made_rows()
    rows.columns["line:line-1"]["metal_produced"][59 * 96 :] *= 0.7
    figure = march(rows).figures["baseline:potline-1"]["baseline_energy"]
    assert figure.value is None and figure.reason == "31 of 31 points lie beyond the range of the baseline"


def test_a_variable_that_stands_still_is_refused() -> None:
    rows = made_rows()
    rows.columns["line:line-1"]["metal_produced"][:] = 4.4
    assert march(rows).figures["baseline:potline-1"]["baseline_saving"].reason.startswith("a relevant variable stands still")


def test_ingots_come_from_the_ledger() -> None:
    rows, site = made_rows(), demo_site(BASELINE.replace('"metal_produced"', '"ingots"'))
    metal = rows.columns["line:line-1"]["metal_produced"].reshape(DAYS, 96).sum(axis=1)
    entries = tuple(
        LedgerEntry("demo", "ingots", f"{i}", "office", "line-1", at, at + DAY_NS, round(1000 * t), "kg", "li")
        for i, t in enumerate(metal)
        for at in [FIRST_NS + i * DAY_NS]
    )
    by_ingots, by_metal = march(rows, site, entries=entries), march(rows)
    value = by_metal.figures["baseline:potline-1"]["baseline_energy"].value
    assert by_ingots.figures["baseline:potline-1"]["baseline_energy"].value == pytest.approx(value, rel=1e-6)


def test_degree_days_of_the_weather_meter() -> None:
    """Energy that follows the cold: 300 kWh for each degree below 18, on days that come out of a mean of 96 readings."""
    rng = np.random.default_rng(2)
    mean = rng.uniform(0, 15, DAYS)
    rows = made_rows()
    line = rows.columns["line:line-1"]
    line["rectifier_energy"] = np.repeat((500_000 + 300 * (18 - mean) + rng.normal(0, 50, DAYS)) / 96, 96)
    rows.columns["meter:weather"] = {"ambient_temperature": np.repeat(mean, 96) + np.tile(np.linspace(-3, 3, 96), DAYS)}
    cold = BASELINE.replace('"metal_produced"', '"heating_degree_days"') + 'weather_meter = "weather"'
    (fitted,) = march(rows, demo_site(cold)).body["baselines"][0]["fit"]["variables"]
    assert fitted["slope"] == pytest.approx(300, rel=0.02)


def test_faults_of_the_settings_are_named() -> None:
    wrong = BASELINE.replace('"line-1"', '"line-9"') + "points_min = 6\n"
    with pytest.raises(ConfigError) as error:
        demo_site(wrong.replace("2026-03-01", "2025-03-01"), **{"longitude_deg = 106.7\n": ""})
    text = str(error.value)
    assert all(key in text for key in ("baseline[potline-1].node", "baseline[potline-1].reference_end", "outlook.latitude_deg"))
