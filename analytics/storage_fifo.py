"""A battery whose oldest energy leaves first, as certificate schemes link charge to discharge; else as the pooled mix."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from analytics.counters import F64
from analytics.storage_origin import ORIGINS, UNKNOWN, Pool

Order = Literal["pooled", "fifo"]
LAYERS_MAX = 48
SAME = 1e-9


@dataclass(frozen=True, slots=True)
class FifoPool(Pool):
    """Layers of energy that can still be discharged, oldest first; ``content_kwh`` has ORIGINS of each, one after the other."""

    @property
    def layers(self) -> F64:
        """float64[layers, 4]."""
        return np.array(self.content_kwh).reshape(-1, len(ORIGINS))

    def discharge_mix(self, discharge_kwh: float) -> F64:
        """See Pool.discharge_mix: here the oldest layers give first."""
        if discharge_kwh <= 0 or self.total_kwh <= 0:
            return Pool(()).discharge_mix(discharge_kwh)
        layers = self.layers
        mix: F64 = (layers * self._gone(discharge_kwh)[:, None]).sum(axis=0) / discharge_kwh
        mix[UNKNOWN] += max(1.0 - mix.sum(), 0.0)
        return mix

    def without_record(self, most_kwh: float) -> Pool:
        """See Pool.without_record: of every layer."""
        parts = [Pool(tuple(layer.tolist())) for layer in self.layers]
        total = self.total_kwh
        share = 1.0 if np.isnan(most_kwh) or total <= 0 else min(1.0, most_kwh / total)
        return FifoPool(tuple(x for part in parts for x in part.without_record(part.total_kwh * share).content_kwh))

    def after(self, charge_by_origin_kwh: F64, discharge_kwh: float, efficiency: float, capacity_kwh: float) -> Pool:
        """See Pool.after: the charge becomes the newest layer."""
        layers = np.vstack([self._left(discharge_kwh), np.maximum(charge_by_origin_kwh, 0.0) * efficiency])
        layers = _merged(layers[layers.sum(axis=1) > 0])
        total = layers.sum()
        if capacity_kwh > 0 and total > capacity_kwh:
            layers = layers * (capacity_kwh / total)
        return FifoPool(tuple(layers.ravel().tolist()))

    def _left(self, discharge_kwh: float) -> F64:
        """Layers after a discharge."""
        left: F64 = self.layers * (1.0 - self._gone(discharge_kwh))[:, None]
        return left

    def _gone(self, discharge_kwh: float) -> F64:
        """Share of each layer that a discharge takes."""
        size = self.layers.sum(axis=1)
        before = np.cumsum(size) - size
        gone = np.clip(max(discharge_kwh, 0.0) - before, 0.0, size)
        share: F64 = np.divide(gone, size, out=np.ones_like(size), where=size > 0)
        return share


def ordered(pool: Pool, order: Order) -> Pool:
    """The same content in the order of a site: what was pooled is one layer, layers that are pooled are one mix."""
    if order == "fifo":
        return FifoPool(pool.content_kwh)
    if len(pool.content_kwh) == len(ORIGINS):
        return Pool(pool.content_kwh)
    return Pool(tuple(FifoPool(pool.content_kwh).layers.sum(axis=0).tolist()))


def _merged(layers: F64) -> F64:
    """Neighbours of the same mix as one; beyond ``LAYERS_MAX`` the two neighbours that hold least."""
    kept: list[F64] = []
    for layer in layers:
        if kept and np.allclose(kept[-1] / kept[-1].sum(), layer / layer.sum(), rtol=0.0, atol=SAME):
            kept[-1] = kept[-1] + layer
        else:
            kept.append(layer)
    while len(kept) > LAYERS_MAX:
        at = int(np.argmin([(a + b).sum() for a, b in pairwise(kept)]))
        kept[at : at + 2] = [kept[at] + kept[at + 1]]
    return np.array(kept).reshape(-1, len(ORIGINS))
