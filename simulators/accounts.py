"""Where the sun's energy went, minute by minute: what the green figures of any span are sums of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plant.series import Span
from simulators.lattice import STEP_NS
from simulators.noise import Floats, Times
from simulators.smelter import SmelterModel

PV = ("pv-1", "pv-2", "pv-3")
TIES = ("tie-1", "tie-2")
_WARM_UP_NS = 3 * 86_400_000_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Accounts:
    """Running sums at ``edges_ns`` int64[n], kWh: on-site sun in the load, the load, sun exported."""

    edges_ns: Times
    green: Floats
    load: Floats
    exported: Floats

    @staticmethod
    def of(model: SmelterModel, span: Span) -> Accounts:
        """Each minute every source feeds every sink in proportion, and the battery hands on the mix of what it holds. The load
        is what the sources give less charge and export. What the battery held days before counts as not green."""
        edges = np.append(np.arange(span.start_ns - _WARM_UP_NS, span.end_ns, STEP_NS), span.end_ns)
        positive, negative = model.integrals(edges)
        stored = model.state(edges)["soc"] * model.parameters.battery.capacity_kwh / 100.0
        sun: Floats = np.sum([np.diff(negative[name]) for name in PV], axis=0)
        other = np.diff(negative["unit-1"]) + sum(np.diff(positive[name]) for name in TIES)
        charge, discharge = np.diff(positive["battery"]), np.diff(negative["battery"])
        export: Floats = np.sum([np.diff(negative[name]) for name in TIES], axis=0)
        load = sun + other + discharge - charge - export
        in_store = green_in_store(stored, sun, other, discharge)
        share = (sun + in_store * discharge) / (sun + other + discharge)
        return Accounts(edges, _running(share * load), _running(load), _running(share * export))

    def covers(self, span: Span) -> bool:
        """Whether the battery's mix is known over a span."""
        return bool(self.edges_ns[0] + _WARM_UP_NS <= span.start_ns and span.end_ns <= self.edges_ns[-1])

    def within(self, span: Span) -> tuple[float, float, float]:
        """(green to load, load, sun exported) of a span, kWh."""
        ends = np.array([span.start_ns, span.end_ns], np.float64)
        green, load, exported = (
            float(np.diff(np.interp(ends - self.edges_ns[0], (self.edges_ns - self.edges_ns[0]).astype(np.float64), column))[0])
            for column in (self.green, self.load, self.exported)
        )
        return green, load, exported


def green_in_store(stored_kwh: Floats, sun: Floats, other: Floats, discharge: Floats) -> Floats:
    """Green share of what the battery holds at the start of each minute; what it held at first counts as not green."""
    share = np.zeros(len(sun))
    held = 0.0
    for i in range(len(sun)):
        share[i] = held
        more = stored_kwh[i + 1] - stored_kwh[i]
        if more > 0.0:
            fed = (sun[i] + held * discharge[i]) / (sun[i] + other[i] + discharge[i])
            held = (held * stored_kwh[i] + fed * more) / stored_kwh[i + 1]
    return share


def _running(gained: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(gained)])
