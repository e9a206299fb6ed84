"""Polling the Modbus meters behind one endpoint: the dialect of ``devices`` over a ``ModbusLine``."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from collector.gather import Gatherer
from collector.modbus_line import ModbusLine
from collector.polled import Flags, Floats, Known, PolledMeter
from collector.poller import Poller
from devices.codec import Words, decode
from devices.dialogue import Answer, Introduction, MeterAddress, introduce, poll
from devices.maps import Profile
from devices.plan import ReadRequest
from plant.ports import Clock, HealthBoard
from plant.site import Endpoint, Meter


class ModbusCollector(Poller):
    """Polls the meters of one endpoint until cancelled: ``await collector.run()``.

    Readings go to ``gatherer``, which has to run beside it; one serves all endpoints of a program. ``folder`` is where the
    endpoint's TLS files are looked up.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        meters: Sequence[Meter],
        profiles: Mapping[str, Profile],
        *,
        gatherer: Gatherer,
        clock: Clock,
        health: HealthBoard,
        folder: Path = Path(),
    ) -> None:
        line, dialect = ModbusLine(endpoint, folder=folder), ModbusDialect()
        devices = [PolledMeter(m, profiles[m.profile], f"{line.where} unit {m.unit}", dialect) for m in meters]
        super().__init__(endpoint, line, devices, gatherer=gatherer, clock=clock, health=health)


class ModbusDialect:
    """``collector.polled.Dialect`` of Modbus: a raw reading is the words of the plan."""

    def introduce(self, profile: Profile, address: MeterAddress) -> Generator[ReadRequest, Answer, Known]:
        """Identity, location, then every request once."""
        return introduce(profile, address)

    def poll(self, profile: Profile, address: MeterAddress, known: Known) -> Generator[ReadRequest, Answer, Words]:
        """One reading: words uint16[w]."""
        return poll(address, profile, cast("Introduction", known))

    def decode(self, profile: Profile, raw: Sequence[Words]) -> tuple[Floats, Flags]:
        """All readings at once."""
        return decode(profile, np.stack(raw))

    def refusals(self, profile: Profile, known: Known) -> str:
        """Which registers the meter refuses or leaves unanswered, and what is missing for that."""
        met = cast("Introduction", known)
        if not met.holes:
            return ""
        refused = [hole for hole in met.holes if hole not in met.unanswered]
        names = [name for name, absent in zip(profile.quantities, known.absent, strict=True) if absent]
        ways = (("refuses", refused), ("leaves unanswered", met.unanswered))
        what = " and ".join(f"{way} {_spans(holes)}" for way, holes in ways if holes)
        return f"{what}, so {', '.join(names)} is missing; check that the profile fits the firmware"


def _spans(requests: Sequence[ReadRequest]) -> str:
    return ", ".join(f"{r.table} {r.address}-{r.end - 1}" for r in requests)
