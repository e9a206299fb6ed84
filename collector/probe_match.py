"""Which known profile fits the registers that were read: each one is introduced to them as to a device. Pure."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from collector.screen import ScreenRules, screen
from devices.codec import decode
from devices.dialogue import Answer, MeterAddress, Refused, introduce, poll
from devices.maps import Profile, Table
from devices.plan import ReadRequest
from plant.errors import DeviceError
from plant.frame import FrameBlock
from plant.quality import Quality

T = TypeVar("T")

_NO_REGISTER = Refused(2)
_NOBODY = MeterAddress("probe", "registers read before")
_DEFINITE, _FEW = 0.8, 4
_STANDARD = "sunspec_"  # profiles of the standard's own models, of no maker
# what no meter of a quantity shows, canonical units, where its profile does not say more
_WIDEST = {
    "frequency": (45.0, 65.0),
    "power_factor": (-1.001, 1.001),
    "state_of_charge": (0.0, 100.0),
    "state_of_health": (0.0, 110.0),
    "irradiance": (-20.0, 2000.0),
    "ambient_temperature": (-60.0, 80.0),
    "module_temperature": (-60.0, 120.0),
    "wind_speed": (0.0, 80.0),
}
_WIDEST_STEMS = {
    "voltage": (1.0, 600_000.0),
    "current": (-20_000.0, 20_000.0),
    "active_power": (-2e6, 2e6),
    "energy": (0.0, 1e12),
}


@dataclass(frozen=True, slots=True)
class Fit:
    """How a profile reads the registers: canonical values by quantity (NaN where missing), and how many can be true.

    ``identified``: the device said itself that it is of this kind (an identity or SunSpec's list of models).
    """

    profile: Profile
    values: Mapping[str, float]
    plausible: int
    identified: bool

    @property
    def share(self) -> float:
        """Plausible values of all that the profile has."""
        return self.plausible / len(self.values)

    @property
    def definite(self) -> bool:
        """Whether it is worth being named as the profile to use rather than as one to look at."""
        return self.plausible > 0 if self.identified else self.share >= _DEFINITE and self.plausible >= _FEW


def fits(profiles: Iterable[Profile], image: Mapping[tuple[Table, int], int]) -> list[Fit]:
    """The profiles that at least half of their values speak for, the best first."""
    found = [fit for profile in profiles if profile.modbus is not None for fit in [_fit(profile, image)] if fit is not None]
    kept = [fit for fit in found if fit.identified or fit.share >= 0.5]
    return sorted(kept, key=lambda fit: (_evidence(fit.profile), fit.plausible * fit.share), reverse=True)


def _evidence(profile: Profile) -> int:
    """How much it says that a profile could be read at all: SunSpec's models tell the standard, not the maker."""
    assert profile.modbus is not None
    if profile.modbus.identity is not None:
        return 3
    if profile.modbus.sections:
        return 2 if profile.id.startswith(_STANDARD) else 1
    return 0


def _fit(profile: Profile, image: Mapping[tuple[Table, int], int]) -> Fit | None:
    try:
        known = _ask(introduce(profile, _NOBODY), image)
        words = _ask(poll(_NOBODY, profile, known), image)
    except DeviceError:
        return None
    value, quality = decode(profile, words[None, :])
    value[0, known.absent] = np.nan
    block = FrameBlock(
        "probe", profile.id, profile.quantities, ("probe",), np.zeros(1, np.int32), np.array([10**18], np.int64), value, quality
    )
    screened = screen(block, ScreenRules.of(profile))
    wrong = int(Quality.INVALID | Quality.INCONSISTENT)
    good = [
        np.isfinite(v) and not q & wrong and low <= v <= high
        for v, q, (low, high) in zip(
            screened.value[0].tolist(), screened.quality[0].tolist(), map(_widest, profile.quantities), strict=True
        )
    ]
    assert profile.modbus is not None
    identified = profile.modbus.identity is not None or bool(profile.modbus.sections)
    return Fit(profile, dict(zip(profile.quantities, screened.value[0].tolist(), strict=True)), sum(good), identified)


def _ask(dialogue: Generator[ReadRequest, Answer, T], image: Mapping[tuple[Table, int], int]) -> T:
    request = next(dialogue)
    while True:
        try:
            request = dialogue.send(_answer(request, image))
        except StopIteration as end:
            result: T = end.value
            return result


def _answer(request: ReadRequest, image: Mapping[tuple[Table, int], int]) -> Answer:
    words = [image.get((request.table, a)) for a in range(request.address, request.end)]
    known = [word for word in words if word is not None]
    return known if len(known) == request.count else _NO_REGISTER


def _widest(quantity: str) -> tuple[float, float]:
    if quantity in _WIDEST:
        return _WIDEST[quantity]
    return next((span for stem, span in _WIDEST_STEMS.items() if quantity.startswith(stem)), (-np.inf, np.inf))
