"""One simulated plant that the tests of this folder look at."""

from __future__ import annotations

import asyncio

import pytest

from devices.catalog import shipped_profiles
from plant.config import parse_site
from plant.site import Site
from simulators.demo_site import Ports, demo_site_toml
from simulators.readings import Readings
from simulators.smelter import SmelterModel
from simulators.truth import Truth

T0 = 1_793_404_800_000_000_000  # 2026-10-31T00:00Z


class SteppedClock:
    """A clock that stands where the test puts it."""

    def __init__(self, now_ns: int) -> None:
        self.t_ns = now_ns

    def now_ns(self) -> int:
        return self.t_ns

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.02))


@pytest.fixture(scope="session")
def model() -> SmelterModel:
    return SmelterModel(11, T0)


@pytest.fixture(scope="session")
def truth(model: SmelterModel) -> Truth:
    return Truth(model)


@pytest.fixture(scope="session")
def ports() -> Ports:
    return Ports(1502, 1503, 1504, 1505, 1506, 1507, 1883)


@pytest.fixture(scope="session")
def site(ports: Ports) -> Site:
    return parse_site(
        demo_site_toml(ports, api_port=8000), "demo site", known_profiles={p.id: p.protocol for p in shipped_profiles().values()}
    )


@pytest.fixture(scope="session")
def readings(model: SmelterModel, site: Site) -> Readings:
    return Readings(model, site, shipped_profiles())


@pytest.fixture
def stepped_clock() -> SteppedClock:
    return SteppedClock(T0 + 5 * 3600 * 10**9)
