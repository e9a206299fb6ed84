"""Bodies that come in, checked by pydantic, and values that go out, as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.times import END, FIRST, rfc3339, to_ns
from plant.certificates import read_certificate
from plant.entry_data import entry_data
from plant.indicators import INDICATORS, Figure
from plant.ports import LEDGER_KINDS, LedgerEntry
from plant.site import RENEWABLE_SOURCES, Site

Text = Annotated[str, Field(min_length=1, max_length=200)]
_TO_CANONICAL = {
    ("g", "kg"): Decimal("0.001"),
    ("t", "kg"): Decimal(1000),
    ("kWh", "Wh"): Decimal(1000),
    ("MWh", "Wh"): Decimal(1_000_000),
    ("GWh", "MWh"): Decimal(1000),
    ("MWh", "kWh"): Decimal(1000),
    ("GWh", "kWh"): Decimal(1_000_000),
    ("min", "s"): Decimal(60),
    ("GJ", "MJ"): Decimal(1000),
}
_AMOUNT_MAX = 2**53
_Instant = Annotated[AwareDatetime, Field(ge=FIRST, lt=END)]
_Number = Annotated[float, Field(allow_inf_nan=False)]
_DataText = Annotated[str, Field(max_length=2_000)]


class LedgerPost(BaseModel):
    """A statement by a person or a system. ``end`` defaults to ``start``; ``unit`` to the unit of the kind."""

    model_config = ConfigDict(extra="forbid")

    key: Text
    source: Text
    subject: Text
    start: _Instant
    end: _Instant | None = None
    amount: Annotated[Decimal, Field(ge=0, le=_AMOUNT_MAX)]
    unit: str | None = None
    who: Text
    document: Text
    reason: Text
    data: Annotated[dict[Text, _DataText | int | _Number | bool | None], Field(max_length=32)] = {}
    supersedes: Annotated[int, Field(ge=1, lt=2**63)] | None = None

    def entry(self, plant: str, kind: str) -> LedgerEntry:
        """The statement as the ledger keeps it. Raises ValueError for a unit, an amount, a span or data that
        do not fit."""
        start_ns = to_ns(self.start)
        end_ns = start_ns if self.end is None else to_ns(self.end)
        if end_ns < start_ns:
            raise ValueError(f"end {rfc3339(end_ns)} is before start {rfc3339(start_ns)}; swap them")
        return LedgerEntry(
            plant,
            kind,
            self.key,
            self.source,
            self.subject,
            start_ns,
            end_ns,
            integer_amount(self.amount, self.unit or LEDGER_KINDS[kind], LEDGER_KINDS[kind]),
            LEDGER_KINDS[kind],
            self.who,
            self.document,
            self.reason,
            entry_data(kind, self.data),
            self.supersedes,
        )


def integer_amount(amount: Decimal, unit: str, canonical: str) -> int:
    """The amount as whole canonical units, converted exactly. Raises ValueError."""
    factor = Decimal(1) if unit == canonical else _TO_CANONICAL.get((unit, canonical))
    if factor is None:
        allowed = [canonical, *(found for found, target in _TO_CANONICAL if target == canonical)]
        raise ValueError(f"unit: found {unit!r}; allowed: {', '.join(allowed)}")
    exact = amount * factor
    if exact != exact.to_integral_value() or exact > _AMOUNT_MAX:
        raise ValueError(f"amount: found {amount} {unit}; the ledger keeps whole {canonical} up to {_AMOUNT_MAX}")
    return int(exact)


def entry_json(entry: LedgerEntry) -> dict[str, Any]:
    """A ledger entry with its times as RFC 3339; ``fault`` says why a certificate will not be counted."""
    return {
        "id": entry.id,
        "plant": entry.plant,
        "kind": entry.kind,
        "key": entry.key,
        "source": entry.source,
        "subject": entry.subject,
        "start": rfc3339(entry.start_ns),
        "end": rfc3339(entry.end_ns),
        "amount": entry.amount,
        "unit": entry.unit,
        "who": entry.who,
        "document": entry.document,
        "reason": entry.reason,
        "data": entry.data,
        "supersedes": entry.supersedes,
        "recorded": None if entry.recorded_ns is None else rfc3339(entry.recorded_ns),
        "fault": _fault(entry),
    }


def _fault(entry: LedgerEntry) -> str:
    if entry.kind == "certificate":
        try:
            read_certificate(entry.data)
        except ValueError as error:
            return str(error)
    return ""


def figure_name(indicator: str) -> str:
    """Name of an indicator's figure outside the store: with the suffix of its unit."""
    return f"{indicator}_{INDICATORS[indicator].suffix}"


def figure_json(figure: Figure) -> dict[str, Any]:
    """One figure with everything that says how far to trust it."""
    return {
        "indicator": figure.indicator,
        "unit": INDICATORS[figure.indicator].unit,
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "completeness": figure.completeness,
        "measured_share": figure.measured_share,
        "reason": figure.reason,
        "status": figure.status,
        "editions": figure.editions,
    }


def figures_json(figures: Mapping[str, Mapping[str, Figure]]) -> dict[str, dict[str, Any]]:
    """Figures by node and by name with unit suffix."""
    return {node: {figure_name(name): figure_json(f) for name, f in found.items()} for node, found in figures.items()}


def site_json(site: Site) -> dict[str, Any]:
    """What a client has to know of a plant to draw it: the graph, the lines, the meters. No address, no secret."""
    return {
        "id": site.id,
        "title": {"en": site.title_en, "zh": site.title_zh},
        "enterprise": site.enterprise,
        "province": site.province,
        "zone": site.calendar.zone.key,
        "edition": site.edition,
        "store": site.store.kind,
        "green_share_target_percent": site.accounting.green_share_target_percent,
        "buses": [{"id": bus, "voltage_kv": site.bus_voltage_kv.get(bus)} for bus in site.buses],
        "branches": [
            {
                "id": b.id,
                "kind": b.kind,
                "bus": b.bus,
                "to_bus": b.to_bus,
                "title": {"en": b.title_en, "zh": b.title_zh},
                "purpose": b.purpose,
                "potline": b.potline,
                "source": b.source,
                "renewable": b.source in RENEWABLE_SOURCES,
                "capacity_kw": b.capacity_kw,
                "capacity_kwh": b.capacity_kwh,
            }
            for b in site.branches.values()
        ],
        "potlines": [{"id": p.id, "title": {"en": p.title_en, "zh": p.title_zh}} for p in site.potlines.values()],
        "points": [{"id": p.id, "branch": p.branch, "rank": p.rank, "side": p.side} for p in site.points.values()],
        "meters": [
            {
                "id": m.id,
                "title": {"en": m.title_en, "zh": m.title_zh},
                "profile": m.profile,
                "poll_interval_s": m.poll_interval_s,
            }
            for m in site.meters.values()
        ],
    }
