"""What the roles need from the outside, as protocols. Only ``potwatt`` builds the things that stand behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from plant.frame import FrameBlock
from plant.series import DerivedBlock, Series, Span


class Clock(Protocol):
    """The time of day and waiting, so that a simulation can run the shipped loops."""

    def now_ns(self) -> int:
        """UTC ns."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` of this clock's time."""
        ...


@dataclass(frozen=True, slots=True, order=True)
class SpoolCursor:
    """The first spool byte a sink has not yet taken: segment number and byte offset."""

    segment: int
    offset: int


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a block: new values, values already there, second values for one identity (kept aside, counted)."""

    stored: int
    repeated: int
    conflicting: int


class SeriesStore(Protocol):
    """Readings and derived figures. Writing the same reading again changes nothing; times are kept to the ms."""

    async def setup(self) -> None:
        """Create databases, files and retention. Raises StoreMisconfigured with the exact command where it may not."""
        ...

    async def write(self, blocks: Sequence[FrameBlock], sink_cursor: SpoolCursor | None = None) -> Written:
        """Store blocks durably; ``sink_cursor`` is committed with them where the store can. Interval quantities go to
        the long-kept series. Raises StoreUnavailable, StoreMisconfigured, StoreRejected."""
        ...

    async def cursor(self) -> SpoolCursor | None:
        """The cursor committed last, None where the store keeps none."""
        ...

    async def read(self, meter: str, quantity: str, span: Span) -> Series:
        """Readings of [start, end) in ascending time, missing values included as NaN with their quality."""
        ...

    async def read_many(self, pairs: Sequence[tuple[str, str]], span: Span) -> dict[tuple[str, str], Series]:
        """The same for several (meter, quantity) pairs; a pair without readings gives an empty series."""
        ...

    async def last_before(self, pairs: Sequence[tuple[str, str]], t_ns: int, reach_s: float) -> dict[tuple[str, str], Series]:
        """The last finite reading before ``t_ns`` within ``reach_s`` of each pair: series of length 0 or 1."""
        ...

    async def first_from(self, pairs: Sequence[tuple[str, str]], t_ns: int, reach_s: float) -> dict[tuple[str, str], Series]:
        """The first finite reading at or after ``t_ns`` within ``reach_s`` of each pair: series of length 0 or 1."""
        ...

    async def write_derived(self, block: DerivedBlock) -> None:
        """Store figures; the newer version of (node, start) replaces the older one, fields of one row together."""
        ...

    async def read_derived(self, resolution: str, nodes: Sequence[str], fields: Sequence[str], span: Span) -> DerivedBlock:
        """Valid figures of intervals that start in [start, end); fields or nodes unknown to the store are NaN or absent."""
        ...

    async def extent(self) -> Span | None:
        """From the first to just past the last reading stored (raw or interval), None when empty."""
        ...

    async def count(self, meters: Sequence[str] | None = None) -> dict[str, int]:
        """Number of stored finite values by meter; meters without any are left out."""
        ...

    async def close(self) -> None:
        """Release files and connections."""
        ...


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A statement by a person or a document, or an event of a device. Never changed: a correction is a new entry that
    names the one it ``supersedes``. ``kind`` is one of ``LEDGER_KINDS``; ``amount`` is an integer in ``unit``."""

    plant: str
    kind: str
    key: str  # identity at the source (event id, document line): the same (plant, kind, source, key, revision) counts once
    source: str  # meter or person's system
    subject: str  # potline, tie or metering point, "plant"
    start_ns: int
    end_ns: int  # equals start_ns for an instant
    amount: int
    unit: str
    who: str
    document: str = ""
    reason: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    supersedes: int | None = None
    id: int | None = None
    recorded_ns: int | None = None


# kind -> unit of the amount
LEDGER_KINDS = {
    "metal_tapped": "kg",  # weighed ladle
    "metal_in_pots": "kg",  # inventory at an instant
    "ingots": "kg",
    "meter_reading": "Wh",  # manual reading of a register
    "certificate": "MWh",  # data: type self_use | green_trade | bought, generation_month, status, quota_year
    "anode_effect": "s",
    "meter_exchange": "Wh",
    "metal_charged": "kg",  # molten metal charged in the casthouse
    "metal_cold": "kg",  # bought or remelted metal charged in the casthouse, not of the pots
    "metal_alloyed": "kg",  # molten metal alloyed without remelting
    "anode_net": "kg",  # anode carbon consumed
    "anode_gross": "kg",  # anodes set, before butts and losses are taken off
    "fuel": "MJ",  # data: fuel
    "contract_energy": "kWh",  # settled green energy of a contract; subject the contract, data: status provisional | final
    "statement": "kWh",  # the grid company's statement; subject a tie or a contract, data: direction import | export
    "verified_emissions": "kg",  # CO2e of a compliance year
}


