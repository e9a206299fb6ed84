"""What a fault of a meter is called, what to look at in the field, and the verdict that mends its history."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from analytics.suspects_search import Fault
from plant.verdicts import REVERSED, wrong_ratio

# what CT and VT ratios are mistaken for, as shown of true; exchanges of 75, 100, 150, 200, 300, 400, 600, 800 over 5 or 1
CLEAN_FACTORS = (0.1, 0.2, 0.25, 0.4, 0.5, 0.6, 0.625, 0.75, 0.8, 1.25, 4 / 3, 1.5, 1.6, 1.75, 2.0, 2.5, 3.0, 4.0, 5.0, 10.0)
PHASES = (2 / 3, 1 / 3)  # what is left without one or two of three phases, or with two of them swapped, near unity power factor
CLEAN_WITHIN = 0.02  # of a clean factor, beside two standard errors: the class and the plant's own uncertainty
REVERSED_WITHIN = 0.15


class Ailment(Enum):
    """Kinds of faults, and what to look at in the field: English, Chinese."""

    REVERSED = (
        "the current transformer or the meter's arrow stands the other way round: check polarity and the configured direction",
        "电流互感器极性或电表方向接反:检查极性与所设方向",
    )
    CT_PHASE = (
        "about a third or two thirds are shown: check every phase for a swapped, shorted or missing current transformer and for "
        "a blown VT fuse; a ratio wrong by the same factor looks alike",
        "示值约为真值的三分之一或三分之二:逐相检查电流互感器接错、短接或缺相及电压互感器熔断;同倍数的变比错误表现相同",
    )
    WRONG_RATIO = (
        "a clean factor: compare the ratio on the transformer's plate with those set in the meter and in the site file",
        "示值为整倍数误差:核对互感器铭牌变比与电表及站点文件设置",
    )
    GAIN = (
        "an error that is no clean factor: test the meter against a reference, check burden, terminals and the VT circuit",
        "误差非整倍数:用标准表校验,检查二次负荷、端子与电压回路",
    )
    DRIFT = (
        "an error that grows: have the meter calibrated, look for heat and corrosion at terminals and test blocks",
        "误差逐渐增大:安排校验,检查端子与试验盒发热、锈蚀",
    )
    CLOCK = (
        "its amounts belong to another time: set the clock and the time zone of the meter or its gateway",
        "数据时标偏移:校准电表或网关的时钟与时区",
    )
    STUCK = (
        "it shows the same all the time: check the link behind the gateway, whether it repeats an old answer, and the meter",
        "示值不变:检查网关后通信是否重复旧值及电表本身",
    )

    @property
    def word(self) -> str:
        """Its name in answers."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """``factor`` is the clean factor that the meter shows of the truth, None where there is none; ``verdict`` mends history."""

    ailment: Ailment
    factor: float | None
    verdict: str


def diagnosed(fault: Fault) -> Diagnosis:
    """What a fault of a meter most likely is."""
    if fault.kind == "clock":
        return Diagnosis(Ailment.CLOCK, None, "bad")
    if fault.kind == "stuck":
        return Diagnosis(Ailment.STUCK, None, "stuck")
    if fault.kind == "drift":
        return Diagnosis(Ailment.DRIFT, None, "bad")
    if abs(fault.gain + 1.0) < REVERSED_WITHIN:
        return Diagnosis(Ailment.REVERSED, -1.0, REVERSED)
    phase, ratio = nearest(fault, PHASES), nearest(fault, CLEAN_FACTORS)
    if phase is not None:
        return Diagnosis(Ailment.CT_PHASE, phase, wrong_ratio(1.0 / phase))
    if ratio is not None:
        return Diagnosis(Ailment.WRONG_RATIO, ratio, wrong_ratio(1.0 / ratio))
    return Diagnosis(Ailment.GAIN, None, wrong_ratio(1.0 / fault.gain) if fault.gain > 0.0 else "bad")


def nearest(fault: Fault, factors: tuple[float, ...]) -> float | None:
    """The factor that the gain of a fault may be, None where none lies near enough."""
    factor = min(factors, key=lambda f: abs(fault.gain - f) / f)
    near = abs(fault.gain - factor) <= CLEAN_WITHIN * factor + 2.0 * fault.error
    return factor if near and 2.0 * fault.error < 0.1 * factor else None
