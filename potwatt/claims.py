"""The claim of a running program on an endpoint: while another process reads it, it is waited for, not read beside."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

from collector.claim import Claim, claim, names_of
from plant.ports import Clock, HealthBoard
from plant.site import Endpoint

RETRY_S = 5.0


class ClaimedEndpoint:
    """One endpoint and the right to read it. ``await take()``, then ``run`` its source; ``release`` at the end."""

    def __init__(self, endpoint: Endpoint, clock: Clock, health: HealthBoard) -> None:
        self.endpoint, self._clock, self._health = endpoint, clock, health
        self._held: Claim | None = None

    async def take(self) -> bool:
        """Claim the endpoint for this process, if nobody else has it; health tells who does."""
        if self._held is not None:
            return True
        held = claim(await names_of(self.endpoint))
        others = [by for by in held.taken.values() if by.pid != os.getpid()]
        if others:
            held.release()  # half a claim would keep off both
            self._health.set(f"endpoint:{self.endpoint.id}", "down", f"held by {others[0]}: {_SINGLE}; {_WAITS}")
            return False
        self._held = held
        for name in held.taken:
            self._health.set(f"claim:{self.endpoint.id}", "degraded", f"{name} is another endpoint of this site too: {_SINGLE}")
        for name, why in held.failed.items():
            detail = f"{name} could not be claimed ({why}): it is read, but `probe` and `read` do not see that and must keep off"
            self._health.set(f"claim:{self.endpoint.id}", "degraded", detail)
        return True

    async def run(self, source: Callable[[], Awaitable[None]]) -> None:
        """Run a source as soon as the endpoint is free."""
        while not await self.take():
            await self._clock.sleep(RETRY_S)
        await source()

    def release(self) -> None:
        """Give it back."""
        if self._held is not None:
            self._held.release()
            self._held = None


_SINGLE = "many gateways serve one connection alone"
_WAITS = f"it is tried again every {RETRY_S:g} s; stop one of the programs"
