"""The sun's place and the clear sky, against dates that everybody knows."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from analytics.clear_sky import clear_irradiance, clear_slots, dark_slots, envelope, sun_elevation
from plant.series import QUARTER_NS
from plant.settings.baseline import OutlookSettings


def at(text: str) -> np.ndarray:
    return np.array([round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000], np.int64)


@pytest.mark.parametrize(
    ("when", "declination_deg"),
    [("2026-03-20T14:46", 0.0), ("2026-06-21T08:24", 23.437), ("2026-09-23T00:05", 0.0), ("2026-12-21T20:50", -23.437)],
)
def test_declination_at_equinox_and_solstice(when: str, declination_deg: float) -> None:
    """Instants of the almanac for 2026; good to 0.01 degree."""
    assert np.degrees(sun_elevation(at(when), 0.0, 0.0)[1][0]) == pytest.approx(declination_deg, abs=0.012)


@pytest.mark.parametrize(
    ("when", "minutes"), [("2026-02-11T12:00", -14.2), ("2026-11-03T12:00", 16.5), ("2026-04-15T12:00", 0.0)]
)
def test_equation_of_time(when: str, minutes: float) -> None:
    """At clock noon in Greenwich the sun is where the equation of time says: 4 minutes a degree."""
    hour_angle = sun_elevation(at(when), 51.5, 0.0)[2][0]
    assert 4 * np.degrees((hour_angle + np.pi) % (2 * np.pi) - np.pi) == pytest.approx(minutes, abs=0.25)


def test_days_are_as_long_as_they_are() -> None:
    slots = at("2026-12-21T00:00")[0] - 8 * 3_600_000_000_000 + np.arange(96, dtype=np.int64) * QUARTER_NS
    light = clear_slots(slots, OutlookSettings(latitude_deg=26.6, longitude_deg=106.7))
    assert light is not None
    # half the day length: cos H = -tan(26.6 deg) tan(-23.44 deg), 10.3 h
    assert np.count_nonzero(light) / 4 == pytest.approx(10.3, abs=0.5)
    assert clear_slots(slots, OutlookSettings()) is None


def test_the_dark_is_where_the_sun_cannot_be() -> None:
    slots = at("2026-12-21T00:00")[0] + np.arange(96, dtype=np.int64) * QUARTER_NS
    dark = dark_slots(slots, 26.6, 106.7)
    assert np.count_nonzero(dark) / 4 == pytest.approx(24 - 10.3, abs=0.75)
    assert not (dark & (clear_irradiance(slots + QUARTER_NS // 2, 26.6, 106.7, 0.0) > 5.0)).any()


def test_tilt_turns_to_the_equator_on_both_sides_of_it() -> None:
    noon = at("2026-12-21T12:00")
    north = clear_irradiance(noon, 45.0, 0.0, 45.0), clear_irradiance(noon, 45.0, 0.0, 0.0)
    south = clear_irradiance(at("2026-06-21T12:00"), -45.0, 0.0, 45.0), clear_irradiance(at("2026-06-21T12:00"), -45.0, 0.0, 0.0)
    assert north[0][0] > 1.5 * north[1][0] and south[0][0] > 1.5 * south[1][0]


def test_envelope_is_the_most_of_the_last_days() -> None:
    start = np.arange(96 * 10, dtype=np.int64) * QUARTER_NS
    energy = np.repeat(np.arange(10.0, 0, -1), 96)
    energy[-5] = np.nan
    assert envelope(start, energy, 3).tolist() == [3.0] * 96
