"""A meter that the study accuses raises its alert; one that it clears, or does not know, does not."""

from __future__ import annotations

import pytest

from alerts import texts
from alerts.engine import Condition, Notice
from alerts.suspects import suspect_watches
from analytics.study import Studied
from plant.indicators import Figure
from simulators.meter_faults import trial_site

SITE = trial_site()


def _answer(number: float | None, **misread: float) -> Studied:
    figures = {"plant": {"suspect_meters": Figure("suspect_meters", number, number, number, 1.0, 1.0)}}
    for point, kwh in misread.items():
        figures[f"point:{point}"] = {"suspect_energy": Figure("suspect_energy", kwh, kwh - 1, kwh + 1, 1.0, 1.0)}
    suspects = [{"point": p, "kind": "ct_phase", "check": {"en": "check every phase", "zh": "逐相检查"}} for p in misread]
    return Studied(figures, {"suspects": suspects})


def test_the_accused_meter_alone_is_raised() -> None:
    found = {w.subject: w for w in suspect_watches(SITE, _answer(1.0, **{"rect-1-2-ac": -800.0}))}
    assert set(found) == set(SITE.points)
    assert [s for s, w in found.items() if w.condition is Condition.BREACHED] == ["rect-1-2-ac"]
    assert {w.condition for s, w in found.items() if s != "rect-1-2-ac"} == {Condition.CLEAR}
    watch = found["rect-1-2-ac"]
    notice = Notice("raised", 0, 0)
    assert texts.title(watch, notice, "en").startswith("ALERT: Rectifier 1-2, AC: meter suspected")
    assert "电表疑似计量错误" in texts.title(watch, notice, "zh")
    body = texts.body(watch, notice, SITE.calendar, "en")
    assert "-800 kWh" in body and "check every phase" in body


@pytest.mark.parametrize("answer", [None, _answer(None)])
def test_what_is_not_known_neither_raises_nor_ends(answer: Studied | None) -> None:
    assert {w.condition for w in suspect_watches(SITE, answer)} == {Condition.BETWEEN}
