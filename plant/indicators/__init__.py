"""The table of computed indicators. A limit names one of these; comparing it with another is an error in code."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType

from plant.indicators import carbon, energy, green, money, outlook, process, province, quality, solar
from plant.indicators.row import Indicator

# in the order of reports
_SUBJECTS = (process, green, energy, money, carbon, solar, outlook, province, quality)
_ROWS = tuple(row for subject in _SUBJECTS for row in subject.ROWS)
INDICATORS = MappingProxyType({row.name: row for row in _ROWS})
assert len(INDICATORS) == len(_ROWS), "an indicator stands there twice"
__all__ = ["INDICATORS", "Figure", "Indicator"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One value of an indicator for one node and span, with everything that says how far to trust it.

    ``value`` is None when the measured share is below what the site asks for, or nothing was measured;
    ``low`` and ``high`` are the band that holds the truth; ``completeness`` is samples received of due
    and ``measured_share`` the share of the energy proven by counters, both 0..1. ``status`` says how the
    figure stands to the limits that name it: a status word per limit id (for example
    ``{"benchmark": "met" | "exceeded" | "not decidable"}``). ``editions`` are the rules and site editions used.
    """

    indicator: str
    value: float | None
    low: float | None
    high: float | None
    completeness: float
    measured_share: float
    reason: str = ""
    status: dict[str, str] = field(default_factory=dict)
    editions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert self.indicator in INDICATORS, self.indicator
        numbers = (self.value, self.low, self.high, self.completeness, self.measured_share)
        assert all(x is None or type(x) in (float, int) for x in numbers), (self.indicator, numbers)  # plain, ready for JSON
