"""Reports of a day, month or year: JSON for programs, CSV and XLSX for offices, HTML to read and print."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import Response

from analytics.report import plan
from api.answers import json_answer
from api.context import Context, Ctx, Plant
from api.problem import Problem
from api.render.csv import to_csv
from api.render.html import to_html
from api.render.placeholders import marked
from api.render.table import COLUMNS, Lang, Table, figure_rows, whole_period, word
from api.render.xlsx import to_xlsx
from api.schemas import figures_json
from api.times import check_period, rfc3339
from plant.indicators import Figure
from plant.ports import ReportVersion
from plant.series import Span
from plant.site import Site

router = APIRouter(prefix="/api/v1/plants/{plant}/reports", tags=["reports"])
Format = Literal["json", "csv", "html", "xlsx"]
Kind = Literal["day", "month", "year"]
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_HEAD = {
    "en": ("Plant", "Period", "Status", "Version", "From", "To", "Data until", "Made", "Cause", "Interval hash"),
    "zh": ("工厂", "期间", "状态", "版本", "起", "止", "数据截至", "生成时间", "原因", "区间数据哈希"),
}
_CORRECTIONS = {
    "en": (
        "Corrections due",
        "{slots} intervals of {nodes} got readings or verdicts after their readings had expired; the figures do not hold them",
    ),
    "zh": ("待更正", "{nodes} 的 {slots} 个时段在原始读数过期后又收到数据或判定;本表数字未包含这些变化"),
}
_QUALITY = {
    "en": ("Least complete meter", "Least measured meter"),
    "zh": ("数据完整率最低表计", "实测占比最低表计"),
}
_MISSING = {"en": "Intervals without data", "zh": "无数据时段数"}
_TITLE = {"en": "Energy report, {kind} {period}", "zh": "能源{kind} {period}"}


@router.get("/day/{date}")
async def report_of_day(site: Plant, context: Ctx, date: str, format: Format = "json", lang: Lang = "en") -> Response:  # noqa: A002
    """Report of the production day that starts on ``yyyy-mm-dd`` in the plant's zone, with its shifts."""
    return await _answer(context, site, "day", date, format, lang)


@router.get("/month/{month}")
async def report_of_month(site: Plant, context: Ctx, month: str, format: Format = "json", lang: Lang = "en") -> Response:  # noqa: A002
    """Report of the closing month that ends in ``yyyy-mm`` in the plant's zone, with its days."""
    return await _answer(context, site, "month", month, format, lang)


@router.get("/year/{year}")
async def report_of_year(site: Plant, context: Ctx, year: str, format: Format = "json", lang: Lang = "en") -> Response:  # noqa: A002
    """Report of the calendar year ``yyyy`` in the plant's zone, with its months."""
    return await _answer(context, site, "year", year, format, lang)


async def _answer(context: Context, site: Site, kind: Kind, text: str, form: Format, lang: Lang) -> Response:
    period = check_period(kind, text)
    span = plan(site.calendar, kind, period).span
    if span.start_ns > context.clock.now_ns():
        raise Problem(
            404, "not-begun", "Not begun", f"{kind} {period} begins {rfc3339(span.start_ns)}; ask for one that has begun"
        )
    report = await context.analytics.report(kind, period)
    if form == "json":
        return json_answer(report_json(span, report))
    table = report_table(site, span, report, lang)
    body, media_type = await asyncio.to_thread(_rendered, table, form, lang)
    headers = {"Cache-Control": "no-store"}
    if form != "html":
        headers["Content-Disposition"] = f'attachment; filename="{site.id}-{kind}-{period}-v{report.version}.{form}"'
    return Response(body, headers=headers, media_type=media_type)


def _rendered(table: Table, form: Format, lang: Lang) -> tuple[bytes, str]:
    if form == "csv":
        return to_csv(table), "text/csv; charset=utf-8"
    return (to_xlsx(table), _XLSX) if form == "xlsx" else (to_html(table, lang), "text/html; charset=utf-8")


