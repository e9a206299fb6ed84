"""What plants hand in for a province: their reports as JSON, each as it was printed or fetched, with its SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from analytics.aggregate import PlantFigures
from plant import nodes
from plant.errors import ConfigError, Fault
from plant.indicators import INDICATORS, Figure
from plant.provinces import Province


class _FigureText(BaseModel):
    """A figure of a report; what a later version adds to it is passed over."""

    model_config = ConfigDict(frozen=True)

    indicator: str
    unit: str
    value: float | None
    low: float | None
    high: float | None
    completeness: Annotated[float, Field(ge=0, le=1)]
    measured_share: Annotated[float, Field(ge=0, le=1)]
    reason: str = ""
    status: dict[str, str] = {}
    editions: tuple[str, ...] = ()


class _StudyText(BaseModel):
    """The figures of a study in a report."""

    model_config = ConfigDict(frozen=True)

    figures: dict[str, dict[str, _FigureText]] = {}


class _ReportText(BaseModel):
    """The parts of a report that a province needs."""

    model_config = ConfigDict(frozen=True)

    plant: Annotated[str, Field(min_length=1)]
    enterprise: str = ""
    province: Province
    kind: Literal["day", "month", "year"]
    period: str
    version: Annotated[int, Field(ge=0)]
    status: Literal["provisional", "closed"]
    interval_hash: str
    data_until: str
    end: str
    figures: dict[str, dict[str, _FigureText]]
    studies: dict[str, _StudyText] = {}
    capacity_t_per_y: dict[str, Annotated[float, Field(gt=0)]] = {}


@dataclass(frozen=True, slots=True)
class Handed:
    """A report as it came: ``file`` and ``sha256`` identify it, ``figures`` are what it says."""

    file: str
    sha256: str
    kind: str
    period: str
    version: int
    status: str
    interval_hash: str
    data_until: str
    figures: PlantFigures


def files_of(paths: Sequence[Path]) -> list[Path]:
    """JSON files among paths, those of folders included, by name. Raises ConfigError where there is none."""
    found = sorted({file for path in paths for file in (path.glob("*.json") if path.is_dir() else [path])})
    if not found:
        raise ConfigError([Fault(", ".join(map(str, paths)), "reports", "no *.json", "reports as `potwatt report` prints them")])
    return found


def read_report(path: Path) -> Handed | list[Fault]:
    """A report, or everything that is wrong with it."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        return [Fault(str(path), "file", error.strerror or str(error), "a readable report")]
    return parse_report(path, raw)


def parse_report(path: Path, raw: bytes) -> Handed | list[Fault]:
    """The same from its bytes; ``path`` is what it is called."""
    try:
        parsed = _ReportText.model_validate(orjson.loads(raw))
    except orjson.JSONDecodeError as error:
        return [Fault(str(path), "JSON", str(error), "a report as `potwatt report` or the API gives it")]
    except ValidationError as error:
        return [Fault(str(path), ".".join(map(str, e["loc"])), repr(e["input"])[:80], e["msg"]) for e in error.errors()[:20]]
    faults = list(_faults(path, parsed))
    return faults or _handed(path, raw, parsed)


def _all_figures(report: _ReportText) -> dict[str, dict[str, _FigureText]]:
    """Figures of the report and of the studies in it, by node."""
    found = {node: dict(by) for node, by in report.figures.items()}
    for study in report.studies.values():
        for node, by in study.figures.items():
            found.setdefault(node, {}).update(by)
    return found


def _faults(path: Path, report: _ReportText) -> list[Fault]:
    known = ((node, f) for node, by in _all_figures(report).items() for f in by.values() if f.indicator in INDICATORS)
    wrong = [(node, f) for node, f in known if f.unit != INDICATORS[f.indicator].unit]
    found = [Fault(str(path), f"figures.{node}.{f.indicator}", f.unit, f"in {INDICATORS[f.indicator].unit}") for node, f in wrong]
    if not report.province:
        found.append(Fault(str(path), "province", "nothing", "the province of the plant (plant.province in its site file)"))
    return found


def _handed(path: Path, raw: bytes, report: _ReportText) -> Handed:
    by_node = {node: _figures(by) for node, by in _all_figures(report).items()}
    lines = {node.removeprefix("line:"): by for node, by in by_node.items() if node.startswith("line:")}
    figures = PlantFigures(
        report.plant, report.enterprise, report.province, by_node.get(nodes.PLANT, {}), lines, report.capacity_t_per_y
    )
    return Handed(
        path.name,
        hashlib.sha256(raw).hexdigest(),
        report.kind,
        report.period,
        report.version,
        report.status,
        report.interval_hash,
        report.data_until,
        figures,
    )


def _figures(by: Mapping[str, _FigureText]) -> dict[str, Figure]:
    """Those whose indicator this version knows; a newer plant may say more."""
    return {
        f.indicator: Figure(
            f.indicator, f.value, f.low, f.high, f.completeness, f.measured_share, f.reason, dict(f.status), f.editions
        )
        for f in by.values()
        if f.indicator in INDICATORS
    }


def checked(found: Sequence[Handed | list[Fault]], period: str) -> list[Handed]:
    """The reports, by plant. Raises ConfigError with every fault: of a file, of a period that is not asked for, of a plant that
    comes twice."""
    faults = [fault for one in found if isinstance(one, list) for fault in one]
    reports = [one for one in found if isinstance(one, Handed)]
    seen: dict[str, str] = {}
    for report in reports:
        plant = report.figures.plant
        if report.period != period:
            faults.append(Fault(report.file, "period", report.period, f"a report of {period}"))
        if plant in seen:
            faults.append(Fault(report.file, "plant", plant, f"one report a plant; {seen[plant]} is of it too"))
        seen.setdefault(plant, report.file)
    if faults:
        raise ConfigError(faults)
    return sorted(reports, key=lambda report: report.figures.plant)
