"""What was classified of a register: each kind found where it was put, from the readings around it, and nothing beside it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from analytics.counters import F64, I64
from analytics.evidence import Incident, IncidentKind, classified
from analytics.intervals import MeteredPoint
from plant.ports import Annotation
from plant.register_statements import RegisterStatement
from plant.series import Series, Span
from plant.site import Branch, MeteringPoint, Mounting

NS = 1_000_000_000
T_NS = np.arange(0, 4 * 3600 + 1, 60, dtype=np.int64) * NS
WRAPS_AT = 100_000.0
KWH: F64 = 90_000.0 + np.arange(len(T_NS), dtype=np.float64) * 10.0  # 600 kW
SPAN = Span(0, 4 * 3600 * NS)


def evidence(
    register: F64,
    t_ns: I64 = T_NS,
    power: F64 | None = None,
    notes: list[Annotation] | None = None,
    stated: list[RegisterStatement] | None = None,
) -> list[Incident]:
    point = MeteringPoint("p", "b", "main", "ac", 2000.0, (Mounting("m", 0),))
    metered = MeteredPoint(point, Branch("b", "feeder", "x", "", ""), {"m": 60.0}, 900.0)
    readings = {("m", "energy_import"): Series(t_ns, register, np.zeros(len(t_ns), np.int16))}
    if power is not None:
        readings["m", "active_power"] = Series(t_ns, power, np.zeros(len(t_ns), np.int16))
    return classified(metered, readings, SPAN, lambda _m, _q: WRAPS_AT, notes or [], stated or [])


def changed(rows: slice, change: Callable[[F64], F64]) -> F64:
    found = KWH.copy()
    found[rows] = change(found[rows])
    return found


@pytest.mark.parametrize(
    ("register", "kind", "rows", "readings"),
    [
        ((KWH + 9_000) % WRAPS_AT, IncidentKind.WRAP, (99, 100), 0),
        (changed(slice(120, None), lambda v: v - 89_000), IncidentKind.RESET, (119, 120), 0),
        (changed(slice(30, 36), lambda v: v * 0), IncidentKind.DIP, (29, 36), 6),
        (changed(slice(60, 62), lambda v: v + 5e6), IncidentKind.SPIKE, (59, 62), 2),
        (changed(slice(100, None), lambda v: v + 5_000), IncidentKind.LEAP, (99, 100), 0),
    ],
)
def test_each_is_found_between_its_readings(register: F64, kind: IncidentKind, rows: tuple[int, int], readings: int) -> None:
    (found,) = evidence(register)
    assert (found.kind, found.start_ns, found.end_ns, found.readings) == (kind, T_NS[rows[0]], T_NS[rows[1]], readings)
    assert (found.before, found.after) == (register[rows[0]], register[rows[1]])
    assert found.why and (found.point, found.meter, found.direction) == ("p", "m", "import")


def test_a_healthy_register_has_none() -> None:
    assert evidence(KWH) == []


def test_a_gap_a_verdict_and_a_standing_register() -> None:
    hole = (T_NS > 3600 * NS) & (T_NS < 7200 * NS)
    (gap,) = evidence(KWH[~hole], T_NS[~hole])
    assert (gap.kind, gap.start_ns, gap.end_ns, gap.after) == (IncidentKind.GAP, 3600 * NS, 7200 * NS, KWH[120])
    note = Annotation("p", "m", "", T_NS[10], T_NS[20], "stuck", "li", "seen on site")
    (verdict,) = evidence(KWH, notes=[note])
    assert (verdict.kind, verdict.start_ns, verdict.end_ns, verdict.readings) == (IncidentKind.REJECTED, T_NS[10], T_NS[19], 10)
    stands = np.minimum(KWH, KWH[60])
    (frozen,) = evidence(stands, power=np.full(len(T_NS), 600.0))
    assert frozen.kind is IncidentKind.FROZEN and frozen.start_ns == T_NS[60] and frozen.end_ns == T_NS[-1]


def test_a_registered_exchange_is_one_and_no_reset() -> None:
    at = int(T_NS[100]) + 30 * NS
    register = np.where(at > T_NS, KWH, KWH - KWH[100] - 5 + 7)
    stated = [RegisterStatement("p", "import", at, at, KWH[100] + 5, 7.0)]
    (found,) = evidence(register, stated=stated)
    assert (found.kind, found.start_ns, found.before, found.after) == (IncidentKind.EXCHANGE, at, KWH[100] + 5, 7.0)
