"""A whole plant to hold the analytics against: meters that err within their class, faults upon them, and the truth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from plant.config import parse_site
from plant.ports import Annotation, LedgerEntry
from plant.series import Span
from plant.site import MeteringPoint, Mounting, Site
from simulators import documents, meters
from simulators.demo_site import Ports, demo_site_toml
from simulators.faults import Fault, Reported, Spike, sound, with_faults
from simulators.meters import Snapshot
from simulators.noise import NS_PER_S, Times
from simulators.smelter import SmelterModel
from simulators.trial_faults import COARSE_H, HOUR_NS, WRAPS_AT, draw_faults
from simulators.truth import Truth

LEAD_NS = 4 * 24 * HOUR_NS  # the battery's mix of before is forgotten in that time
_PORTS = Ports(1502, 1503, 1504, 1505, 1506, 1507, 1883)
_POWER, _REGISTER = ("active_power", "dc_power"), ("energy_import", "dc_energy")


@dataclass(frozen=True, slots=True)
class TrialSettings:
    """``class_used`` 0..1 is how much of its class a meter may err by; with 0 registers, scale and crew are exact too."""

    seed: int
    span: Span
    faults: tuple[str, ...] = ()
    class_used: float = 1.0
    step_s: int = 60


class Trial:
    """The plant of a seed over a span; readings begin some days before it and end after it."""

    def __init__(self, settings: TrialSettings) -> None:
        self.settings, span = settings, settings.span
        self.read = Span(span.start_ns - LEAD_NS, span.end_ns + HOUR_NS)
        self.truth = Truth(SmelterModel(settings.seed, self.read.start_ns))
        self.site: Site = parse_site(demo_site_toml(_PORTS, api_port=8000), "trial site")
        self.late_ns = span.start_ns + (span.end_ns - span.start_ns) // 2
        self._mounted: dict[str, tuple[MeteringPoint, Mounting]] = {
            m.meter: (p, m) for p in self.site.points.values() for m in p.mountings
        }
        names = [m for m, (point, _) in self._mounted.items() if point.rank == "main"]
        checked = [
            m for m, (p, _) in self._mounted.items() if p.rank == "main" and len(self.site.points_of(p.branch, p.side)) > 1
        ]
        self.drawn = draw_faults(settings.seed, span, names, checked, settings.faults, self.late_ns)
        for meter in self._mounted if settings.class_used == 0.0 else ():
            self._set_step(meter, 0.0)
        for meter in self.drawn.coarse:
            self._set_step(meter, self._mounted[meter][0].rated_power_kw * COARSE_H)

    @property
    def wraps_at(self) -> dict[tuple[str, str], float | None]:
        """Ends of registers, as the meter counts."""
        return {
            (m, q): WRAPS_AT for m in self.drawn.wrapped for q in ("energy_import", "energy_export", "dc_energy", "dc_charge")
        }

    def reported(self) -> dict[str, Reported]:
        """Readings by meter in the order in which they arrive."""
        step_ns = self.settings.step_s * NS_PER_S
        t_ns = np.arange(-(-self.read.start_ns // step_ns) * step_ns, self.read.end_ns, step_ns, dtype=np.int64)
        model = self.truth.model
        seen = Snapshot(t_ns, model.state(t_ns), *model.integrals(t_ns))
        found = {meter: self._meter(point, mounting, seen) for meter, (point, mounting) in self._mounted.items()}
        for line in self.site.potlines.values():
            pots = meters.pot_quantities(self.truth.lines[line.id].number, seen)
            found[line.feed_meter] = sound(("pots_running",), t_ns, pots["pots_running"][:, None])
        return found

    def entries(self) -> list[LedgerEntry]:
        """Taps and statements of the metal in the pots."""
        site, exact = self.site, self.settings.class_used == 0.0
        taps = documents.tapped(self.truth, site.id, self.read, weighed=not exact)
        errors = {"error_share": 0.0} if exact else {}
        return taps + documents.inventories(self.truth, self.settings.seed, site.id, site.calendar, self.read, **errors)

    def annotations(self) -> list[Annotation]:
        """What people of the plant registered."""
        return [
            Annotation(self.site.id, meter, "", at, at + NS_PER_S, "exchange", "trial", "meter exchanged")
            for meter, at in self.drawn.registered
        ]

    def _meter(self, point: MeteringPoint, mounting: Mounting, seen: Snapshot) -> Reported:
        seed, used = self.settings.seed, self.settings.class_used
        error = meters.error_of(seed, point, mounting, used)
        noise = meters.noise_of(seed, mounting.meter, seen.t_ns) if used else np.ones(len(seen.t_ns))
        read = meters.dc_energies if point.side == "dc" else meters.ac_energies
        quantities = read(point, mounting, error, noise, seen)
        reported = sound(tuple(quantities), seen.t_ns, np.column_stack(list(quantities.values())))
        return with_faults(reported, [_named(f, reported.quantities) for f in self.drawn.by_meter.get(mounting.meter, ())])

    def _set_step(self, meter: str, step_kwh: float) -> None:
        point, mounting = self._mounted[meter]
        coarse = replace(mounting, register_step_kwh=step_kwh)
        others = tuple(coarse if m.meter == meter else m for m in point.mountings)
        changed = replace(point, mountings=others)
        self._mounted[meter] = changed, coarse
        self.site = replace(self.site, points={**self.site.points, point.id: changed})


def _named(fault: Fault, quantities: tuple[str, ...]) -> Fault:
    """A spike of the power or the register, as the meter calls them."""
    if not isinstance(fault, Spike):
        return fault
    wanted = _POWER if fault.quantity == "power" else _REGISTER
    return replace(fault, quantity=next(q for q in quantities if q in wanted))


def whole_ms(t_ns: Times) -> Times:
    """Instants cut to the precision of the stores."""
    return t_ns - t_ns % 1_000_000
