"""Bodies of day, month and year reports, and what differs between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, Literal

from analytics.figures import PeriodFigures
from analytics.limits import PeriodKind, limit_rows
from analytics.period import period_figures
from analytics.period_rows import Period
from plant import nodes
from plant.calendar import PlantCalendar
from plant.errors import InputError
from plant.ports import ReportVersion
from plant.rulebook import Rulebook
from plant.series import Span
from plant.site import Site

FORMS = "there are day (2026-11-20), month (2026-11) and year (2026) reports"
_TELLING = ("value", "low", "high", "completeness", "measured_share", "status")
ReportKind = Literal["day", "month", "year"]


@dataclass(frozen=True, slots=True)
class ReportPlan:
    """What a report covers: its span, and the spans of its rows by label (shifts, calendar days or months)."""

    kind: ReportKind
    period: str
    span: Span
    rows: tuple[tuple[str, Span], ...]


def plan(calendar: PlantCalendar, kind: str, period: str) -> ReportPlan:
    """Plan of a report: ``day`` "2026-11-20" (a production day, by shifts), ``month`` "2026-11" (a closing month, by days),
    ``year`` "2026" (by months). Raises InputError for any other text."""
    try:
        if kind == "day":
            return _day(calendar, period, date.fromisoformat(period))
        if kind == "month" and len(period) == 7:
            first = date.fromisoformat(f"{period}-01")
            span = calendar.closing_month(first.year, first.month)
            return ReportPlan("month", period, span, tuple(_days(calendar, span)))
        if kind == "year" and len(period) == 4:
            year = int(period)
            months = ((f"{year}-{n:02}", calendar.month(year, n)) for n in range(1, 13))
            return ReportPlan("year", period, calendar.year(year), tuple(months))
    except (ValueError, OverflowError) as error:  # the calendar ends with the year 9999
        raise InputError(f"report {kind} {period!r}: {error}; {FORMS}") from error
    raise InputError(f"report {kind} {period!r}: {FORMS}")


def kind_of(period: str) -> ReportKind:
    """Kind of a report by the length of its period's name. Raises InputError for a text that names none."""
    kinds: dict[int, ReportKind] = {4: "year", 7: "month", 10: "day"}
    if len(period) not in kinds:
        raise InputError(f"period {period!r}: {FORMS}")
    return kinds[len(period)]


def check_closing(
    planned: ReportPlan, calendar: PlantCalendar, cause: str, wait_days: int, now_ns: int, done_ns: int | None
) -> None:
    """Raises InputError where a report cannot be closed yet: not over, not settled, within ``wait_days`` of its end."""
    name, end_ns = f"{planned.kind} report {planned.period}", planned.span.end_ns
    ends = calendar.local(end_ns)
    if not cause.strip():
        raise InputError(f"{name}: closing needs a cause, such as 'month end'")
    if now_ns < end_ns or done_ns is None or done_ns < end_ns:
        settled = "nothing is settled" if done_ns is None else f"settled until {calendar.local(done_ns):%Y-%m-%d %H:%M}"
        raise InputError(f"{name}: ends {ends:%Y-%m-%d %H:%M}, {settled}; close it when all of it is settled")
    due = ends + timedelta(days=wait_days)
    if calendar.local(now_ns) < due:
        raise InputError(f"{name}: late readings are waited for until {due:%Y-%m-%d %H:%M}; close it then, or waive the wait")


def _day(calendar: PlantCalendar, period: str, day: date) -> ReportPlan:
    span = calendar.production_day(day)
    rows = []
    # a production day may begin within a shift: of that one it has the rest
    for on in (day - timedelta(days=1), day, day + timedelta(days=1)):
        for number in range(len(calendar.shift_starts)):
            shift = calendar.shift(on, number)
            part = Span(max(shift.start_ns, span.start_ns), max(shift.start_ns, span.start_ns, min(shift.end_ns, span.end_ns)))
            if part.end_ns > part.start_ns:
                rows.append((f"{on.isoformat()} shift {number + 1}", part))
    return ReportPlan("day", period, span, tuple(rows))


def _days(calendar: PlantCalendar, span: Span) -> list[tuple[str, Span]]:
    day, rows = calendar.local(span.start_ns).date(), []
    while calendar.instant_ns(day) < span.end_ns:
        rows.append((day.isoformat(), calendar.day(day)))
        day += timedelta(days=1)
    return rows


def body_of(planned: ReportPlan, whole: Period) -> dict[str, Any]:
    """Body of a report from what was read for all of it: its rows are cut out."""
    row_kind: dict[str, PeriodKind] = {"day": "interval", "month": "day", "year": "month"}
    until_ns = whole.span.end_ns
    parts = [
        (label, period_figures(whole.part(Span(span.start_ns, min(span.end_ns, until_ns)), row_kind[planned.kind])))
        for label, span in planned.rows
        if span.start_ns < until_ns
    ]
    return body(whole.site, planned, period_figures(whole), parts, whole.rulebook)


