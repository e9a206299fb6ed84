"""A report as one flat table: the rows that every format shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from plant import nodes
from plant.indicators import INDICATORS, Figure
from plant.site import Site

Lang = Literal["en", "zh"]
Cell = str | float | int | None

COLUMNS: Mapping[Lang, tuple[str, ...]] = {
    "en": (
        "Period",
        "Where",
        "Figure",
        "Value",
        "Low",
        "High",
        "Unit",
        "Completeness %",
        "Measured share %",
        "Status",
        "Boundary",
        "Note",
    ),
    "zh": ("期间", "对象", "指标", "数值", "下限", "上限", "单位", "数据完整率 %", "实测占比 %", "判定", "统计边界", "说明"),
}
NUMERIC = (3, 4, 5, 7, 8)
_WORDS: Mapping[str, str] = {
    "met": "达标",
    "exceeded": "超限",
    "missed": "未达标",
    "not decidable": "无法判定",
    "unknown": "未知",
    "provisional": "暂定",
    "closed": "已结算",
    "live": "实时",
    "day": "日报",
    "month": "月报",
    "year": "年报",
    "target": "本厂目标",
    "e1-grade": "能耗等级",
    "e2-grade": "能耗等级",
    "benchmark": "标杆",
    "baseline": "基准",
    "tariff-threshold": "阶梯电价门槛",
}


@dataclass(frozen=True, slots=True)
class Table:
    """``head`` pairs of name and value above the rows; a cell is a number where its column is ``NUMERIC``, or None."""

    title: str
    head: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def word(text: str, lang: Lang) -> str:
    """A word of the product in the language asked for."""
    return _WORDS.get(text, text) if lang == "zh" else text


def figure_rows(site: Site, label: str, figures: Mapping[str, Mapping[str, Figure]], lang: Lang) -> tuple[tuple[Cell, ...], ...]:
    """One row a figure of the period ``label``: the plant first, then lines and other nodes, indicators as in their table."""
    order = {name: position for position, name in enumerate(INDICATORS)}
    return tuple(
        (label, *_row(node_title(site, node, lang), figure, lang))
        for node in sorted(figures, key=lambda n: (n != nodes.PLANT, n))
        for figure in sorted(figures[node].values(), key=lambda f: order[f.indicator])
    )


def node_title(site: Site, node: str, lang: Lang) -> str:
    """What people call a node."""
    if node == nodes.PLANT:
        return "全厂" if lang == "zh" else "Whole plant"
    kind, _, name = node.partition(":")
    titled: Any = {"line": site.potlines, "branch": site.branches, "point": site.meters}.get(kind, {})
    if name not in titled:
        return word(node, lang)
    title: str = titled[name].title_zh if lang == "zh" else titled[name].title_en
    return title


def _row(where: str, figure: Figure, lang: Lang) -> tuple[Cell, ...]:
    known = INDICATORS[figure.indicator]
    status = "; ".join(f"{word(limit, lang)}: {word(state, lang)}" for limit, state in figure.status.items())
    return (
        where,
        known.zh if lang == "zh" else known.en,
        figure.value,
        figure.low,
        figure.high,
        known.unit,
        100 * figure.completeness,
        100 * figure.measured_share,
        status,
        known.boundary,
        figure.reason,
    )
