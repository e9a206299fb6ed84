"""Photovoltaic fields: position of the sun, clear sky, clouds, cell temperature and inverter. Pure functions of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulators.noise import NS_PER_S, Floats, Times, draw, smooth, stream

LATITUDE_DEG, LONGITUDE_DEG = 26.6, 106.7
SOLAR_CONSTANT_W_PER_M2 = 1361.0
_DAY_S = 86_400.0
_AMPS_AT_1_KW_PER_M2 = 13.2
_SHADE_RAD = (-0.95, -0.35)  # hour angles of the sun behind a chimney: some two hours and a half of the morning


@dataclass(frozen=True, slots=True)
class Field:
    """One field: ``peak_kw`` of its modules at standard conditions, ``limit_kw`` of its inverter."""

    name: str
    peak_kw: float
    limit_kw: float
    tilt_deg: float
    cloud_lag_s: float


@dataclass(frozen=True, slots=True)
class Weather:
    """Arrays of one length: plane-of-array irradiance W/m2, air and module temperature degC, wind m/s."""

    irradiance_w_per_m2: Floats
    ambient_temperature_degc: Floats
    module_temperature_degc: Floats
    wind_speed_m_per_s: Floats


def solar_angles(t_ns: Times) -> tuple[Floats, Floats]:
    """(declination, hour angle) in rad at the plant, from the day of the year (Spencer's series, Search 2, 1971)."""
    days = t_ns / NS_PER_S / _DAY_S
    years = (days - 20_454.0) / 365.2425  # from 2026-01-01
    g = 2.0 * np.pi * (years % 1.0)
    declination = (
        0.006918
        - 0.399912 * np.cos(g)
        + 0.070257 * np.sin(g)
        - 0.006758 * np.cos(2 * g)
        + 0.000907 * np.sin(2 * g)
        - 0.002697 * np.cos(3 * g)
        + 0.00148 * np.sin(3 * g)
    )
    equation_min = 229.18 * (
        0.000075 + 0.001868 * np.cos(g) - 0.032077 * np.sin(g) - 0.014615 * np.cos(2 * g) - 0.040849 * np.sin(2 * g)
    )
    solar_time_h = (days % 1.0) * 24.0 + LONGITUDE_DEG / 15.0 + equation_min / 60.0
    return declination, np.radians(15.0 * (solar_time_h - 12.0))


def clear_sky(t_ns: Times, tilt_deg: float) -> tuple[Floats, Floats]:
    """(beam, diffuse) irradiance in W/m2 on a plane tilted to the south, without clouds; 0 below the horizon."""
    declination, hour_angle = solar_angles(t_ns)
    latitude, tilt = np.radians(LATITUDE_DEG), np.radians(tilt_deg)

    def cosine(at: float) -> Floats:
        out: Floats = np.sin(declination) * np.sin(at) + np.cos(declination) * np.cos(at) * np.cos(hour_angle)
        return out

    cos_zenith = np.clip(cosine(latitude), 0.0, None)
    cos_incidence = np.clip(cosine(latitude - tilt), 0.0, None)
    air_mass = 1.0 / np.maximum(cos_zenith, 0.02)
    direct = np.where(cos_zenith > 0.0, SOLAR_CONSTANT_W_PER_M2 * 0.72 ** (air_mass**0.678), 0.0)
    diffuse = 0.11 * direct * np.sqrt(cos_zenith) * (1.0 + np.cos(tilt)) / 2.0
    beam = direct * cos_incidence * np.minimum(1.0, cos_zenith / 0.02)
    return beam, diffuse


def cloud_cover(seed: int, t_ns: Times) -> Floats:
    """Share of the sky behind clouds, 0..1: weather of days, of hours and single clouds."""
    days = smooth(stream(seed, "cloud/days"), t_ns, 1.7 * _DAY_S)
    hours = smooth(stream(seed, "cloud/hours"), t_ns, 3.1 * 3600.0)
    single = smooth(stream(seed, "cloud/single"), t_ns, 540.0)
    slow = np.clip(0.45 + 0.55 * days + 0.18 * hours, 0.0, 1.0)
    # broken clouds flicker, a clear or a closed sky does not
    return np.clip(slow + single * 1.2 * slow * (1.0 - slow), 0.0, 1.0)


def weather(seed: int, t_ns: Times, tilt_deg: float, cloud_lag_s: float = 0.0) -> Weather:
    """Weather at a field; clouds reach it ``cloud_lag_s`` later than the station."""
    beam, diffuse = clear_sky(t_ns, tilt_deg)
    cover = cloud_cover(seed, t_ns - round(cloud_lag_s * NS_PER_S))
    irradiance = beam * (1.0 - cover) ** 1.2 + diffuse * (1.0 + 0.9 * cover) * (1.0 - 0.45 * cover)
    year = np.cos(2.0 * np.pi * ((t_ns / NS_PER_S / _DAY_S - 20_454.0 - 200.0) / 365.2425))
    day = np.cos(2.0 * np.pi * ((t_ns / NS_PER_S / _DAY_S + LONGITUDE_DEG / 360.0) - 14.5 / 24.0))
    ambient = 15.5 + 9.0 * year + 4.5 * day + 3.0 * smooth(stream(seed, "air"), t_ns, 2.3 * _DAY_S)
    wind = 2.4 + 1.6 * smooth(stream(seed, "wind/hours"), t_ns, 5400.0) + 0.7 * smooth(stream(seed, "wind/gusts"), t_ns, 60.0)
    module = ambient + irradiance * 0.032 / (1.0 + 0.12 * wind)
    return Weather(irradiance, ambient, module, np.maximum(wind, 0.0))


def field_power_kw(seed: int, field: Field, t_ns: Times) -> Floats:
    """AC power of a field in kW, never negative; clipped at the inverter's limit."""
    sky = weather(seed, t_ns, field.tilt_deg, field.cloud_lag_s)
    dc = field.peak_kw * sky.irradiance_w_per_m2 / 1000.0 * (1.0 - 0.0036 * (sky.module_temperature_degc - 25.0)) * 0.965
    ac = dc * 0.984 - 0.002 * field.peak_kw  # the inverter's own use keeps it off in the first and last light
    return np.clip(ac, 0.0, field.limit_kw)


@dataclass(frozen=True, slots=True)
class StringBox:
    """A combiner box: ``gain`` of each of its strings, the string whose fuse blew at ``blown_ns``, and the one on which a
    chimney throws its shadow in the morning."""

    gain: tuple[float, ...]
    blown: int
    blown_ns: int
    shaded: int

    @classmethod
    def of(cls, seed: int, name: str, epoch_ns: int, count: int = 12) -> StringBox:
        """The box that the seed gives a meter; its fuse blows some five weeks after energies began to be counted."""
        gain = tuple(draw(seed, f"{name}/gain/{i}", 0.98, 1.02) for i in range(count))
        blown = int(draw(seed, f"{name}/blown", 0.0, count))
        after_ns = round(draw(seed, f"{name}/blown/when", 35.0, 38.0) * _DAY_S) * NS_PER_S
        return cls(gain, blown, epoch_ns + after_ns, (blown + count // 2) % count)


def string_currents_a(box: StringBox, t_ns: Times, irradiance_w_per_m2: Floats) -> Floats:
    """Currents of the strings of a box in A, float64[n, strings], from the irradiance float64[n] at instants int64[n]."""
    current = _AMPS_AT_1_KW_PER_M2 * irradiance_w_per_m2[:, None] / 1000.0 * np.array(box.gain)
    current[t_ns >= box.blown_ns, box.blown] = 0.0
    _, hour_angle = solar_angles(t_ns)
    morning = (hour_angle > _SHADE_RAD[0]) & (hour_angle < _SHADE_RAD[1])
    current[morning, box.shaded] *= 0.35
    out: Floats = current
    return out
