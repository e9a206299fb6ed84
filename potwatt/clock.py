"""The time of day of this machine, as ``plant.ports.Clock``."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """UTC of the host."""

    def now_ns(self) -> int:
        """UTC ns."""
        return time.time_ns()

    async def sleep(self, seconds: float) -> None:
        """Wait without blocking the loop."""
        await asyncio.sleep(max(0.0, seconds))
