"""A province's figures as rows for offices, in Chinese and English."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from api.render.table import COLUMNS, Cell, Lang, Table, boundary_of, word
from plant.indicators import INDICATORS

_TITLE = {"en": "Energy of electrolytic aluminium, {period}", "zh": "电解铝行业能源汇总 {period}"}
_HEAD = {
    "en": ("Period", "Provisional reports", "Plants without a report", "SHA-256 of this answer"),
    "zh": ("期间", "暂定报表", "未报工厂", "本汇总的SHA-256"),
}
_CAPACITY = {
    "at_benchmark": ("Capacity at or above the benchmark", "达到标杆水平产能占比"),
    "between": ("Capacity between benchmark and baseline", "标杆与基准之间产能占比"),
    "below_baseline": ("Capacity below the baseline", "低于基准水平产能占比"),
}
_WITHHELD = {"en": "withheld: too few enterprises", "zh": "企业数量过少,不予公布"}
_MISSING = {"en": "{n} plants did not say", "zh": "{n}家工厂未提供"}
_REPORT = {"en": "report version {version}, {status}, {plant}", "zh": "报表第{version}版,{status},{plant}"}
_WHOLE = {"en": "All provinces", "zh": "各省合计"}


def province_table(answer: Mapping[str, Any], lang: Lang) -> Table:
    """Figures of each province, then its capacity, then every report that they rest on with its hash."""
    missing, provisional = answer["missing_plants"], answer["provisional_plants"]
    head = (answer["period"], ", ".join(provisional) or "0", ", ".join(missing) or "0", answer["sha256"])
    rows = [row for name, group in answer["provinces"].items() for row in _rows(answer["period"], name, group, lang)]
    rows += [_source(answer["period"], report, lang) for report in answer["reports"]]
    return Table(
        _TITLE[lang].format(period=answer["period"]), tuple(zip(_HEAD[lang], head, strict=True)), COLUMNS[lang], tuple(rows)
    )


def _rows(period: str, name: str, group: Mapping[str, Any], lang: Lang) -> Iterator[tuple[Cell, ...]]:
    where = _WHOLE[lang] if name == "all" else name
    for indicator, figure in group["figures"].items():
        row = INDICATORS[indicator]
        named = (period, where, row.zh if lang == "zh" else row.en)
        if "withheld" in figure:
            yield (*named, None, None, None, row.unit, None, None, "", boundary_of(indicator, lang), _WITHHELD[lang])
            continue
        missing = figure["missing"] if isinstance(figure["missing"], int) else len(figure["missing"])
        trust = (100 * figure["completeness"], 100 * figure["measured_share"])
        note = _MISSING[lang].format(n=missing) if missing else ""
        yield (*named, *(figure[k] for k in ("value", "low", "high", "unit")), *trust, "", boundary_of(indicator, lang), note)
    yield from _capacity(period, where, group["capacity"], lang)


def _capacity(period: str, where: str, capacity: Mapping[str, Any], lang: Lang) -> Iterator[tuple[Cell, ...]]:
    if "withheld" in capacity:
        yield (period, where, _CAPACITY["at_benchmark"][lang == "zh"], None, None, None, "%", None, None, "", "", _WITHHELD[lang])
    if capacity.get("total_t_per_y", 0.0) <= 0:
        return
    for name, titles in _CAPACITY.items():
        low, high = capacity[f"{name}_percent_low"], capacity[f"{name}_percent_high"]
        status = word(capacity["target"]["status"], lang) if name == "at_benchmark" and "target" in capacity else ""
        title = titles[1] if lang == "zh" else titles[0]
        yield (period, where, title, low if low == high else None, low, high, "%", None, None, status, "", "")


def _source(period: str, report: Mapping[str, Any], lang: Lang) -> tuple[Cell, ...]:
    shown = _REPORT[lang].format(version=report["version"], status=word(report["status"], lang), plant=report["plant"])
    return (period, report["province"], shown, None, None, None, "", None, None, "", "", f"{report['file']} {report['sha256']}")
