"""The rule on meters that the others accuse. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from alerts.engine import Condition, Sample, Timing
from alerts.rules import SUSPECT, Watch
from analytics.study import Studied
from plant import nodes
from plant.indicators import INDICATORS
from plant.site import Site

REMIND_S = 7 * 86_400.0  # what is wrong with a meter is mended at the next visit


def suspect_watches(site: Site, yesterday: Studied | None) -> Iterator[Watch]:
    """Every metering point; ``yesterday`` is the answer of the study, None as long as it was not asked."""
    told = _told(yesterday)
    number = None if yesterday is None else yesterday.figures.get(nodes.PLANT, {}).get("suspect_meters")
    known = number is not None and number.value is not None
    for point in site.points.values():
        if not point.mountings:
            continue
        meter = site.meters[point.mountings[-1].meter]
        figure = yesterday.figures.get(nodes.point(point.id), {}).get("suspect_energy") if yesterday is not None else None
        sample = Sample(None, None, None) if figure is None else Sample(figure.value, figure.low, figure.high)
        # too few readings are no reason to raise, and none to end an alert raised before
        quiet = Condition.CLEAR if known else Condition.BETWEEN
        yield Watch(
            SUSPECT,
            point.id,
            meter.title_en or meter.id,
            meter.title_zh or meter.id,
            quiet if figure is None else Condition.BREACHED,
            sample,
            0.0,
            INDICATORS["suspect_energy"].unit,
            f"study suspects (site@{site.edition})",
            Timing(0.0, site.alerts.clear_for_s, REMIND_S),
            figure.completeness if figure else None,
            told.get(point.id, ""),
        )


def _told(yesterday: Studied | None) -> Mapping[str, str]:
    """What each suspect most likely has, by point."""
    suspects: list[dict[str, Any]] = yesterday.body.get("suspects", []) if yesterday is not None else []
    return {s["point"]: f"{s['kind']} ({s['check']['en']} / {s['check']['zh']})" for s in suspects}
