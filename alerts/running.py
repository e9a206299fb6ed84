"""Rules on running periods and on certificates: what each looks at, its limit, and how it is judged. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from alerts.engine import Condition, Sample, Threshold, Timing
from alerts.rules import COMPLETENESS, EFFECTS, EFFICIENCY, ENDING, GAP, Figures, RuleId, Watch
from analytics.study import Studied
from plant import nodes
from plant.indicators import INDICATORS, Figure
from plant.site import Site

_LAST_QUARTER = 10  # months before it leave time to buy
_BACK_BY = 0.005  # completeness must be better by this before the alert ends
_EFFICIENCY_BACK_BY = 0.2  # points
_EFFECTS_BACK_BY = 0.9  # of the limit


def running_watches(site: Site, last_24h: Figures, month: Figures) -> Iterator[Watch]:
    """Completeness and anode effects of the last 24 h, current efficiency of the month so far, by line."""
    settings = site.alerts
    plant = last_24h.get(nodes.PLANT, {})
    if plant:
        received = next(iter(plant.values())).completeness
        sample = Sample(received, received, received)
        least = settings.completeness_min
        threshold = Threshold("below", least, min(least + _BACK_BY, 1.0))
        yield _watch(site, COMPLETENESS, nodes.PLANT, threshold, 100.0, sample, "%", "alerts.completeness_min", received)
    for line in site.potlines.values():
        node = nodes.line(line.id)
        least = settings.current_efficiency_min_percent
        threshold = Threshold("below", least, min(least + _EFFICIENCY_BACK_BY, 100.0))
        figure = month.get(node, {}).get("current_efficiency")
        yield _of_figure(site, EFFICIENCY, node, threshold, figure, "alerts.current_efficiency_min_percent", "%")
        most = settings.anode_effect_minutes_max
        if most is not None:
            threshold = Threshold("above", most, most * _EFFECTS_BACK_BY)
            figure = last_24h.get(node, {}).get("anode_effect_minutes")
            unit = INDICATORS["anode_effect_minutes"].unit
            yield _of_figure(site, EFFECTS, node, threshold, figure, "alerts.anode_effect_minutes_max", unit)


def certificate_watches(site: Site, found: Studied | None, now_ns: int) -> Iterator[Watch]:
    """Certificates that nobody has used and that end soon; in the last quarter what is missing to the target of the year.
    ``found`` is the answer of the study, None as long as it was not asked: no reason to raise, and none to end an alert."""
    ending = None if found is None else float(sum(row["mwh"] for row in found.body.get("expiring", ())))
    sample = Sample(ending, ending, ending)
    yield _watch(site, ENDING, nodes.PLANT, Threshold("above", 0.0, 0.0), 1.0, sample, "MWh", "certificates", None)
    gap = None if found is None else found.figures.get(nodes.PLANT, {}).get("certificate_gap")
    last_quarter = site.calendar.local(now_ns).month >= _LAST_QUARTER
    if last_quarter and (found is None or (gap is not None and found.body.get("target"))):
        # the gap of a year hardly measured is proven by its lower edge all the same
        near = None if gap is None else gap.low
        value = gap.value if gap is not None and gap.value is not None else near
        high = None if gap is None else gap.high
        yield _watch(
            site, GAP, nodes.PLANT, Threshold("above", 0.0, 0.0), 1.0, Sample(value, near, high), "MWh", "certificate-quota", None
        )


def _of_figure(site: Site, rule: RuleId, node: str, threshold: Threshold, figure: Figure | None, key: str, unit: str) -> Watch:
    sample = Sample(None, None, None) if figure is None else Sample(figure.value, figure.low, figure.high)
    return _watch(site, rule, node, threshold, 1.0, sample, unit, key, figure.completeness if figure else None)


def _watch(
    site: Site,
    rule: RuleId,
    node: str,
    threshold: Threshold,
    scale: float,
    sample: Sample,
    unit: str,
    key: str,
    completeness: float | None,
) -> Watch:
    lines = {nodes.line(line.id): (line.title_en, line.title_zh) for line in site.potlines.values()}
    title_en, title_zh = lines.get(node, (site.title_en, site.title_zh))
    condition = threshold.judge(sample)
    shown = Sample(*(None if x is None else scale * x for x in (sample.value, sample.low, sample.high)))
    return Watch(
        rule,
        node,
        title_en,
        title_zh,
        # before the first answer, or with nothing booked, there is no reason to raise and none to end an alert raised before
        Condition.BETWEEN if condition is Condition.UNKNOWN else condition,
        shown,
        scale * threshold.raise_level,
        unit,
        f"{key} (site@{site.edition})",
        Timing(site.alerts.figure_for_s, site.alerts.clear_for_s, site.alerts.remind_after_s),
        completeness,
    )
