"""What must happen in the rest of a period for each limit and target: the average needed, energy missing, hours to shift,
certificates to buy, and whether it can be reached at all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analytics.counters import F64
from analytics.outlook_model import BY_METAL, RATIOS, Ahead, Days, Key
from analytics.study import Question
from plant import nodes
from plant.indicators import INDICATORS

KEPT, LIKELY, UNLIKELY, MISSED, OUT_OF_REACH = "kept", "likely", "unlikely", "missed as things go", "cannot be reached"
OPEN = "open"  # it depends on certificates that nobody can foresee
WHOLE_SHARE_MIN = 0.5  # of the usual day's, for a day's ratio to be one that can be repeated
SURE = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Prospect:
    """Settled sums and simulated rest [paths] by node and field, and figures of the whole period [paths] by node and indicator.
    ``certified_mwh`` is cancelled for the year so far, ``surplus_kw`` what is exported on average while anything is."""

    days: Days
    ahead: Ahead
    settled: Mapping[Key, float]
    rest: Mapping[Key, F64]
    total: Mapping[Key, F64]
    certified_mwh: int | None
    surplus_kw: float | None


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of an indicator: upper or lower, where it is written."""

    id: str
    kind: str
    indicator: str
    value: float
    edition: str
    placeholder: bool = False


def targets(question: Question, prospect: Prospect) -> list[dict[str, Any]]:
    """Each limit and target of the period beside what the rest must average to keep it; ready for JSON."""
    found = []
    for limit in _limits(question):
        for node in dict.fromkeys(n for n, name in prospect.total if name == limit.indicator):
            amounts = prospect.total[node, limit.indicator]
            met = amounts >= limit.value if limit.kind == "lower_limit" else amounts <= limit.value
            row = {
                "node": node,
                "indicator": limit.indicator,
                "limit": limit.id,
                "kind": limit.kind,
                "value": limit.value,
                "unit": INDICATORS[limit.indicator].unit,
                "edition": limit.edition,
                "placeholder": limit.placeholder,
                "expected": float(np.median(amounts)),
                "chance": float(met.mean()),
                "verdict": _verdict(float(met.mean())),
            }
            found.append(row | _needed(limit, node, prospect))
    return found


def _limits(question: Question) -> Iterator[Limit]:
    """Limits in force at the end of the period that name a projected indicator and such a period, and the site's targets."""
    site, accounting = question.site, question.site.accounting
    day = site.calendar.local(question.span.end_ns - 1).date()
    for name in (*RATIOS, "certificate_ratio"):
        for rule in question.rulebook.for_indicator(name, day, (site.province, "CN"), named=site.green.limits):
            if rule.kind in ("upper_limit", "lower_limit") and rule.holds_for(question.kind):
                yield Limit(rule.id, rule.kind, name, float(rule.value), rule.edition, rule.placeholder)
    own = {
        "green_share_physical": accounting.green_share_target(question.kind),
        "certificate_ratio": accounting.quota_target_percent if question.kind == "year" else None,
    }
    for name, value in own.items():
        if value is not None:
            yield Limit("target", "lower_limit", name, value, f"site@{site.edition}")


def _verdict(chance: float) -> str:
    if chance >= SURE:
        return KEPT
    return LIKELY if chance >= 0.5 else UNLIKELY if chance > 1 - SURE else MISSED


def _needed(limit: Limit, node: str, prospect: Prospect) -> dict[str, Any]:
    if limit.indicator == "certificate_ratio":
        return _certificates(limit, prospect)
    part, whole, factor = RATIOS[limit.indicator]
    settled = {key: prospect.settled[node, key.removesuffix(BY_METAL)] for key in (part, whole)}
    rest = {key: float(np.median(prospect.rest[node, key])) for key in (part, whole)}
    if rest[whole] <= 0:
        return {"text": _text("nothing is left of the period to change it", "本期剩余部分已无可调整的量")}
    allowed = limit.value / factor * (settled[whole] + rest[whole]) - settled[part]  # of the part, in the rest
    found = {
        "rest_must_average": factor * allowed / rest[whole],
        "rest_expected_average": factor * rest[part] / rest[whole],
    }
    if limit.indicator == "green_share_physical":
        return found | _green(allowed - rest[part], allowed, prospect)
    best = _best_day(limit, node, prospect.days)
    short = limit.kind == "upper_limit" and best is not None and found["rest_must_average"] < best
    short |= limit.kind == "lower_limit" and best is not None and found["rest_must_average"] > best
    if short:
        needed = found["rest_must_average"]
        en = f"cannot be reached: the rest would have to average {needed:.6g}, the best known day is {best:.6g}"
        zh = f"无法达到:剩余部分须平均 {needed:.6g},已知最好的一天为 {best:.6g}"
        return found | {"best_day": best, "verdict": OUT_OF_REACH, "text": _text(en, zh)}
    unit = INDICATORS[limit.indicator].unit
    most, zh_most = ("at most", "不高于") if limit.kind == "upper_limit" else ("at least", "不低于")
    needed, expected = found["rest_must_average"], found["rest_expected_average"]
    en = f"the rest must average {most} {needed:.6g} {unit}, expected are {expected:.6g}"
    zh = f"剩余部分须平均{zh_most} {needed:.6g} {unit},预计 {expected:.6g}"
    return found | {"best_day": best, "text": _text(en, zh)}


