"""What the sun gives without clouds: from the place of the plant, or from what its fields have shown by time of day."""

from __future__ import annotations

import numpy as np

from analytics.counters import F64, I64, Mask
from plant.series import QUARTER_NS
from plant.settings.baseline import OutlookSettings

SLOTS_A_DAY = 96
HORIZON_DEG = -1.0  # the air lifts the sun by half a degree, and its disc is half a degree wide
J2000_NS = 946_728_000_000_000_000


def sun_elevation(t_ns: I64, latitude_deg: float, longitude_deg: float) -> tuple[F64, F64, F64]:
    """(sine of the elevation, declination in rad, hour angle in rad) of the sun at instants [m].

    Source: low-precision formulas of the Astronomical Almanac, good to 0.01 degree between 1950 and 2050.
    """
    n = (t_ns - J2000_NS) / 86_400e9
    mean_longitude, anomaly = 280.460 + 0.9856474 * n, np.radians(357.528 + 0.9856003 * n)
    ecliptic = np.radians(mean_longitude + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
    obliquity = np.radians(23.439 - 4e-7 * n)
    declination = np.arcsin(np.sin(obliquity) * np.sin(ecliptic))
    ascension = np.arctan2(np.cos(obliquity) * np.sin(ecliptic), np.cos(ecliptic))
    sidereal = np.radians(280.46062 + 360.98564737 * n + longitude_deg)
    hour_angle = sidereal - ascension
    latitude = np.radians(latitude_deg)
    sine = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(hour_angle)
    return sine, declination, hour_angle


def clear_irradiance(t_ns: I64, latitude_deg: float, longitude_deg: float, tilt_deg: float) -> F64:
    """Irradiance in W/m2 at instants [m] on a plane tilted towards the equator, without clouds.

    Source: Daneshyar-Paltridge-Proctor, beam 950.2 (1 - exp(-0.075 elevation)), diffuse 14.29 + 21.04 elevation in rad.
    """
    sine, declination, hour_angle = sun_elevation(t_ns, latitude_deg, longitude_deg)
    elevation = np.arcsin(np.clip(sine, 0.0, 1.0))
    beam = 950.2 * (1.0 - np.exp(-0.075 * np.degrees(elevation)))
    diffuse = 14.29 + 21.04 * elevation
    seen_from = np.radians(latitude_deg - np.copysign(tilt_deg, latitude_deg))
    incidence = np.sin(seen_from) * np.sin(declination) + np.cos(seen_from) * np.cos(declination) * np.cos(hour_angle)
    on_plane = beam * np.clip(incidence, 0.0, None) + diffuse * (1.0 + np.cos(np.radians(tilt_deg))) / 2.0
    return np.where(sine > 0.0, on_plane, 0.0)


def clear_slots(start_ns: I64, settings: OutlookSettings) -> F64 | None:
    """Relative clear-sky energy of 15-min slots [m], None where the settings name no place."""
    if settings.latitude_deg is None or settings.longitude_deg is None:
        return None
    return clear_irradiance(start_ns + QUARTER_NS // 2, settings.latitude_deg, settings.longitude_deg, settings.tilt_deg)


def dark_slots(start_ns: I64, latitude_deg: float, longitude_deg: float) -> Mask:
    """Whether the sun is below the horizon from start to end of 15-min slots, bool[m]."""
    ends = [sun_elevation(start_ns + past, latitude_deg, longitude_deg)[0] for past in (0, QUARTER_NS)]
    below: Mask = np.maximum(*ends) < np.sin(np.radians(HORIZON_DEG))
    return below


def envelope(start_ns: I64, energy: F64, days: int) -> F64:
    """Most that each time of day [96] (UTC) gave in the last ``days`` of the slots [m]; 0 where it was never seen."""
    recent = start_ns >= start_ns[-1] + QUARTER_NS - days * 86_400_000_000_000 if len(start_ns) else np.zeros(0, bool)
    most = np.zeros(SLOTS_A_DAY)
    np.maximum.at(most, slot_of_day(start_ns[recent]), np.nan_to_num(energy[recent]))
    return most


def slot_of_day(start_ns: I64) -> I64:
    """Which of the 96 slots of the UTC day each starts."""
    found: I64 = (start_ns // QUARTER_NS) % SLOTS_A_DAY
    return found
