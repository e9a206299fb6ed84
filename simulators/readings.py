"""What every meter of the demo's site shows at any instant, and history as FrameBlocks through the devices' own codec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from devices.codec import decode, encode
from devices.profile import PayloadMap, Profile
from plant.frame import FRAMES_MAX, NS_PER_MS, FrameBlock
from plant.quality import ABSENT
from plant.series import Span
from plant.site import Meter, MeteringPoint, Mounting, Site
from simulators import meters
from simulators.meters import Snapshot
from simulators.noise import NS_PER_S, Floats, Times
from simulators.smelter import SmelterModel
from simulators.tapping import Tapping, Taps

_DAY_NS = 86_400 * NS_PER_S


class Readings:
    """Readings of the meters of a site that was made by ``demo_site_toml``, in the column order of their profiles."""

    def __init__(self, model: SmelterModel, site: Site, profiles: Mapping[str, Profile]) -> None:
        self.model, self.site, self.profiles = model, site, profiles
        self._mounted: dict[str, tuple[MeteringPoint, Mounting]] = {
            mounting.meter: (point, mounting) for point in site.points.values() for mounting in point.mountings
        }
        lines = {line.name: line for line in model.parameters.lines}
        self._tapping = {p.scale_meter: Tapping(model, lines[p.id]) for p in site.potlines.values() if p.scale_meter}
        self._pots = {p.feed_meter: lines[p.id].number for p in site.potlines.values() if p.feed_meter}

    def snapshot(self, t_ns: Times) -> Snapshot:
        """The truth that all meters see at instants int64[n]; take one for many meters."""
        return Snapshot(t_ns, self.model.state(t_ns), *self.model.integrals(t_ns))

    def reading_columns(self, meter_id: str, t_ns: Times) -> Floats:
        """What a meter shows at instants int64[n]: float64[n, k], canonical units, the profile's quantity order."""
        return self.columns(meter_id, self.snapshot(t_ns))

    def columns(self, meter_id: str, snapshot: Snapshot) -> Floats:
        """The same from a snapshot; quantities that the simulated device lacks are NaN."""
        shown = self._shown(meter_id, snapshot)
        missing = np.full(len(snapshot.t_ns), np.nan)
        points = self.profile(meter_id).points
        return np.column_stack([_wrapped(shown.get(point.name, missing), point.wraps_at) for point in points])

    def profile(self, meter_id: str) -> Profile:
        """The profile of a meter."""
        return self.profiles[self.site.meters[meter_id].profile]

    def words(self, meter_id: str, snapshot: Snapshot) -> npt.NDArray[np.uint16]:
        """Registers uint16[n, w] of a Modbus meter in the order of its read plan."""
        return encode(self.profile(meter_id), self.columns(meter_id, snapshot))

    def taps(self, meter_id: str, span: Span) -> Taps:
        """Taps that a ladle scale weighs within a span."""
        return self._tapping[meter_id].taps(span)

    def history_blocks(self, start_ns: int, end_ns: int, step_s: int = 60) -> Iterator[list[FrameBlock]]:
        """Readings of [start, end) every ``step_s`` (multiples of it since the UTC epoch) day by day, taps included.

        Blocks hold one profile and at most ``FRAMES_MAX`` Frames, ascending in time within each meter.
        """
        step_ns = step_s * NS_PER_S
        day_start = start_ns
        while day_start < end_ns:
            day_end = min((day_start // _DAY_NS + 1) * _DAY_NS, end_ns)
            t_ns = np.arange(-(-day_start // step_ns) * step_ns, day_end, step_ns, dtype=np.int64)
            yield self._day_blocks(t_ns, Span(day_start, day_end))
            day_start = day_end

    def _day_blocks(self, t_ns: Times, span: Span) -> list[FrameBlock]:
        snapshot = self.snapshot(t_ns)
        blocks: list[FrameBlock] = []
        for meter in self.site.meters.values():
            profile = self.profiles[meter.profile]
            if profile.event:
                blocks += self._tap_blocks(meter, profile, self.taps(meter.id, span))
            else:
                blocks += self._meter_blocks(meter, profile, snapshot)
        return blocks

    def _meter_blocks(self, meter: Meter, profile: Profile, snapshot: Snapshot) -> list[FrameBlock]:
        if profile.modbus is not None:
            value, quality = decode(profile, self.words(meter.id, snapshot))
        else:
            value = self.columns(meter.id, snapshot)
            quality = np.where(np.isnan(value), np.int16(int(ABSENT)), np.int16(0))
        return [
            self._block(profile, meter.id, snapshot.t_ns[rows], value[rows], quality[rows])
            for rows in _slices(len(snapshot.t_ns))
        ]

    def _tap_blocks(self, meter: Meter, profile: Profile, taps: Taps) -> list[FrameBlock]:
        value = tap_columns(profile, taps)
        quality = np.zeros(value.shape, np.int16)
        return [
            self._block(profile, meter.id, taps.t_ns[rows], value[rows], quality[rows], taps.event_ids[rows])
            for rows in _slices(len(taps))
        ]

    def _block(
        self,
        profile: Profile,
        meter: str,
        t_ns: Times,
        value: Floats,
        quality: npt.NDArray[np.int16],
        event_ids: tuple[str, ...] = (),
    ) -> FrameBlock:
        index = np.zeros(len(t_ns), np.int32)
        whole_ms = t_ns - t_ns % NS_PER_MS
        return FrameBlock(self.site.id, profile.id, profile.quantities, (meter,), index, whole_ms, value, quality, event_ids)

    def _shown(self, meter_id: str, snapshot: Snapshot) -> dict[str, Floats]:
        kind = self.profile(meter_id).kind
        if meter_id in self._pots:
            return meters.pot_quantities(self._pots[meter_id], snapshot)
        if kind == "weather":
            return meters.weather_quantities(snapshot)
        if meter_id not in self._mounted:
            return meters.string_quantities(self.model.seed, meter_id, self.model.epoch_ns, snapshot)
        point, mounting = self._mounted[meter_id]
        seed = self.model.seed
        if point.side == "dc":
            return meters.dc_quantities(seed, point, mounting, snapshot)
        if kind == "pv_inverter":
            return meters.inverter_quantities(seed, point, mounting, snapshot)
        voltage_v = 1000.0 * self.site.bus_voltage_kv[self.site.branches[point.branch].bus]
        if kind == "storage":
            return meters.battery_quantities(seed, point, mounting, voltage_v, snapshot)
        shown = meters.ac_quantities(seed, point, mounting, voltage_v, snapshot)
        return meters.rounded(shown) if self.profile(meter_id).modbus is None else shown


def _wrapped(register: Floats, wraps_at: float | None) -> Floats:
    return register if wraps_at is None else np.mod(register, wraps_at)


def tap_columns(profile: Profile, taps: Taps) -> Floats:
    """Taps as float64[n, k] in the column order of a ladle scale's profile."""
    shown: Mapping[str, Floats] = {"metal_tapped": taps.weighed_kg, "pot_number": taps.pot.astype(np.float64)}
    missing = np.full(len(taps), np.nan)
    return np.column_stack([shown.get(name, missing) for name in profile.quantities])


def payload_map(profile: Profile) -> PayloadMap:
    """The payload map of a profile that publishes. Raises ValueError for one that is polled."""
    if profile.mqtt is None:
        raise ValueError(f"{profile.id} is polled over Modbus, it publishes nothing")
    return profile.mqtt


def _slices(count: int) -> Sequence[slice]:
    return [slice(start, min(start + FRAMES_MAX, count)) for start in range(0, count, FRAMES_MAX)]