def report_table(site: Site, span: Span, report: ReportVersion, lang: Lang) -> Table:
    """The report as rows in a language, with what identifies this version above them."""
    values = (
        report.body["title"][lang],
        report.period,
        word(str(report.body.get("status", "")), lang),
        str(report.version),
        site.calendar.local(span.start_ns).isoformat(),
        site.calendar.local(span.end_ns).isoformat(),
        site.calendar.local(_data_until_ns(report)).isoformat(),
        rfc3339(report.created_ns),
        report.cause,
        report.interval_hash,
    )
    title = _TITLE[lang].format(kind=word(report.kind, lang), period=report.period)
    titles = report.body.get("titles", {})
    marks = report.body.get("placeholders", ())
    parts = [marked(figures_of(part), marks) for part in (report.body, *report.body.get("studies", {}).values())]
    rows, sections = whole_period(titles, report.period, parts, lang)
    for row in report.body.get("rows", []):
        sections[len(rows)] = row["label"]
        rows += figure_rows(titles, row["label"], marked(figures_of(row), marks), lang)
    head = (*zip(_HEAD[lang], values, strict=True), *_data_quality(report, lang), *_corrections(report, lang))
    return Table(title, head, COLUMNS[lang], rows, sections)


def _data_quality(report: ReportVersion, lang: Lang) -> tuple[tuple[str, str], ...]:
    """How much of the period was received and measured: the meter that has least of either, and intervals without rows."""
    known = report.body.get("data_quality", {})
    lines: list[tuple[str, str]] = []
    for name, key in zip(_QUALITY[lang], ("completeness", "measured_share"), strict=True):
        shares = known.get(key) or {}
        if shares:
            least = min(shares, key=shares.__getitem__)
            lines.append((name, f"{100 * shares[least]:.1f} % ({least})"))
    if known.get("slots_missing"):
        lines.append((_MISSING[lang], str(known["slots_missing"])))
    return tuple(lines)


def _corrections(report: ReportVersion, lang: Lang) -> tuple[tuple[str, str], ...]:
    """A line above the figures where something came too late for them."""
    late = report.body.get("corrections", ())
    if not late:
        return ()
    name, words = _CORRECTIONS[lang]
    return ((name, words.format(slots=sum(n["slots"] for n in late), nodes=", ".join(sorted({n["node"] for n in late})))),)


def figures_of(body: Mapping[str, Any]) -> dict[str, dict[str, Figure]]:
    """The figures of a report's body, or of one of its rows, as values again."""
    return {
        node: {name: Figure(**{**row, "editions": tuple(row["editions"])}) for name, row in rows.items()}
        for node, rows in body["figures"].items()
    }


def report_json(span: Span, report: ReportVersion) -> dict[str, Any]:
    """A report as the API and the command line give it."""
    rows = [
        {"label": row["label"], **_bounds(row["span"]), "figures": figures_json(figures_of(row))}
        for row in report.body.get("rows", [])
    ]
    return {
        **{name: value for name, value in report.body.items() if name != "span"},
        "corrections": report.body.get("corrections", []),
        "kind": report.kind,
        "period": report.period,
        "version": report.version,
        "cause": report.cause,
        "made": rfc3339(report.created_ns),
        "interval_hash": report.interval_hash,
        "start": rfc3339(span.start_ns),
        "end": rfc3339(span.end_ns),
        "data_until": rfc3339(_data_until_ns(report)),
        "figures": figures_json(figures_of(report.body)),
        "rows": rows,
        "studies": {
            name: {**study, "figures": figures_json(figures_of(study))} for name, study in report.body.get("studies", {}).items()
        },
    }


def _data_until_ns(report: ReportVersion) -> int:
    """End of what was settled when the report was made: that of the span its figures are of."""
    return int(report.body["span"]["end_ns"])


def _bounds(span: Mapping[str, int]) -> dict[str, str]:
    return {"start": rfc3339(span["start_ns"]), "end": rfc3339(span["end_ns"])}
