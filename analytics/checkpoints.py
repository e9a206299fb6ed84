"""Storage pools at the ends of slots, so that a computation can start anywhere and battery origin stays a chain."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from analytics.storage_origin import Pool

DAY_NS = 86_400_000_000_000
RECENT_NS = 2 * DAY_NS
KEPT_MAX = 800
SAME_KWH = 1e-3
Pools = dict[str, Pool]


class Checkpoints:
    """Pools by instant: every slot of the last two days, midnights (UTC) before; at most ``KEPT_MAX``."""

    def __init__(self, state: dict[str, Any] | None) -> None:
        kept = (state or {}).get("pools", {})
        self._at: dict[int, Pools] = {int(t): {b: Pool(tuple(c)) for b, c in pools.items()} for t, pools in kept.items()}

    def before(self, t_ns: int) -> tuple[int | None, Pools]:
        """The newest pools at or before an instant and their instant; (None, {}) where nothing is known."""
        found = max((t for t in self._at if t <= t_ns), default=None)
        return found, {} if found is None else self._at[found]

    def after(self, t_ns: int) -> int | None:
        """The first instant at or after one that pools are known of, None where there is none."""
        return min((t for t in self._at if t >= t_ns), default=None)

    def differs(self, t_ns: int, pools: Pools) -> bool:
        """Whether what is computed for an instant is not what later slots started from."""
        old = self._at.get(t_ns)
        if old is None:
            return False
        return any(
            abs(a - b) > SAME_KWH
            for name, pool in pools.items()
            for a, b in zip_longest(pool.content_kwh, old[name].content_kwh if name in old else (), fillvalue=0.0)
        )

    def put(self, t_ns: int, pools: Pools) -> None:
        """Keep pools of an instant; old ones are thinned to midnights."""
        self._at[t_ns] = pools
        newest = max(self._at)
        old = [t for t in self._at if t < newest - RECENT_NS and t % DAY_NS]
        for t in old + sorted(self._at)[: max(0, len(self._at) - len(old) - KEPT_MAX)]:
            self._at.pop(t, None)

    def state(self) -> dict[str, Any]:
        """For the ledger."""
        return {"pools": {str(t): {b: list(p.content_kwh) for b, p in pools.items()} for t, pools in self._at.items()}}