@dataclass(frozen=True, slots=True)
class Annotation:
    """What was found out later about stored readings: a verdict on a meter's span, applied on reading."""

    plant: str
    meter: str
    quantity: str  # "" = all
    start_ns: int
    end_ns: int
    verdict: str  # stuck | spike | exchange | wrong_ratio | reversed | bad | good, or one that mends: see plant.verdicts
    author: str
    cause: str
    id: int | None = None
    recorded_ns: int | None = None


@dataclass(frozen=True, slots=True)
class DirtySlot:
    """A 15-min slot of a node whose figures must be computed anew; removed only if its generation is unchanged."""

    plant: str
    node: str
    slot_ns: int
    generation: int


@dataclass(frozen=True, slots=True)
class DirtyNode:
    """The dirty slots of one node within a span: the first and the last of them, and the newest generation among them."""

    node: str
    first_slot_ns: int
    last_slot_ns: int
    generation: int


@dataclass(frozen=True, slots=True)
class ReportVersion:
    """One frozen version of a report; a new one names its predecessor and the cause."""

    plant: str
    kind: str  # day | month | year
    period: str
    version: int
    body: dict[str, Any]
    interval_hash: str
    cause: str
    created_ns: int


@dataclass(frozen=True, slots=True)
class ClosedReport:
    """The newest frozen version of a report, by its number and when it was made."""

    kind: str
    period: str
    version: int
    created_ns: int


