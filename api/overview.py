"""The month and the year at a glance: what an energy manager is asked about, each figure with what it rests on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from analytics.study import Studied
from api.context import Context
from api.live import running_reports
from api.overview_words import words_of
from api.render.table import boundary_of, limit_word, node_title, note, word
from api.schemas import figure_json, figure_name
from plant import nodes
from plant.errors import PotwattError
from plant.indicators import INDICATORS, Figure
from plant.rulebook import Rule
from plant.site import Site

KEPT_S = 60.0  # these figures move by the quarter of an hour
Figures = Mapping[str, Mapping[str, Figure]]
Pick = Callable[[Figures, str], Iterable[str]]


def _everywhere(figures: Figures, indicator: str) -> list[str]:
    return [node for node in sorted(figures, key=lambda n: (n != nodes.PLANT, n)) if indicator in figures[node]]


def _plant(figures: Figures, indicator: str) -> list[str]:
    return [nodes.PLANT] if indicator in figures.get(nodes.PLANT, {}) else []


def _lowest(figures: Figures, indicator: str) -> list[str]:
    return _furthest(figures, indicator, min)


def _highest(figures: Figures, indicator: str) -> list[str]:
    return _furthest(figures, indicator, max)


def _furthest(figures: Figures, indicator: str, choose: Callable[..., str]) -> list[str]:
    parts = [node for node in _everywhere(figures, indicator) if node != nodes.PLANT]
    known = [node for node in parts if figures[node][indicator].value is not None]
    return [choose(known, key=lambda n: figures[n][indicator].value)] if known else parts[:1]


MONTH = "month"  # the running month of the live figures; any other source is a study
_STUDIES = {"tariff": "year", "certificates": "year", "outlook": "month", "solar": "month", "suspects": "month"}
_SUPPLY = ("frequency_deviation", "voltage_deviation_span", "voltage_deviation_up", "voltage_thd", "voltage_unbalance")
_GROUPS: Mapping[str, tuple[tuple[str, str, Pick], ...]] = {
    "green": (
        (MONTH, "green_share_physical", _plant),
        (MONTH, "green_share_matched", _plant),
        (MONTH, "green_share_volumetric", _plant),
        (MONTH, "green_share_cfe", _plant),
        ("certificates", "certificate_ratio", _plant),
        ("certificates", "certificate_gap", _plant),
        ("certificates", "certificate_cost", _plant),
    ),
    "tonne": tuple(
        (MONTH, name, _plant)
        for name in ("specific_energy_e1", "specific_energy_e2", "specific_energy_e3", "specific_energy_e4", "current_efficiency")
    ),
    "tariff": (
        ("tariff", "specific_energy_projected", _everywhere),
        ("tariff", "tariff_steps", _everywhere),
        ("tariff", "tariff_surcharge_year", _everywhere),
        ("tariff", "tariff_next_step_down", _everywhere),
        (MONTH, "energy_cost", _plant),
        (MONTH, "renewable_saving", _plant),
    ),
    "carbon": tuple(
        (MONTH, name, _plant)
        for name in (
            "direct_emissions_intensity",
            "electricity_intensity_location",
            "electricity_intensity_matched",
            "electricity_intensity_volumetric",
        )
    ),
    "outlook": tuple(
        ("outlook", name, _plant)
        for name in (
            "green_share_physical_outlook",
            "specific_energy_e1_outlook",
            "specific_energy_e2_tariff_outlook",
            "renewable_generation_outlook",
        )
    ),
    "solar": (
        (MONTH, "performance_ratio", _plant),
        (MONTH, "performance_ratio_25c", _lowest),
        (MONTH, "solar_availability", _lowest),
        ("solar", "performance_ratio_drop", _highest),
        ("solar", "solar_lost", _highest),
    ),
    "suspects": (("suspects", "suspect_meters", _plant),),
    "supply": (*((MONTH, name, _highest) for name in _SUPPLY), (MONTH, "islanded_time", _plant)),
}


@dataclass(slots=True)
class Overview:
    """Builds the document while somebody wants it and shares it for ``KEPT_S``."""

    context: Context
    _document: dict[str, Any] | None = None
    _built_ns: int = 0
    _lock: asyncio.Lock | None = None

    async def document(self) -> dict[str, Any]:
        """The groups with their figures, at most ``KEPT_S`` old. Raises what the analytics raise of the running month."""
        self._lock = self._lock or asyncio.Lock()
        async with self._lock:
            now_ns = self.context.clock.now_ns()
            if self._document is None or not 0 <= now_ns - self._built_ns < KEPT_S * 1e9:
                self._document, self._built_ns = await _build(self.context, now_ns), now_ns
            return self._document


async def _build(context: Context, now_ns: int) -> dict[str, Any]:
    reports = running_reports(context.site.calendar, now_ns)
    window = (await context.analytics.live()).windows.get(MONTH)
    found: dict[str, Studied] = {MONTH: Studied({} if window is None else dict(window.figures))}
    faults: dict[str, str] = {}
    for name, kind in _STUDIES.items():
        try:
            found[name] = await context.analytics.study(name, kind, reports[kind])
        except PotwattError as error:  # one study that cannot answer takes no other figure away
            faults[name] = str(error)
    if "certificates" in found:
        found["certificates"] = _with_ratio(context.site, found["certificates"])
    groups = [{"id": group, "rows": list(_rows(context, found, picks))} for group, picks in _GROUPS.items()]
    words = words_of(context.site, {name: one.body for name, one in found.items()})
    return {
        "plant": context.site.id,
        "month": reports["month"],
        "year": reports["year"],
        "groups": [group | {"words": words.get(str(group["id"]), [])} for group in groups],
        "faults": faults,
    }


def _rows(context: Context, found: Mapping[str, Studied], picks: Iterable[tuple[str, str, Pick]]) -> Iterable[dict[str, Any]]:
    for source, indicator, pick in picks:
        figures = found[source].figures if source in found else {}
        for node in pick(figures, indicator):
            yield _row(context, source, node, figures[node][indicator])


def _row(context: Context, source: str, node: str, figure: Figure) -> dict[str, Any]:
    site, rules = context.site, {rule.edition: rule for rule in context.rulebook.rules}
    used = [rules[edition] for edition in figure.editions if edition in rules]
    where = {lang: node_title(_titles(site), node, lang) for lang in ("en", "zh")}
    known = INDICATORS[figure.indicator]
    return figure_json(figure) | {
        "source": source,
        "period": "year" if _STUDIES.get(source) == "year" else "month",
        "node": node,
        "name": figure_name(figure.indicator),
        "title": {"en": known.en, "zh": known.zh},
        "where": None if node == nodes.PLANT else where,
        "limits": [_limit(limit, state, used) for limit, state in figure.status.items()],
        "placeholders": sorted({rule.id for rule in used if rule.placeholder and rule.kind == "factor"}),
        "boundary": {lang: boundary_of(figure.indicator, lang) for lang in ("en", "zh")},
        "note": {lang: note(figure.reason, lang) for lang in ("en", "zh")},
    }


def _limit(limit: str, state: str, used: Iterable[Rule]) -> dict[str, Any]:
    # of grades the status names the one reached, and each grade is an edition of its own
    rule = next((r for r in used if r.id == limit or r.id.startswith(f"{limit}-")), None)
    return {
        "id": limit,
        "status": state,
        "title": {lang: limit_word(limit, lang) for lang in ("en", "zh")},
        "word": {lang: word(state, lang) for lang in ("en", "zh")},
        "value": float(rule.value) if rule is not None and rule.id == limit else None,
        "unit": rule.unit if rule is not None else "",
        "document": rule.document if rule is not None else "",
        "placeholder": rule is not None and rule.placeholder,
    }


def _titles(site: Site) -> dict[str, dict[str, str]]:
    lines = {nodes.line(p.id): {"en": p.title_en, "zh": p.title_zh} for p in site.potlines.values()}
    branches = {nodes.branch(b.id): {"en": b.title_en, "zh": b.title_zh} for b in site.branches.values()}
    return lines | branches | {nodes.bus(b): {"en": f"section {b}", "zh": f"母线 {b}"} for b in site.buses}


def _with_ratio(site: Site, found: Studied) -> Studied:
    """The certificate ratio is a figure of year reports; the study has it in its answer, with what its gap rests on."""
    gap = found.figures.get(nodes.PLANT, {}).get("certificate_gap")
    if gap is None:
        return found
    band = [found.body.get(f"ratio{end}_percent") for end in ("", "_low", "_high")]
    least = site.accounting.measured_share_min
    enough = gap.measured_share >= least
    reason = "the year so far" if enough else f"measured share {gap.measured_share:.1%} is below {least:.0%}"
    ratio = Figure(
        "certificate_ratio", band[0] if enough else None, band[1], band[2], gap.completeness, gap.measured_share, reason
    )
    plant = {**found.figures[nodes.PLANT], "certificate_ratio": ratio}
    return replace(found, figures={**found.figures, nodes.PLANT: plant})
