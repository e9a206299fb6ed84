"""Other series stores that get every reading too, each with a forwarder of its own: a slow one holds up no other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from collector.forward import Forwarder
from collector.quarantine import Quarantine
from collector.spool import Spool
from plant.errors import StoreError
from plant.ports import Clock, HealthBoard
from plant.site import Mirror
from potwatt.load import Loaded
from storage.influx import InfluxStore

RETRY_S = 5.0


class MirrorForwarder:
    """One mirror: its databases, then its readings from the spool, for ever."""

    def __init__(
        self, mirror: Mirror, loaded: Loaded, secrets: Mapping[str, str], spool: Spool, clock: Clock, health: HealthBoard
    ) -> None:
        self._mirror, self._clock, self._health = mirror, clock, health
        self._store = InfluxStore(mirror.store, loaded.site.id, secrets)
        refused = Quarantine(loaded.data_dir / "quarantine" / mirror.sink, clock, health)
        self._forwarder = Forwarder(
            spool, self._store, None, site=loaded.site, clock=clock, health=health, quarantine=refused, sink=mirror.sink
        )

    async def run(self) -> NoReturn:
        """Until cancelled. The server may be down, also at the start."""
        while True:
            try:
                await self._store.setup()
                break
            except StoreError as error:
                self._health.set(self._mirror.sink, "down", str(error))
                await self._clock.sleep(RETRY_S)
        await self._forwarder.run()

    async def close(self) -> None:
        """Release connections."""
        await self._store.close()
