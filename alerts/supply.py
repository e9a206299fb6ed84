"""Rules on the quality of the supply and on PV fields: what each looks at, its limit, and how it is judged. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from alerts.engine import Condition, Sample, Threshold, Timing
from alerts.rules import PV_DROP, SUPPLY, WINDOW, Figures, Watch
from plant import nodes
from plant.indicators import INDICATORS
from plant.rulebook import EXCEEDED, MET, Rulebook
from plant.site import Site

SUPPLY_INDICATORS = (
    "frequency_deviation",
    "frequency_deviation_islanded",
    "voltage_deviation_up",
    "voltage_deviation_down",
    "voltage_deviation_span",
    "voltage_thd",
    "voltage_unbalance",
)


def supply_watches(site: Site, rulebook: Rulebook, last_24h: Figures, now_ns: int) -> Iterator[Watch]:
    """Every figure of a bus section that a limit of its voltage is about. One with a hole in its day can be proven outside
    and nothing else, so the words of its limits decide, not its band."""
    today, scope = site.calendar.local(now_ns).date(), (site.province, "CN")
    for bus in site.buses:
        node = nodes.bus(bus)
        for indicator in SUPPLY_INDICATORS:
            figure = last_24h.get(node, {}).get(indicator)
            rules = rulebook.for_indicator(indicator, today, scope, site.bus_voltage_kv.get(bus))
            rules = [r for r in rules if r.kind == "upper_limit" and r.holds_for(WINDOW)]
            if figure is None or not rules:
                continue
            strictest = min(rules, key=lambda r: r.value)
            word = figure.status.get(strictest.id, "")
            known = INDICATORS[indicator]
            yield Watch(
                SUPPLY,
                f"{node}/{indicator}",
                f"{bus}, {known.en}",
                f"{bus},{known.zh}",
                {EXCEEDED: Condition.BREACHED, MET: Condition.CLEAR}.get(word, Condition.BETWEEN),
                Sample(figure.value, figure.low, figure.high),
                float(strictest.value),
                known.unit,
                f"{strictest.document} ({strictest.edition}){' (placeholder)' if strictest.placeholder else ''}",
                Timing(0.0, site.alerts.clear_for_s, site.alerts.remind_after_s),
                figure.completeness,
            )


def drop_watches(site: Site, yesterday: Figures | None) -> Iterator[Watch]:
    """Every PV field whose ratio of yesterday can be held against the days before; ``yesterday`` are the figures of the study,
    None as long as it was not asked."""
    for field in site.solar:
        node = nodes.branch(field.branch)
        figure = (yesterday or {}).get(node, {}).get("performance_ratio_drop")
        limit = field.ratio_drop_max_points
        sample = Sample(None, None, None) if figure is None else Sample(figure.value, figure.low, figure.high)
        branch = site.branches[field.branch]
        yield Watch(
            PV_DROP,
            node,
            branch.title_en,
            branch.title_zh,
            # a dark day, or the first ones, is no reason to raise, and none to end an alert raised before
            Condition.BETWEEN if figure is None else Threshold("above", limit, limit).judge(sample),
            sample,
            limit,
            "%",
            f"solar[{field.id}].ratio_drop_max_points (site@{site.edition})",
            Timing(0.0, site.alerts.clear_for_s, site.alerts.remind_after_s),
            figure.completeness if figure else None,
        )