def _best_day(limit: Limit, node: str, days: Days) -> float | None:
    """The best known day of a ratio, of those with at least half as much as usual of what it is a ratio to."""
    part, whole, factor = RATIOS[limit.indicator]
    numerator, denominator = days.of(node, part.removesuffix(BY_METAL)), days.of(node, whole)
    if part == "renewable_used":
        numerator = days.of(node, "renewable_generation") - days.of(node, "renewable_export")
    with np.errstate(invalid="ignore", divide="ignore"):
        daily = factor * numerator / denominator
    usual = denominator[np.isfinite(denominator) & (denominator > 0)]
    least = WHOLE_SHARE_MIN * float(np.median(usual)) if len(usual) else 0.0
    daily = daily[np.isfinite(daily) & (denominator > 0) & (denominator >= least)]
    if not len(daily):
        return None
    return float(daily.min() if limit.kind == "upper_limit" else daily.max())


def _green(missing_kwh: float, allowed_kwh: float, prospect: Prospect) -> dict[str, Any]:
    """Green energy missing, and the hours of load that would have to move under the sun. Only what is exported can be met by
    moving load: where nothing is, more must be generated."""
    missing_mwh = max(missing_kwh, 0.0) / 1000.0
    exported = prospect.rest.get((nodes.PLANT, "renewable_export"))
    spare_mwh = float(np.median(exported)) / 1000.0 if exported is not None else 0.0
    most_mwh = _most_green_kwh(prospect) / 1000.0
    found: dict[str, Any] = {"green_missing_mwh": missing_mwh, "surplus_expected_mwh": spare_mwh, "green_most_mwh": most_mwh}
    if missing_mwh <= 0:
        return found | {"text": _text("reached as things go", "按目前趋势可达到")}
    if allowed_kwh / 1000.0 > most_mwh:
        needed = allowed_kwh / 1000.0
        en = f"cannot be reached on site: {needed:.0f} MWh are needed, clear skies to the end would give {most_mwh:.0f}"
        zh = f"现场无法达到:需 {needed:.0f} MWh,全部晴天最多 {most_mwh:.0f} MWh"
        return found | {"verdict": OUT_OF_REACH, "text": _text(en, zh)}
    shift_mwh = min(missing_mwh, spare_mwh)
    hours = 1000.0 * shift_mwh / prospect.surplus_kw if prospect.surplus_kw and shift_mwh > 0 else 0.0
    found |= {"load_to_shift_mwh": shift_mwh, "hours_to_shift": hours, "surplus_power_kw": prospect.surplus_kw}
    en = f"{missing_mwh:.0f} MWh of green energy are missing"
    zh = f"缺绿电 {missing_mwh:.0f} MWh"
    if shift_mwh > 0:
        en += f"; {shift_mwh:.0f} MWh of load moved into {hours:.0f} h of surplus would use what is exported"
        zh += f";可将 {shift_mwh:.0f} MWh 负荷移入 {hours:.0f} 小时富余时段"
    if shift_mwh < missing_mwh:
        en += "; moving load does not cover it: all other green energy already reaches the load"
        zh += ";移动负荷不足以弥补:其余绿电已全部供给负荷"
    return found | {"text": _text(en, zh)}


def _most_green_kwh(prospect: Prospect) -> float:
    """What the rest could give at most: every day as clear as the clearest known, nothing exported, other sources as in the
    best of the simulated cases."""
    days, clear = prospect.days, prospect.ahead.clear
    made = prospect.rest.get((nodes.PLANT, "renewable_generation"))
    if made is None or clear is None:
        return math.inf
    with np.errstate(invalid="ignore", divide="ignore"):
        clearness = days.solar / days.clear
    clearest = float(np.nanmax(clearness)) if np.isfinite(clearness).any() else 0.0
    others = np.nanmax(days.of(nodes.PLANT, "renewable_generation") - days.solar)
    return max(clearest * float(clear.sum()) + max(float(others), 0.0) * len(clear), float(made.max()))


def _certificates(limit: Limit, prospect: Prospect) -> dict[str, Any]:
    """Certificates to buy, or to have issued and cancelled, until the quota of the projected power use is full: whole MWh."""
    held = prospect.certified_mwh or 0
    use = [(nodes.PLANT, name) for name in ("load_energy", "storage_loss")]
    power_mwh = sum(prospect.settled[key] + prospect.rest[key] for key in use) / 1000.0
    low, value, high = (
        max(math.ceil(limit.value / 100.0 * float(np.quantile(power_mwh, q)) - 1e-9) - held, 0) for q in (0.1, 0.5, 0.9)
    )
    en = f"{value} certificates (MWh) are still to be bought or issued and cancelled, {low} to {high} by the power use to come"
    zh = f"尚需购买或核发并核销 {value} 个绿证(MWh),视后续用电量为 {low} 至 {high} 个"
    return {
        "verdict": KEPT if high == 0 else OPEN,
        "expected": None,
        "chance": 1.0 if high == 0 else None,
        "certificates_to_buy": value,
        "certificates_to_buy_low": low,
        "certificates_to_buy_high": high,
        "text": _text(en, zh),
    }


def _text(en: str, zh: str) -> dict[str, str]:
    return {"en": en, "zh": zh}
