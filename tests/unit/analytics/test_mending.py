"""A verdict that says what is right restates history: ratio and direction, without a step at the ends of its span."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.samples import mounted
from plant.errors import InputError
from plant.ports import Annotation
from plant.series import Series
from plant.site import Mounting
from plant.verdicts import REVERSED, checked, mending, wrong_ratio

MINUTE_NS = 60_000_000_000
T_NS = np.arange(10, dtype=np.int64) * MINUTE_NS
GOOD = np.zeros(10, np.int16)
MOUNTED = Mounting("m", 0)
READINGS = {
    ("m", "active_power"): Series(T_NS, np.full(10, 60.0), GOOD),
    ("m", "energy_import"): Series(T_NS, 1000.0 + np.arange(10.0), GOOD),
    ("m", "energy_export"): Series(T_NS, np.full(10, 7.0), GOOD),
}


def _note(verdict: str, first: int, end: int, number: int = 1) -> Annotation:
    return Annotation("p", "m", "", first * MINUTE_NS, end * MINUTE_NS, verdict, "li", "seen", number, number)


def _values(quantity: str, *notes: Annotation) -> list[float]:
    return mounted(READINGS, MOUNTED, quantity, (0, 2**62), notes).value.tolist()


def test_a_ratio_mends_powers_and_what_the_register_gained() -> None:
    note = _note("wrong_ratio x1.5", 2, 5)
    assert _values("active_power", note) == [60, 60, 90, 90, 90, 60, 60, 60, 60, 60]
    gained = np.diff(_values("energy_import", note))
    assert gained.tolist() == [1, 1, 1.5, 1.5, 1.5, 1, 1, 1, 1]


def test_a_direction_swaps_the_registers() -> None:
    note = _note(REVERSED, 2, 5)
    assert _values("active_power", note)[2:6] == [-60, -60, -60, 60]
    assert np.diff(_values("energy_import", note)).tolist() == [1, 1, 0, 0, 0, 1, 1, 1, 1]
    assert np.diff(_values("energy_export", note)).tolist() == [0, 0, 1, 1, 1, 0, 0, 0, 0]


def test_the_later_verdict_counts() -> None:
    rejected, mends, lifted = _note("wrong_ratio", 2, 5, 1), _note("wrong_ratio x2", 2, 5, 2), _note("good", 2, 5, 3)
    assert len(_values("active_power", rejected)) == 7
    assert _values("active_power", rejected, mends)[2] == 120
    assert _values("active_power", rejected, mends, lifted) == [60] * 10


def test_another_meter_is_left_alone() -> None:
    other = Annotation("p", "n", "", 0, 2**62, "wrong_ratio x2", "li", "seen")
    assert _values("active_power", other) == [60] * 10


@pytest.mark.parametrize("verdict", ["wrong_ratio x0", "wrong_ratio x-1.5", "wrong_ratio 1.5", "reversed x1", "doubtful"])
def test_a_verdict_that_means_nothing_is_refused(verdict: str) -> None:
    assert mending(verdict) is None
    with pytest.raises(InputError, match="expected one of"):
        checked(verdict)


def test_a_verdict_says_its_factor() -> None:
    assert wrong_ratio(1.5) == "wrong_ratio x1.5" and wrong_ratio(3.0) == "wrong_ratio x3"
    assert mending(checked(wrong_ratio(4 / 3))) == pytest.approx(4 / 3, abs=1e-6)
    assert mending("good") is None and checked("good") == "good"