def body(
    site: Site, plan_: ReportPlan, whole: PeriodFigures, rows: Sequence[tuple[str, PeriodFigures]], rulebook: Rulebook
) -> dict[str, Any]:
    """JSON-ready body of a report: figures by node with the limits they were held against, rows, sources, flows, points, what
    it rests on, and the names of the day: a report once closed says the same however site and rules change."""
    plain = asdict(whole)
    return {
        "plant": site.id,
        "title": {"en": site.title_en, "zh": site.title_zh},
        "titles": _titles(site),
        "limits": limit_rows(rulebook, site, site.calendar.local(plan_.span.end_ns - 1).date()),
        "placeholders": sorted(rule.edition for rule in rulebook.rules if rule.placeholder),
        "enterprise": site.enterprise,
        "province": site.province,
        "capacity_t_per_y": {row.potline: row.t_per_y for row in site.process.capacity},
        "kind": plan_.kind,
        "period": plan_.period,
        "span": plain["span"],
        "data_until": site.calendar.local(whole.span.end_ns).isoformat(),
        "status": whole.status,
        "figures": plain["figures"],
        "rows": [{"label": label, "span": asdict(f.span), "figures": asdict(f)["figures"]} for label, f in rows],
        "flows": plain["flows"],
        "sources": _sources(site, whole),
        "points": plain["points"],
        "residual_kwh": plain["residual_kwh"],
        "data_quality": _data_quality(whole),
        "details": plain["details"],
        "editions": list(whole.editions),
        "interval_hash": whole.interval_hash,
    }


def _titles(site: Site) -> dict[str, dict[str, str]]:
    """What people call the nodes that carry figures."""
    titled = {nodes.line(p.id): p for p in site.potlines.values()} | {nodes.branch(b.id): b for b in site.branches.values()}
    return {node: {"en": named.title_en, "zh": named.title_zh} for node, named in titled.items()}


def _sources(site: Site, whole: PeriodFigures) -> dict[str, float | None]:
    """Energy delivered by source (plant.site.SOURCES), kWh; storage stands under ``storage``. Null where a flow of it is."""
    found: dict[str, float | None] = {}
    for flow in whole.flows:
        branch = site.branches[flow.source.partition("/")[0]]
        name = branch.source or branch.kind
        before = found.get(name, 0.0)
        found[name] = None if before is None or flow.energy_kwh is None else before + flow.energy_kwh
    return found


def _data_quality(whole: PeriodFigures) -> dict[str, Any]:
    flagged = {p.point: list(p.flags) for p in whole.points if p.flags}
    return {
        "slots_missing": whole.slots_missing,
        "completeness": {p.point: p.completeness for p in whole.points},
        "measured_share": {p.point: p.measured_share for p in whole.points},
        "flags": flagged,
    }


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Figures that differ between two report bodies: {"node/indicator": {"before": x, "after": y}}; those of a study stand
    under "study/node/indicator". Where the value stayed and its band did not, ``band_before`` and ``band_after`` say so."""
    old, new = _values(before), _values(after)
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    found: dict[str, dict[str, Any]] = {name: {"before": old.get(name), "after": new.get(name)} for name in names}
    was, now = _bands(before), _bands(after)
    for name in was.keys() & now.keys() - found.keys():
        if list(map(_rounded, was[name])) != list(map(_rounded, now[name])):
            value = old[name]
            found[name] = {"before": value, "after": value, "band_before": was[name], "band_after": now[name]}
    return dict(sorted(found.items()))


def _bands(report: dict[str, Any]) -> dict[str, list[float | None]]:
    return {f"{node}/{name}": [f["low"], f["high"]] for node, by in report["figures"].items() for name, f in by.items()}


def outdated(closed: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether a figure that a closed report has is another one now: value, band, trust or status, of the whole and of its
    rows, and values of its studies. Figures that it never had do not count."""
    told, found = _told(closed), _told(now)
    return any(found.get(name) != said for name, said in told.items())


def _told(report: dict[str, Any]) -> dict[str, str]:
    parts = {"": report["figures"]} | {row["label"]: row["figures"] for row in report["rows"]}
    said = {
        f"{label}/{node}/{name}": repr([_rounded(figure.get(key)) for key in _TELLING])
        for label, by_node in parts.items()
        for node, by in by_node.items()
        for name, figure in by.items()
    }
    return said | {name: repr(_rounded(value)) for name, value in _study_values(report).items()}


def _rounded(number: Any) -> Any:
    if isinstance(number, dict):
        return sorted(number.items())
    return float(f"{number:.9g}") if isinstance(number, float) else number


def _values(report: dict[str, Any]) -> dict[str, Any]:
    said = {f"{node}/{name}": f["value"] for node, by in report["figures"].items() for name, f in by.items()}
    return said | _study_values(report)


def frozen(
    site: Site, provisional: dict[str, Any], versions: Sequence[ReportVersion], cause: str, who: str, now_ns: int
) -> ReportVersion:
    """The next version of a report: closed, naming its predecessor, its cause and what differs."""
    last = versions[-1] if versions else None
    number = last.version + 1 if last else 1
    closed = provisional | {"status": "closed", "version": number, "closed_by": who, "cause": cause}
    if last is not None:
        closed |= {"predecessor": last.version, "difference": difference(last.body, provisional)}
    return ReportVersion(
        site.id, provisional["kind"], provisional["period"], number, closed, provisional["interval_hash"], cause, now_ns
    )


def _study_values(report: dict[str, Any]) -> dict[str, Any]:
    studies = {name: study.get("figures", {}) for name, study in report.get("studies", {}).items()}
    return {
        f"{study}/{node}/{name}": figure["value"]
        for study, by_node in studies.items()
        for node, by in by_node.items()
        for name, figure in by.items()
    }
