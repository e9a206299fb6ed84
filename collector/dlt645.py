"""Polling the DL/T 645-2007 meters behind one endpoint: the dialect of ``devices.dlt645`` over a ``Dlt645Line``."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import cast

from collector.dlt645_line import Dlt645Line
from collector.gather import Gatherer
from collector.polled import Flags, Floats, Known, PolledMeter
from collector.poller import Poller
from devices.dialogue import MeterAddress
from devices.dlt645 import Acquaintance, Answer, Dlt645Map, Row, decode, introduce, poll
from devices.dlt645_frame import DataRequest
from devices.maps import Profile
from plant.ports import Clock, HealthBoard
from plant.site import Endpoint, Meter


class Dlt645Collector(Poller):
    """Polls the meters of one endpoint until cancelled: ``await collector.run()``.

    Readings go to ``gatherer``, which has to run beside it; one serves all endpoints of a program.
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
    ) -> None:
        line, dialect = Dlt645Line(endpoint), Dlt645Dialect()
        devices = [PolledMeter(m, profiles[m.profile], f"{line.where} address {m.address}", dialect) for m in meters]
        super().__init__(endpoint, line, devices, gatherer=gatherer, clock=clock, health=health)


class Dlt645Dialect:
    """``collector.polled.Dialect`` of DL/T 645: a raw reading is the data of each identifier."""

    def introduce(self, profile: Profile, address: MeterAddress) -> Generator[DataRequest, Answer, Known]:
        """Everything once, to know what the meter refuses."""
        return introduce(_map(profile), address.meter, address.where)

    def poll(self, profile: Profile, address: MeterAddress, known: Known) -> Generator[DataRequest, Answer, Row]:
        """One reading."""
        return poll(_map(profile), cast("Acquaintance", known), address.meter, address.where)

    def decode(self, profile: Profile, raw: Sequence[Row]) -> tuple[Floats, Flags]:
        """Readings one by one: a line gives few."""
        return decode(_map(profile), raw)

    def refusals(self, profile: Profile, known: Known) -> str:
        """Which identifiers the meter refuses or leaves unanswered, and what is missing for that."""
        met = cast("Acquaintance", known)
        if not met.refused and not met.unanswered:
            return ""
        names = [name for name, absent in zip(profile.quantities, known.absent, strict=True) if absent]
        ways = (("refuses data", met.refused), ("leaves unanswered data", met.unanswered))
        what = " and ".join(f"{way} {', '.join(sorted(of))}" for way, of in ways if of)
        return f"{what}, so {', '.join(names)} is missing; check that the profile fits the meter"


def _map(profile: Profile) -> Dlt645Map:
    assert profile.dlt645 is not None, f"{profile.id} is not read over DL/T 645"
    return profile.dlt645
