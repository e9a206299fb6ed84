"""Readings of one profile to blocks of columns in canonical units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from collector.payloads.decoder import Reading
from devices.maps import Profile
from plant.frame import FrameBlock
from plant.quality import ABSENT

_ABSENT = np.int16(int(ABSENT))


class Columns:
    """Knows the quantities of a profile with their scales and offsets."""

    def __init__(self, profile: Profile) -> None:
        assert profile.mqtt is not None, profile.id
        points = profile.mqtt.points
        self._profile, self._event, self._quantities = profile.id, profile.event, profile.quantities
        self._numerator = np.array([float(point.scale.numerator) for point in points])
        self._denominator = np.array([float(point.scale.denominator) for point in points])
        self._offset = np.array([float(point.offset) for point in points])
        self._shifted = bool(self._offset.any())

    def blocks(self, plant: str, readings: Sequence[Reading]) -> list[FrameBlock]:
        """One block of the readings with all quantities, in order, then one of each set of quantities that came alone."""
        if not any(reading.columns for reading in readings):
            return [self._block(plant, readings, ())] if readings else []
        by_columns: dict[tuple[int, ...], list[Reading]] = {(): []}
        for reading in readings:
            by_columns.setdefault(reading.columns, []).append(reading)
        return [self._block(plant, some, columns) for columns, some in by_columns.items() if some]

    def _block(self, plant: str, readings: Sequence[Reading], columns: tuple[int, ...]) -> FrameBlock:
        picked = list(columns) if columns else slice(None)
        quantities = tuple(self._quantities[i] for i in columns) if columns else self._quantities
        value = np.array([reading.raw for reading in readings], np.float64).reshape(len(readings), len(quantities))
        quality = np.where(np.isnan(value), _ABSENT, np.int16(0))
        if any(reading.quality for reading in readings):
            quality |= _said(readings, len(quantities))
        value *= self._numerator[picked]
        value /= self._denominator[picked]
        if self._shifted:
            value += self._offset[picked]
        names = [reading.meter for reading in readings]
        meters = tuple(dict.fromkeys(names))
        position = {meter: i for i, meter in enumerate(meters)}
        return FrameBlock(
            plant,
            self._profile,
            quantities,
            meters,
            np.array([position[name] for name in names], np.int32),
            np.array([reading.t_ns for reading in readings], np.int64),
            value,
            quality,
            tuple(reading.event_id for reading in readings) if self._event else (),
        )


def _said(readings: Sequence[Reading], columns: int) -> npt.NDArray[np.int16]:
    """Quality words that the messages gave, 0 where they gave none."""
    none = (0,) * columns
    return np.array([reading.quality or none for reading in readings], np.int16)
