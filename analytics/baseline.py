"""Study ``baseline``: energy against what a regression over a reference span expects (ISO 50006), with its uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analytics.baseline_points import LEDGER, TEMPERATURE, Points, node_of, points_of
from analytics.chapter import NodeFields
from analytics.regression import Regression, fit
from analytics.study import Material, Question, Studied, Study, Wants
from plant import nodes
from plant.indicators import Figure
from plant.series import Span
from plant.settings.baseline import WEATHER, BaselineSettings

LEFT_OUT_MAX = 0.1  # of the points of a period: with more of them beyond the range nothing is said of it
INDICATORS = ("baseline_energy", "baseline_saving", "baseline_saving_percent")


def wants(question: Question) -> Wants:
    """Rows of the references and of the period, whatever lies in between, and ledger entries of both."""
    calendar, baselines = question.site.calendar, question.site.baselines
    if not baselines:
        return Wants(question.span)
    edges = [(calendar.instant_ns(b.reference_start), calendar.instant_ns(b.reference_end)) for b in baselines]
    parts = joined([question.span, *(Span(a, b) for a, b in edges)])
    span = Span(parts[0].start_ns, parts[-1].end_ns)
    fields: dict[str, dict[str, None]] = {}
    for one in baselines:
        own = [v for v in one.variables if v not in (*LEDGER, *WEATHER)]
        fields.setdefault(node_of(one), {}).update(dict.fromkeys((one.energy, *own, "measured_share")))
        if set(one.variables) & set(WEATHER):
            fields.setdefault(nodes.meter(one.weather_meter), {})[TEMPERATURE] = None
    columns: list[NodeFields] = [([node], tuple(names)) for node, names in fields.items()]
    entries = tuple(kind for kind in LEDGER if any(kind in b.variables for b in baselines))
    return Wants(span, columns, span, entries, parts=tuple(parts))


def joined(spans: Sequence[Span]) -> list[Span]:
    """Spans in order of time, those that touch as one."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda s: s.start_ns):
        if found and span.start_ns <= found[-1].end_ns:
            found[-1] = Span(found[-1].start_ns, max(found[-1].end_ns, span.end_ns))
        else:
            found.append(span)
    return found


def compute(material: Material) -> Studied:
    """Every baseline of the site held against the period."""
    found = [_baseline(material, settings) for settings in material.question.site.baselines]
    figures = {f"baseline:{s.id}": f for s, (f, _) in zip(material.question.site.baselines, found, strict=True)}
    return Studied(figures, {"baselines": [body for _, body in found]})


def _baseline(material: Material, settings: BaselineSettings) -> tuple[dict[str, Figure], dict[str, Any]]:
    calendar = material.question.site.calendar
    reference = Span(calendar.instant_ns(settings.reference_start), calendar.instant_ns(settings.reference_end))
    taught = points_of(material, settings, reference)
    taught = taught.take(good := taught.known(settings.measured_share_min))
    model = fit(settings.variables, taught.x, taught.energy) if len(taught.labels) else None
    body: dict[str, Any] = {
        "id": settings.id,
        "node": node_of(settings),
        "energy": settings.energy,
        "resolution": settings.resolution,
        "reference": [settings.reference_start.isoformat(), settings.reference_end.isoformat()],
        "reference_points": len(taught.labels),
        "reference_points_left_out": int((~good).sum()),
        "fit": None if model is None else _statistics(model),
    }
    why = _too_weak(settings, model, len(taught.labels))
    asked = points_of(material, settings, material.question.span)
    measured = asked.known(settings.measured_share_min)
    body |= {"points": len(asked.labels), "points_badly_measured": int((~measured).sum())}
    trust = float(np.nan_to_num(asked.share).mean()) if len(asked.share) else 0.0
    if why or model is None:
        return _null(why, trust, trust), body | {"status": "refused", "reason": why}
    inside = np.zeros(len(asked.labels), bool)
    inside[measured] = model.inside(asked.x[measured], settings.beyond_range_percent)
    used = asked.take(inside)
    body["points_beyond_range"] = int((measured & ~inside).sum())
    complete, least = float(inside.mean()) if len(inside) else 0.0, material.question.site.accounting.measured_share_min
    why = _unfit(settings, int(measured.sum()), body["points_beyond_range"])
    if not why and min(complete, trust) < least:
        why = f"{int(inside.sum())} of {len(inside)} points of the period are measured well enough, {least:.0%} are needed"
    if why:
        return _null(why, complete, trust), body | {"status": "refused", "reason": why}
    return _saving(settings, model, used, complete, trust, body)


