"""The live bus for roles that run apart from the collector: the last values of the store, read each second."""

from __future__ import annotations

import numpy as np

from devices.profile import Profile
from plant.errors import StoreError
from plant.frame import FrameBlock
from plant.ports import Bus, Clock, HealthBoard, SeriesStore
from plant.quality import ABSENT
from plant.series import Series
from plant.site import Site

PERIOD_S = 1.0


async def follow_store(
    site: Site, profiles: dict[str, Profile], store: SeriesStore, bus: Bus, clock: Clock, health: HealthBoard
) -> None:
    """Publish the newest stored Frame of each meter once a second. Returns when cancelled."""
    meters = {m.id: profiles[m.profile] for m in site.meters.values() if m.profile in profiles and not profiles[m.profile].event}
    pairs = [(meter, quantity) for meter, profile in meters.items() for quantity in profile.quantities]
    reach_s = max((m.silent_after_s for m in site.meters.values()), default=60.0)
    while True:
        try:
            found = await store.last_before(pairs, clock.now_ns() + 1, reach_s)
        except StoreError as error:
            health.set("store", "down", str(error))
        else:
            for meter, profile in meters.items():
                block = newest_frame(site.id, meter, profile, found)
                if block is not None:
                    bus.publish(block)
        await clock.sleep(PERIOD_S)


def newest_frame(plant: str, meter: str, profile: Profile, found: dict[tuple[str, str], Series]) -> FrameBlock | None:
    """One Frame out of the newest readings of a meter: quantities of the newest instant, the others missing."""
    series = [found[meter, quantity] for quantity in profile.quantities]
    newest = max((int(s.t_ns[-1]) for s in series if len(s)), default=None)
    if newest is None:
        return None
    fresh = [s if len(s) and int(s.t_ns[-1]) == newest else None for s in series]
    return FrameBlock(
        plant,
        profile.id,
        profile.quantities,
        (meter,),
        np.zeros(1, np.int32),
        np.array([newest], np.int64),
        np.array([[np.nan if s is None else s.value[-1] for s in fresh]]),
        np.array([[int(ABSENT) if s is None else s.quality[-1] for s in fresh]], np.int16),
    )
