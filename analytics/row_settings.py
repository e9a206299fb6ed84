"""The settings that figures were computed with, by part and by date: what two editions of them differ in, and from when on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any

from pydantic import BaseModel

from analytics.faraday import RULE
from analytics.gauges import Counts, gauge_pairs
from plant.rulebook import Rulebook
from plant.series import Span
from plant.site import MeteringPoint, Site

END_NS = 2**62
NOTHING = ""
Timeline = list[tuple[int, str]]  # what holds from each instant on, ascending; NOTHING before the first
Settings = dict[str, Timeline]
_NAMES = ("title_en", "title_zh")


@dataclass(frozen=True, slots=True)
class Changed:
    """A part whose settings differ between two editions, over a span; one without an end ends at ``END_NS``."""

    part: str
    span: Span


def row_settings(site: Site, rulebook: Rulebook) -> Settings:
    """Everything that enters rows, by part. A part that nothing dates holds from instant 0 on."""
    found: Settings = {
        "buses": _always(site.buses),
        "gap_max_s": _always(site.accounting.gap_max_s),
        "storage": _always(site.green.storage),
        "attribution": _dated(
            [(0, site.accounting.attribution), *((e.valid_from_ns, e.rule) for e in site.accounting.attribution_editions)]
        ),
        f"rule {RULE}": _in_force(site, rulebook, RULE),
    }
    for branch in site.branches.values():
        found[f"branch {branch.id}"] = _always(_said(branch, (*_NAMES, "allocation")))
        keys = [(key.valid_from_ns, _said(key, ("valid_from_ns",))) for key in branch.allocation]
        found[f"allocation of {branch.id}"] = _dated(keys)
    for line in site.potlines.values():
        by_documents = ("scale_meter", "effect_meter", "pot_meter")  # enter no row
        found[f"potline {line.id}"] = _always(_said(line, (*_NAMES, "pots", *by_documents)))
        found[f"pots of {line.id}"] = _dated([(pots.valid_from_ns, _said(pots, ("valid_from_ns",))) for pots in line.pots])
    found |= {f"point {point.id}": _mounted(site, point) for point in site.points.values()}
    found |= {f"virtual {virtual.id}": _always(_said(virtual)) for virtual in site.virtual}
    return found | _gauges(site)


def figure_settings(site: Site, rulebook: Rulebook) -> Settings:
    """Everything that enters figures of periods beyond their rows: rules with their dates, and the tables of the site."""
    tables = {
        "accounting": _said(site.accounting, ("attribution", "attribution_editions", "closing", "settle_after_s")),
        "green": site.green,
        "tariff": site.tariff,
        "process": site.process,
        "carbon": site.carbon,
        "solar": site.solar,
    }
    ids = dict.fromkeys(r.id for r in rulebook.rules if r.id != RULE and r.scope in (site.province, "CN"))
    return {f"rule {name}": _in_force(site, rulebook, name) for name in ids} | {n: _always(t) for n, t in tables.items()}


def changes(old: Mapping[str, Sequence[Sequence[Any]]], new: Settings) -> list[Changed]:
    """Where two editions differ, by part; ``old`` may come from JSON. A part without a difference is not named."""
    found = []
    for part in sorted({*old, *new}):
        before = [(int(t), str(text)) for t, text in old.get(part, ())]
        after = new.get(part, [])
        instants = sorted({t for t, _ in (*before, *after)})
        for start_ns, end_ns in zip(instants, [*instants, END_NS][1:], strict=True):
            if _at(before, start_ns) != _at(after, start_ns):
                found.append(Changed(part, Span(start_ns, end_ns)))
    return found


def _at(timeline: Timeline, t_ns: int) -> str:
    return next((text for since, text in reversed(timeline) if since <= t_ns), NOTHING)


def _always(value: object) -> Timeline:
    return _dated([(0, _said(value))])


def _dated(said: Iterable[tuple[int, str]]) -> Timeline:
    """Digests in order of time, without those that say what was said before; of two from one instant the later one counts."""
    last = {max(t_ns, 0): text for t_ns, text in said}
    found: Timeline = []
    for t_ns, text in sorted(last.items()):
        digest = text and hashlib.sha256(text.encode()).hexdigest()[:16]
        if digest != (found[-1][1] if found else NOTHING):
            found.append((t_ns, digest))
    return found


def _mounted(site: Site, point: MeteringPoint) -> Timeline:
    """A point counts from its first mounting on, with all that is said of it; a virtual one always."""
    itself = _said(point, ("mountings",))
    if not point.mountings:
        return _dated([(0, itself)])
    said = []
    for mounting, end_ns in point.mounted():
        poll_s = site.meters[mounting.meter].poll_interval_s if mounting.meter in site.meters else None
        said += [(mounting.valid_from_ns, f"{itself} {_said(mounting, ('valid_from_ns', 'valid_to_ns'))} {poll_s}")]
        said += [(end_ns, "not mounted")] if end_ns < END_NS else []
    # where one mounting follows another at once, the later text of the instant is that of the follower
    return _dated(said)


def _gauges(site: Site) -> Settings:
    """The gauges kept of a meter, each while it is mounted where it counts; of one that is mounted nowhere, as of the weather,
    always."""
    kept: dict[str, list[tuple[str, Counts]]] = {}
    for (meter, quantity), spans in sorted(gauge_pairs(site).items()):
        kept.setdefault(meter, []).extend((quantity, span) for span in spans)
    found: Settings = {}
    for meter, said in kept.items():
        instants = sorted({t for _, span in said for t in (span.start_ns, span.end_ns) if t < END_NS})
        texts = [" ".join(f"{q} {span.factor}" for q, span in said if span.start_ns <= t < span.end_ns) for t in instants]
        found[f"gauges of {meter}"] = _dated(list(zip(instants, texts, strict=True)))
    return found


def _in_force(site: Site, rulebook: Rulebook, rule_id: str) -> Timeline:
    """What a rule says the plant from each day on that an edition begins or ends on."""
    days = {d for r in rulebook.rules if r.id == rule_id for d in (r.valid_from, r.valid_to) if d is not None}
    said = []
    for day in sorted(days):
        rule = rulebook.in_force(rule_id, day, (site.province, "CN"))
        text = (
            NOTHING if rule is None else f"{rule.value} {rule.unit} {rule.kind} {rule.indicator} {rule.period} {rule.voltage_kv}"
        )
        said.append((site.calendar.instant_ns(day), text))
    return _dated(said)


def _said(value: object, without: Sequence[str] = ()) -> str:
    """What was set, as text: a setting at its default is left out, so that one that is new changes nothing."""
    return value if isinstance(value, str) else json.dumps(_plain(value, without), sort_keys=True, default=str)


def _plain(value: Any, without: Sequence[str] = ()) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_defaults=True)
    if is_dataclass(value) and not isinstance(value, type):
        set_here = {f.name: getattr(value, f.name) for f in fields(value) if f.init and f.name not in without}
        defaults = {f.name: f.default for f in fields(value) if f.default is not MISSING}
        return {name: _plain(v) for name, v in set_here.items() if name not in defaults or defaults[name] != v}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return {str(k): _plain(v) for k, v in value.items()} if isinstance(value, dict) else value