def _saving(
    settings: BaselineSettings, model: Regression, used: Points, complete: float, trust: float, body: dict[str, Any]
) -> tuple[dict[str, Figure], dict[str, Any]]:
    expected = model.predict(used.x)
    whole, actual = float(expected.sum()), float(used.energy.sum())
    half = model.half_width(used.x, settings.confidence_percent / 100)
    saving = whole - actual
    cumulative = np.cumsum(expected - used.energy)
    rows = zip(used.labels, used.energy.tolist(), expected.tolist(), cumulative.tolist(), strict=True)
    share = 100.0 / whole if whole > 0 else float("nan")
    values = ((whole, half), (saving, half), (saving * share, half * share))
    figures = {
        name: Figure(name, value, value - width, value + width, complete, trust)
        for name, (value, width) in zip(INDICATORS, values, strict=True)
    }
    return figures, body | {
        "status": "held",
        "energy_kwh": actual,
        "expected_kwh": whole,
        "saving_kwh": saving,
        "uncertainty_kwh": half,
        "fractional_uncertainty": half / abs(saving) if saving else None,
        "confidence_percent": settings.confidence_percent,
        "proven": abs(saving) > half,
        "cusum": [
            {"label": label, "energy_kwh": energy, "expected_kwh": due, "cusum_kwh": total} for label, energy, due, total in rows
        ],
    }


def _statistics(model: Regression) -> dict[str, Any]:
    """What the fit says of itself, ready for JSON."""
    return {
        "intercept_kwh": model.intercept,
        "variables": [
            {
                "name": name,
                "slope": float(model.slopes[i]),
                "standard_error": float(model.slope_errors[i]),
                "t": float(model.slopes[i] / model.slope_errors[i]) if model.slope_errors[i] > 0 else None,
                "p": float(model.slope_p[i]),
                "range": [float(model.least[i]), float(model.most[i])],
            }
            for i, name in enumerate(model.names)
        ],
        "n": model.n,
        "r2": model.r2,
        "f": model.f if np.isfinite(model.f) else None,
        "f_p": model.f_p,
        "rmse_kwh": model.rmse,
        "cv_rmse_percent": model.cv_rmse_percent,
        "serial_correlation": model.serial,
    }


def _too_weak(settings: BaselineSettings, model: Regression | None, points: int) -> str:
    """Why a fit says nothing; empty where it does."""
    if points < settings.points_min:
        return f"the reference has {points} points, {settings.points_min} are needed"
    if model is None:
        return "a relevant variable stands still or follows from the others"
    if model.r2 < settings.r2_min:
        return f"R2 {model.r2:.3f} of the baseline is below {settings.r2_min:g}"
    if model.f_p > settings.p_max:
        return f"the baseline may be chance: p {model.f_p:.3f} is above {settings.p_max:g}"
    weak = [name for name, p in zip(model.names, model.slope_p, strict=True) if p > settings.p_max]
    return f"nothing shows that energy depends on {', '.join(weak)}" if weak else ""


def _unfit(settings: BaselineSettings, measured: int, beyond: int) -> str:
    """Why a period cannot be held against its baseline; empty where it can."""
    if not measured:
        return f"no whole {settings.resolution} of the period is measured well enough"
    if beyond > LEFT_OUT_MAX * measured:
        return f"{beyond} of {measured} points lie beyond the range of the baseline"
    return ""


def _null(reason: str, completeness: float, share: float) -> dict[str, Figure]:
    return {name: Figure(name, None, None, None, completeness, share, reason) for name in INDICATORS}


STUDY = Study("baseline", wants, compute, ("month", "year"), ("month", "year"))