class Ledger(Protocol):
    """Events, documents, annotations, dirty slots, report versions, alert states, keys and audit."""

    async def setup(self) -> None:
        """Create or migrate the tables."""
        ...

    async def add(self, entries: Sequence[LedgerEntry]) -> list[int]:
        """Ids of the entries that were new, in order (one already there, by its identity, is left out). In the same
        transaction the 15-min slots that each entry, and the entry it supersedes, touches are marked dirty under its
        subject's node. Raises InputError, and then adds nothing, for an entry that cannot be true."""
        ...

    async def contradicted(self, entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
        """Those of ``entries`` whose identity the ledger knows with another subject, amount or other instants: not
        repeats of what is there but something else under its name. Corrections are left out."""
        ...

    async def entries(self, plant: str, kinds: Sequence[str], span: Span, *, with_superseded: bool = False) -> list[LedgerEntry]:
        """Entries whose [start, end) overlaps the span, or whose instant lies in it, oldest first, superseded ones left out."""
        ...

    async def annotate(self, annotations: Sequence[Annotation]) -> list[int]:
        """Add verdicts and mark their slots dirty."""
        ...

    async def annotations(self, plant: str, span: Span) -> list[Annotation]:
        """Verdicts whose [start, end) overlaps the span, or whose instant lies in it."""
        ...

    async def mark_dirty(self, plant: str, node: str, slots_ns: Sequence[int]) -> None:
        """Raise the generation of each slot (15-min starts)."""
        ...

    async def mark_dirty_many(self, plant: str, slots_ns: Mapping[str, Sequence[int]]) -> None:
        """The same for the slots of several nodes, by node, in one transaction."""
        ...

    async def dirty(self, plant: str, limit: int) -> list[DirtySlot]:
        """The oldest dirty slots."""
        ...

    async def dirty_nodes(self, plant: str, span: Span) -> list[DirtyNode]:
        """What is dirty among the slots that start in the span, by node in order of name: a row a node however many slots."""
        ...

    async def dirty_slots(self, plant: str, span: Span, without: Sequence[str]) -> list[int]:
        """Starts of the dirty slots in the span, ascending, each once; nodes that begin with one of ``without`` do not count."""
        ...

    async def clear_dirty_span(self, plant: str, span: Span, generation: int) -> None:
        """Remove the slots that start in the span and were not marked again after ``generation`` was the newest."""
        ...

    async def get_state(self, plant: str, name: str) -> dict[str, Any] | None:
        """A small named state (watermark, alert states)."""
        ...

    async def put_state(self, plant: str, name: str, value: dict[str, Any]) -> None:
        """Replace a named state."""
        ...

    async def add_report(self, report: ReportVersion) -> None:
        """Freeze a report version; raises ValueError if (plant, kind, period, version) exists."""
        ...

    async def reports(self, plant: str, kind: str, period: str) -> list[ReportVersion]:
        """All versions, oldest first."""
        ...

    async def closed_reports(self, plant: str) -> list[ClosedReport]:
        """The newest version of every report of a plant, without its body."""
        ...

    async def add_alert_event(self, plant: str, event: dict[str, Any]) -> None:
        """Append to the alert history."""
        ...

    async def alert_events(self, plant: str, span: Span) -> list[dict[str, Any]]:
        """Alert history of a span, newest first."""
        ...

    async def audit(self, plant: str, who: str, action: str, detail: dict[str, Any]) -> None:
        """Append to the audit log."""
        ...

    async def close(self) -> None:
        """Release the connection."""
        ...


@dataclass(frozen=True, slots=True)
class LastFrame:
    """The newest Frame of a meter as it came from the wire: values and quality by quantity, instant of the reading by the
    clock that stamped it. ``received_ns`` is our clock when the reading first showed: age and freshness count from it, since
    a device's clock may be off. ``older`` has instant and receipt of each quantity that the newest Frame did not speak of, as
    of a device that reports by exception. A meter that was withdrawn has no values."""

    meter: str
    t_ns: int
    value: dict[str, float]
    quality: dict[str, int]
    received_ns: int
    older: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def instant_ns(self, quantity: str) -> int:
        """When a quantity was read, by the clock that stamped it."""
        return self.older[quantity][0] if quantity in self.older else self.t_ns

    def age_s(self, now_ns: int, quantity: str = "") -> float:
        """Seconds since the reading (of a quantity) came, at an instant of our clock."""
        return (now_ns - (self.older[quantity][1] if quantity in self.older else self.received_ns)) / 1e9

    def is_fresh(self, now_ns: int, silent_after_s: float) -> bool:
        """Whether the meter still speaks. What came in the future, by a clock that was set back since, proves nothing."""
        return bool(self.value) and 0.0 <= self.age_s(now_ns) <= silent_after_s

    def fresh_part(self, now_ns: int, silent_after_s: float) -> LastFrame:
        """The same with only those quantities that came no longer ago than that."""
        stale = {q for q in self.older if not 0.0 <= self.age_s(now_ns, q) <= silent_after_s}
        return replace(self, value={q: v for q, v in self.value.items() if q not in stale}) if stale else self


class Bus(Protocol):
    """The live bus of one process: the latest Frame of each meter, and a stream of named updates."""

    def publish(self, block: FrameBlock) -> None:
        """Take the newest Frame of each meter of a durable block."""
        ...

    def withdraw(self, meters: Collection[str]) -> None:
        """What these meters said last holds no more, as their device is known to be off; their next Frame counts again."""
        ...

    def latest(self) -> dict[str, LastFrame]:
        """Newest Frame by meter."""
        ...

    def announce(self, topic: str, body: dict[str, Any]) -> None:
        """Hand a ready-made update (``live``, ``alert``, ``progress``) to all listeners."""
        ...

    def listen(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Updates from now on; a slow listener loses the oldest."""
        ...


@dataclass(frozen=True, slots=True)
class Health:
    """State of one part for health, metrics and the page."""

    part: str  # "meter:pv-1", "endpoint:gateway-1", "broker:main", "spool", "store", "history"
    state: str  # ok | degraded | down | unknown
    since: datetime
    detail: str
    numbers: dict[str, float] = field(default_factory=dict)


class HealthBoard(Protocol):
    """Where roles put their state and the API reads it."""

    def set(self, part: str, state: str, detail: str, **numbers: float) -> None:
        """Replace the state of a part."""
        ...

    def all(self) -> list[Health]:
        """Every part."""
        ...

    def count(self, name: str, labels: dict[str, str], by: float = 1.0) -> None:
        """Raise a counter for /metrics."""
        ...

    def counters(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """All counters."""
        ...
