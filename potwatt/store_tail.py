"""The live bus for roles that run apart from the collector: the last values of the store, read each second."""

from __future__ import annotations

import numpy as np

from devices.profile import Profile
from plant.errors import StoreError
from plant.frame import FrameBlock
from plant.ports import Bus, Clock, HealthBoard, SeriesStore
from plant.series import Series, Span
from plant.site import Site

PERIOD_S = 1.0
Found = dict[tuple[str, str], Series]


async def follow_store(
    site: Site, profiles: dict[str, Profile], store: SeriesStore, bus: Bus, clock: Clock, health: HealthBoard
) -> None:
    """Publish what is newest in the store of each meter once a second. Returns when cancelled."""
    meters = {m.id: profiles[m.profile] for m in site.meters.values() if m.profile in profiles and not profiles[m.profile].event}
    pairs = [(meter, quantity) for meter, profile in meters.items() for quantity in profile.quantities]
    reach_s = max((m.silent_after_s for m in site.meters.values()), default=60.0)
    while True:
        try:
            end_ns = clock.now_ns() + 1
            found = await store.last_before(pairs, end_ns, reach_s)
            found |= await _went_missing(store, found, end_ns)
        except StoreError as error:
            health.set("store", "down", str(error))
        else:
            for meter, profile in meters.items():
                for block in newest_frames(site.id, meter, profile, found):
                    bus.publish(block)
        await clock.sleep(PERIOD_S)


async def _went_missing(store: SeriesStore, found: Found, end_ns: int) -> Found:
    """The last reading of each quantity that was due after its last value, and missing. What was not due, as another
    quantity of its meter is newer alone, has no reading there."""
    newest: dict[str, int] = {}
    for (meter, _), series in found.items():
        if len(series):
            newest[meter] = max(newest.get(meter, 0), int(series.t_ns[-1]))
    behind = {pair: int(s.t_ns[-1]) for pair, s in found.items() if len(s) and int(s.t_ns[-1]) < newest[pair[0]]}
    if not behind:
        return {}
    after = await store.read_many(list(behind), Span(min(behind.values()) + 1, end_ns))
    return {pair: _last(series) for pair, series in after.items() if len(series) and series.t_ns[-1] > behind[pair]}


def _last(series: Series) -> Series:
    return Series(series.t_ns[-1:], series.value[-1:], series.quality[-1:])


def newest_frames(plant: str, meter: str, profile: Profile, found: Found) -> list[FrameBlock]:
    """A Frame of the quantities of each instant among the newest readings of a meter, the newest one first: what comes first
    after a start is as old as it says."""
    by_instant: dict[int, list[str]] = {}
    for quantity in profile.quantities:
        if len(series := found[meter, quantity]):
            by_instant.setdefault(int(series.t_ns[-1]), []).append(quantity)
    return [
        _frame(plant, profile.id, meter, t_ns, {quantity: found[meter, quantity] for quantity in quantities})
        for t_ns, quantities in sorted(by_instant.items(), reverse=True)
    ]


def _frame(plant: str, profile: str, meter: str, t_ns: int, last: dict[str, Series]) -> FrameBlock:
    return FrameBlock(
        plant,
        profile,
        tuple(last),
        (meter,),
        np.zeros(1, np.int32),
        np.array([t_ns], np.int64),
        np.array([[series.value[-1] for series in last.values()]]),
        np.array([[series.quality[-1] for series in last.values()]], np.int16),
    )
