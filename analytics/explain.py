"""From a figure down: figure <- formula <- intervals <- metering points <- gaps, verdicts, documents, rules, settings.

The table of indicators says what each figure is made of (``formula``, ``inputs``), the site's graph which branches and meters
stand at its foot, the period's rows what is missing there. Nothing is computed anew, save formulas that are plain
arithmetic: those are worked out again from the figures below them and compared (``checked``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from analytics.chapter import Found
from analytics.editions import editions_within
from analytics.evidence import Incident
from analytics.explain_formula import worked_out
from analytics.explain_points import NAMED, Points
from analytics.explain_roots import roots_of
from analytics.explain_tree import Cause, CauseKind
from analytics.figures import PeriodFigures
from analytics.period_metal import subjects_of
from analytics.period_rows import Period
from plant import nodes
from plant.errors import InputError
from plant.indicators import INDICATORS, Figure
from plant.ports import LEDGER_KINDS, Annotation, LedgerEntry
from plant.rulebook import Rule
from plant.site import Site

SETTING = "site."  # an input that begins so is a path below the site
AGREES = 1e-6  # relative, between a figure and its formula worked out from the figures below it
_LINE = nodes.line("")


@dataclass(frozen=True, slots=True)
class Grounds:
    """What an explanation is made from: the period with its figures, those of studies over it, verdicts, incidents by point,
    and ledger ``entries`` beyond those of the period (a study's)."""

    period: Period
    found: PeriodFigures
    studied: Found = field(default_factory=dict)
    annotations: Sequence[Annotation] = ()
    incidents: Mapping[str, Sequence[Incident]] = field(default_factory=dict)
    entries: Sequence[LedgerEntry] = ()

    def figures(self) -> Found:
        """Figures of the period and of the studies by node and indicator; those of the period stand."""
        names = dict.fromkeys((*self.found.figures, *self.studied))
        return {n: {**self.studied.get(n, {}), **self.found.figures.get(n, {})} for n in names}


def explain(grounds: Grounds, node: str, indicator: str) -> Cause:
    """Tree under a figure of a node. Raises InputError, with the figures there are, where there is none such."""
    figures = grounds.figures()
    if indicator not in figures.get(node, {}):
        known = ", ".join(sorted(figures.get(node, {}))) or f"none; nodes: {', '.join(figures)}"
        raise InputError(f"no figure {indicator!r} of {node!r} in this period; there are: {known}")
    return _Walk(grounds, figures).figure(node, indicator)


class _Walk:
    """One way down. Every figure is told once: where it comes again it is ``repeated``."""

    def __init__(self, grounds: Grounds, figures: Found) -> None:
        self._grounds, self._period, self._site = grounds, grounds.period, grounds.period.site
        self._figures, self._told = figures, set[tuple[str, str]]()
        self._points = Points(grounds.period, grounds.found, grounds.annotations, grounds.incidents)
        self._entries = list({(e.kind, e.source, e.key, e.id): e for e in (*grounds.period.entries, *grounds.entries)}.values())

    def figure(self, node: str, indicator: str) -> Cause:
        row, figure = INDICATORS[indicator], self._figures.get(node, {}).get(indicator)
        facts = {"node": node, "title": {"en": row.en, "zh": row.zh}, "unit": row.unit, **_of(figure)}
        if (node, indicator) in self._told:
            return Cause(CauseKind.FIGURE, indicator, facts, repeated=True)
        self._told.add((node, indicator))
        facts |= {"formula": row.formula, "boundary": row.boundary}
        causes = [cause for name in row.inputs if self._is_used(name, figure) for cause in self._input(node, name)]
        causes += self._roots(node, indicator)
        if figure is not None:
            causes += self._limits(figure, {cause.name for cause in causes if cause.kind is CauseKind.RULE})
        facts["checked"] = _checked(row.formula, figure, causes)
        return Cause(CauseKind.FIGURE, indicator, facts, tuple(causes))

    def _is_used(self, name: str, figure: Figure | None) -> bool:
        """Whether an input enters the figure: of rules to choose from, as of method sets, those whose editions it names do."""
        editions = [r.edition for r in self._period.rulebook.rules if r.id == name]
        return not editions or figure is None or figure.value is None or any(e in figure.editions for e in editions)

    def _input(self, node: str, name: str) -> list[Cause]:
        """What an input of a figure of a node stands for."""
        if name.startswith(SETTING):
            return [self._setting(name.removeprefix(SETTING))]
        if name in LEDGER_KINDS:
            return [self._ledger(node, name)]
        if name not in INDICATORS:
            return self._rules(name)
        if name in self._figures.get(node, {}) or (name in _OF_A_LINE and node.startswith(_LINE)):
            return [self.figure(node, name)]
        if node.startswith(nodes.branch("")) and roots_of(self._site, name, nodes.PLANT).branches:
            return self._roots(node, name)  # an energy of the plant, of one branch: the branch itself
        if name in self._figures.get(nodes.PLANT, {}):
            return [self.figure(nodes.PLANT, name)]
        others = [n for n, by in self._figures.items() if name in by]
        return [self.figure(other, name) for other in others] or [self.figure(node, name)]

    def _roots(self, node: str, indicator: str) -> list[Cause]:
        roots = roots_of(self._site, indicator, node)
        causes = [self._points.branch(branch, side) for branch, side in roots.branches]
        causes += [self._points.meter(meter) for meter in dict.fromkeys(roots.meters)]
        causes += [self._efficiency(line) for line in roots.efficiency]
        return causes + [self._setting(path) for path in roots.settings]

    def _rules(self, rule_id: str) -> list[Cause]:
        """Every edition of a rule in force within the span: with two, a change is dated inside it."""
        calendar, span = self._site.calendar, self._period.span
        first, last = calendar.local(span.start_ns).date(), self._period.day
        editions = editions_within(self._site, self._period.rulebook, rule_id, first, last)
        if not editions:
            return [Cause(CauseKind.RULE, rule_id, {"value": None, "missing": f"no edition in force on {last}"})]
        return [Cause(CauseKind.RULE, rule_id, rule_facts(rule)) for rule in editions]

    def _limits(self, figure: Figure, named: set[str]) -> list[Cause]:
        """Rules that the figure was held against, or that it says it used."""
        known = {rule.edition: rule for rule in self._period.rulebook.rules}
        used = [known[e] for e in figure.editions if e in known]
        return [Cause(CauseKind.RULE, rule.id, rule_facts(rule)) for rule in used if rule.id not in named]

    def _ledger(self, node: str, kind: str) -> Cause:
        """Entries of a kind that speak of the node, with document and author."""
        subjects = set(subjects_of([node.removeprefix(_LINE)])) if node.startswith(_LINE) else None
        own = [e for e in self._entries if e.kind == kind and (subjects is None or e.subject in subjects)]
        facts = {"unit": LEDGER_KINDS[kind], "entries": len(own), "amount": sum(e.amount for e in own)}
        causes = [Cause(CauseKind.ENTRY, e.key, self._entry_facts(e)) for e in own[:NAMED]]
        return Cause(CauseKind.LEDGER, kind, facts, tuple(causes))

    def _entry_facts(self, entry: LedgerEntry) -> dict[str, Any]:
        local = self._site.calendar.local
        return {
            "id": entry.id,
            "subject": entry.subject,
            "start": local(entry.start_ns).isoformat(),
            "end": local(entry.end_ns).isoformat(),
            "amount": entry.amount,
            "unit": entry.unit,
            "source": entry.source,
            "who": entry.who,
            "document": entry.document,
            "reason": entry.reason,
            "supersedes": entry.supersedes,
            "data": entry.data,
        }

    def _setting(self, path: str) -> Cause:
        return Cause(
            CauseKind.SETTING, path, {"value": plain(setting(self._site, path)), "edition": f"site@{self._site.edition}"}
        )

    def _efficiency(self, line: str) -> Cause:
        """Current efficiency of a line over the period: weighed metal, or what the plant states, and how sure."""
        settings, fits = self._site.potlines[line], self._period.efficiency.get(line)
        if fits is None or not len(self._period.rows.start_ns):
            stated = {"origin": "stated", "value_percent": 100 * settings.current_efficiency_ref}
            half = 100 * settings.current_efficiency_uncertainty
            return Cause(CauseKind.EFFICIENCY, line, stated | {"half_width_percent": half, "fits": 1})
        used = [fits.fits[i] for i in dict.fromkeys(fits.rows(self._period.rows.start_ns).tolist())]
        last, local = used[-1], self._site.calendar.local
        window = None if last.window is None else [local(t).isoformat() for t in (last.window.start_ns, last.window.end_ns)]
        facts = {"origin": last.origin, "value_percent": 100 * last.value, "half_width_percent": 100 * last.half_width}
        return Cause(CauseKind.EFFICIENCY, line, facts | {"window": window, "fits": len(used)})


# sums of a line that rest on its own meters even where a chapter gives no figure of them
_OF_A_LINE = ("rectifier_energy", "dc_energy", "metal_produced", "current_efficiency", "start_up_energy")


def setting(site: Site, path: str) -> Any:
    """Value at a path below the site, such as ``tariff.assessment`` or ``potlines.line-1.pots``. Raises InputError."""
    found: Any = site
    for step in path.split("."):
        if isinstance(found, Mapping):
            if step not in found:
                raise InputError(f"setting {path!r}: there is no {step!r}; there are: {', '.join(map(str, found))}")
            found = found[step]
        elif hasattr(found, step) and not step.startswith("_"):
            found = getattr(found, step)
        else:
            raise InputError(f"setting {path!r}: there is no {step!r}")
    return found


def rule_facts(rule: Rule) -> dict[str, Any]:
    """What stands in the rulebook about an edition."""
    kept = {
        "value": float(rule.value),
        "unit": rule.unit,
        "edition": rule.edition,
        "scope": rule.scope,
        "boundary": rule.boundary,
    }
    dates = {"valid_from": rule.valid_from.isoformat(), "valid_to": rule.valid_to.isoformat() if rule.valid_to else None}
    kept |= {"published": rule.published.isoformat(), "document": rule.document, "sure": rule.sure}
    return kept | dates | {"placeholder": rule.placeholder}


def plain(value: Any) -> Any:
    """A setting ready for JSON."""
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if hasattr(value, "__dataclass_fields__"):
        return {k: plain(v) for k, v in asdict(value).items()}
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _of(figure: Figure | None) -> dict[str, Any]:
    if figure is None:
        return {"value": None, "reason": "no figure of its own in this period"}
    kept = ("value", "low", "high", "completeness", "measured_share", "reason", "status", "editions")
    return {name: plain(getattr(figure, name)) for name in kept}


def _checked(formula: str, figure: Figure | None, causes: Sequence[Cause]) -> dict[str, Any] | None:
    """The formula worked out from what stands below, where each name stands there once with a value; else None."""
    if figure is None or figure.value is None:
        return None
    known = [c for c in causes if c.kind in (CauseKind.FIGURE, CauseKind.RULE)]
    names = [c.name for c in known]
    values = {c.name: float(c.facts["value"]) for c in known if c.facts.get("value") is not None and names.count(c.name) == 1}
    value = worked_out(formula, values)
    if value is None:
        return None
    near = abs(value - figure.value) <= AGREES * max(abs(value), abs(figure.value), 1e-9)
    return {"value": value, "agrees": near}
