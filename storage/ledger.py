"""The ledger: what people and documents state, what was found out later, what has to be computed anew, what was reported.

Relational through SQLAlchemy Core; SQLite in the plant's data folder by default, PostgreSQL by URL.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, RowMapping

from plant import nodes
from plant.certificates import serials_taken
from plant.errors import InputError, StoreMisconfigured
from plant.ports import LEDGER_KINDS, Annotation, Clock, ClosedReport, DirtyNode, DirtySlot, LedgerEntry, ReportVersion
from plant.series import QUARTER_NS, Span
from storage.ledger_engine import LedgerEngine
from storage.ledger_slots import SlotKey, slots_around, touched_by
from storage.ledger_tables import (
    ABOUT,
    ALERT_EVENT,
    ANNOTATION,
    AUDIT,
    DIRTY,
    ENTRY,
    METADATA,
    REPORT,
    SCHEMA_VERSION,
    STATE,
)

SLOTS_MAX = 400 * 96  # one statement covers at most a year and a month: anything longer is a slip of the pen
_INT64_END = 2**63


class SqlLedger:
    """plant.ports.Ledger on a relational database; every method is one transaction, durable on return."""

    def __init__(self, url: str, clock: Clock) -> None:
        self._engine = LedgerEngine(url)
        self._clock = clock
        self._insert = postgresql.insert if self._engine.is_postgresql else sqlite.insert

    async def setup(self) -> None:
        """See Ledger.setup. Raises StoreMisconfigured where a newer potwatt has been at the tables."""

        def work(c: Connection) -> int:
            METADATA.create_all(c)
            c.execute(
                self._insert(ABOUT)
                .values([{"name": "schema_version", "value": SCHEMA_VERSION}, {"name": "generation", "value": 0}])
                .on_conflict_do_nothing()
            )
            return int(c.execute(sa.select(ABOUT.c.value).where(ABOUT.c.name == "schema_version")).scalar_one())

        found = await self._engine.write(work)
        if found > SCHEMA_VERSION:
            raise StoreMisconfigured(
                f"ledger {self._engine.where} has schema version {found}, this potwatt knows {SCHEMA_VERSION}; "
                "install a newer potwatt"
            )

    async def close(self) -> None:
        """See Ledger.close."""
        await self._engine.close()

    async def add(self, entries: Sequence[LedgerEntry]) -> list[int]:
        """See Ledger.add. Raises InputError, and then adds nothing, for an entry that cannot be true: an unknown kind, a
        wrong unit, an end before its start, a correction of what is not there or is already corrected."""
        for entry in entries:
            _check_entry(entry)
        recorded_ns = self._clock.now_ns()

        def work(c: Connection) -> list[int]:
            added: list[int] = []
            touched: set[SlotKey] = set()
            for entry in entries:
                old = None if entry.supersedes is None else _superseded(c, entry)
                if entry.kind == "certificate" and (taken := serials_taken(entry, _certificates(c, entry))):
                    raise InputError(taken)
                number = self._add_one(c, entry, 0 if old is None else old[1] + 1, recorded_ns)
                if number is not None:
                    added.append(number)
                    # a correction may move metal to another line or day: where it was counted so far is wrong now as well
                    touched.update(touched_by(entry), () if old is None else touched_by(old[0]))
            self._mark(c, touched)
            return added

        return await self._engine.write(work)

    async def contradicted(self, entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
        """See Ledger.contradicted."""
        e = ENTRY.c
        firsts = [entry for entry in entries if entry.supersedes is None]

        def work(c: Connection) -> list[LedgerEntry]:
            found = []
            for entry in firsts:
                known = (
                    e.plant == entry.plant,
                    e.kind == entry.kind,
                    e.source == entry.source,
                    e.key == entry.key,
                    e.revision == 0,
                )
                stated = c.execute(sa.select(e.subject, e.amount, e.start_ns, e.end_ns).where(*known)).one_or_none()
                if stated is not None and tuple(stated) != (entry.subject, entry.amount, entry.start_ns, entry.end_ns):
                    found.append(entry)
            return found

        return await self._engine.read(work)

    def _add_one(self, c: Connection, entry: LedgerEntry, revision: int, recorded_ns: int) -> int | None:
        row = {
            "plant": entry.plant,
            "kind": entry.kind,
            "source": entry.source,
            "key": entry.key,
            "revision": revision,
            "subject": entry.subject,
            "start_ns": entry.start_ns,
            "end_ns": entry.end_ns,
            "amount": entry.amount,
            "unit": entry.unit,
            "who": entry.who,
            "document": entry.document,
            "reason": entry.reason,
            "data": _text(entry.data),
            "supersedes": entry.supersedes,
            "recorded_ns": recorded_ns,
        }
        statement = self._insert(ENTRY).values(row).on_conflict_do_nothing().returning(ENTRY.c.id)
        return c.execute(statement).scalar_one_or_none()

    async def entries(self, plant: str, kinds: Sequence[str], span: Span, *, with_superseded: bool = False) -> list[LedgerEntry]:
        """See Ledger.entries."""
        later = ENTRY.alias("later")
        query = sa.select(ENTRY).where(ENTRY.c.plant == plant, ENTRY.c.kind.in_(kinds), *_touching(ENTRY, span))
        if not with_superseded:
            query = query.where(~sa.exists().where(later.c.supersedes == ENTRY.c.id))
        query = query.order_by(ENTRY.c.start_ns, ENTRY.c.id)
        return [_entry(row) for row in await self._engine.read(lambda c: c.execute(query).mappings().all())]

    async def annotate(self, annotations: Sequence[Annotation]) -> list[int]:
        """See Ledger.annotate. The slots are those of the plant: which nodes a meter feeds is the site's knowledge.

        Raises InputError for a span that is reversed or longer than a year.
        """
        for a in annotations:
            _check_texts((a.plant, a.meter, a.quantity, a.verdict, a.author, a.cause), f"annotation of {a.meter!r}")
            _check_span(a.start_ns, a.end_ns, f"annotation of {a.meter!r}")
        recorded_ns = self._clock.now_ns()

        def work(c: Connection) -> list[int]:
            ids = []
            for a in annotations:
                row = {name: getattr(a, name) for name in _ANNOTATION_FIELDS} | {"recorded_ns": recorded_ns}
                ids.append(int(c.execute(sa.insert(ANNOTATION).values(row).returning(ANNOTATION.c.id)).scalar_one()))
            # what lies beside a span under verdict is interpolated from its readings
            self._mark(c, {(a.plant, nodes.PLANT, slot) for a in annotations for slot in slots_around(a.start_ns, a.end_ns)})
            return ids

        return await self._engine.write(work)

    async def annotations(self, plant: str, span: Span) -> list[Annotation]:
        """See Ledger.annotations; oldest first."""
        a = ANNOTATION.c
        query = sa.select(ANNOTATION).where(a.plant == plant, *_touching(ANNOTATION, span))
        rows = await self._engine.read(lambda c: c.execute(query.order_by(a.start_ns, a.id)).mappings().all())
        return [Annotation(**row) for row in rows]

    async def mark_dirty(self, plant: str, node: str, slots_ns: Sequence[int]) -> None:
        """See Ledger.mark_dirty. Raises ValueError for an instant that does not start a 15-min slot."""
        await self.mark_dirty_many(plant, {node: slots_ns})

    async def mark_dirty_many(self, plant: str, slots_ns: Mapping[str, Sequence[int]]) -> None:
        """See Ledger.mark_dirty_many. Raises ValueError for an instant that does not start a 15-min slot."""
        for node, slots in slots_ns.items():
            if any(slot % QUARTER_NS for slot in slots):
                raise ValueError(f"dirty slots of {node} have to be starts of 15-min intervals")
        keys = {(plant, node, int(slot)) for node, slots in slots_ns.items() for slot in slots}
        if keys:
            await self._engine.write(lambda c: self._mark(c, keys))

    def _mark(self, c: Connection, keys: Iterable[SlotKey]) -> None:
        rows = [{"plant": plant, "node": node, "slot_ns": slot} for plant, node, slot in sorted(keys)]
        if not rows:
            return
        # one counter for all slots never repeats, so a slot cleared and marked again cannot pass for the earlier one
        raised = sa.update(ABOUT).where(ABOUT.c.name == "generation").values(value=ABOUT.c.value + 1).returning(ABOUT.c.value)
        generation = c.execute(raised).scalar_one()
        insert = self._insert(DIRTY)
        upsert = insert.on_conflict_do_update(
            index_elements=[DIRTY.c.plant, DIRTY.c.node, DIRTY.c.slot_ns], set_={"generation": insert.excluded.generation}
        )
        c.execute(upsert, [row | {"generation": generation} for row in rows])

    async def dirty(self, plant: str, limit: int) -> list[DirtySlot]:
        """See Ledger.dirty."""
        query = sa.select(DIRTY).where(DIRTY.c.plant == plant).order_by(DIRTY.c.slot_ns, DIRTY.c.node).limit(limit)
        return [DirtySlot(**row) for row in await self._engine.read(lambda c: c.execute(query).mappings().all())]

    async def dirty_nodes(self, plant: str, span: Span) -> list[DirtyNode]:
        """See Ledger.dirty_nodes."""
        d = DIRTY.c
        query = sa.select(d.node, sa.func.min(d.slot_ns), sa.func.max(d.slot_ns), sa.func.max(d.generation)).where(
            d.plant == plant, d.slot_ns >= span.start_ns, d.slot_ns < span.end_ns
        )
        rows = await self._engine.read(lambda c: c.execute(query.group_by(d.node).order_by(d.node)).all())
        return [DirtyNode(*row) for row in rows]

    async def dirty_slots(self, plant: str, span: Span, without: Sequence[str]) -> list[int]:
        """See Ledger.dirty_slots."""
        d = DIRTY.c
        query = sa.select(d.slot_ns).distinct().where(d.plant == plant, d.slot_ns >= span.start_ns, d.slot_ns < span.end_ns)
        query = query.where(*(~d.node.startswith(prefix, autoescape=True) for prefix in without)).order_by(d.slot_ns)
        return [int(slot) for slot in await self._engine.read(lambda c: c.execute(query).scalars().all())]

    async def clear_dirty_span(self, plant: str, span: Span, generation: int) -> None:
        """See Ledger.clear_dirty_span."""
        d = DIRTY.c
        old = (d.slot_ns >= span.start_ns, d.slot_ns < span.end_ns, d.generation <= generation)
        await self._engine.write(lambda c: c.execute(sa.delete(DIRTY).where(d.plant == plant, *old)))

    async def get_state(self, plant: str, name: str) -> dict[str, Any] | None:
        """See Ledger.get_state."""
        query = sa.select(STATE.c.value).where(STATE.c.plant == plant, STATE.c.name == name)
        found = await self._engine.read(lambda c: c.execute(query).scalar_one_or_none())
        return None if found is None else _document(found)

    async def put_state(self, plant: str, name: str, value: dict[str, Any]) -> None:
        """See Ledger.put_state."""
        insert = self._insert(STATE).values(plant=plant, name=name, value=_text(value))
        upsert = insert.on_conflict_do_update(index_elements=[STATE.c.plant, STATE.c.name], set_={"value": insert.excluded.value})
        await self._engine.write(lambda c: c.execute(upsert))

    async def add_report(self, report: ReportVersion) -> None:
        """See Ledger.add_report."""
        row = {name: getattr(report, name) for name in _REPORT_FIELDS} | {"body": _text(report.body)}
        statement = self._insert(REPORT).values(row).on_conflict_do_nothing().returning(REPORT.c.version)
        if await self._engine.write(lambda c: c.execute(statement).scalar_one_or_none()) is None:
            raise ValueError(f"{report.kind} report {report.period} of {report.plant} has a version {report.version} already")

    async def reports(self, plant: str, kind: str, period: str) -> list[ReportVersion]:
        """See Ledger.reports."""
        r = REPORT.c
        query = sa.select(REPORT).where(r.plant == plant, r.kind == kind, r.period == period).order_by(r.version)
        rows = await self._engine.read(lambda c: c.execute(query).mappings().all())
        return [ReportVersion(**{**row, "body": _document(row["body"])}) for row in rows]

    async def closed_reports(self, plant: str) -> list[ClosedReport]:
        """See Ledger.closed_reports."""
        r = REPORT.c
        newest = sa.select(r.kind, r.period, sa.func.max(r.version), sa.func.max(r.created_ns)).where(r.plant == plant)
        query = newest.group_by(r.kind, r.period).order_by(r.kind, r.period)
        return [ClosedReport(*row) for row in await self._engine.read(lambda c: c.execute(query).all())]

    async def add_alert_event(self, plant: str, event: dict[str, Any]) -> None:
        """See Ledger.add_alert_event. The event's ``t_ns`` dates it; without one, now does."""
        t_ns = int(event.get("t_ns", self._clock.now_ns()))
        await self._engine.write(lambda c: c.execute(sa.insert(ALERT_EVENT).values(plant=plant, t_ns=t_ns, event=_text(event))))

    async def alert_events(self, plant: str, span: Span) -> list[dict[str, Any]]:
        """See Ledger.alert_events."""
        a = ALERT_EVENT.c
        query = sa.select(a.event).where(a.plant == plant, a.t_ns >= span.start_ns, a.t_ns < span.end_ns)
        rows = await self._engine.read(lambda c: c.execute(query.order_by(a.t_ns.desc(), a.id.desc())).scalars().all())
        return [_document(row) for row in rows]

    async def audit(self, plant: str, who: str, action: str, detail: dict[str, Any]) -> None:
        """See Ledger.audit."""
        row = {"plant": plant, "recorded_ns": self._clock.now_ns(), "who": who, "action": action, "detail": _text(detail)}
        await self._engine.write(lambda c: c.execute(sa.insert(AUDIT).values(row)))


_ANNOTATION_FIELDS = ("plant", "meter", "quantity", "start_ns", "end_ns", "verdict", "author", "cause")
_REPORT_FIELDS = ("plant", "kind", "period", "version", "interval_hash", "cause", "created_ns")


def _text(document: Mapping[str, Any]) -> str:
    # NaN is not JSON: a missing number is null, and whoever hands in anything else has a fault to mend
    return json.dumps(document, ensure_ascii=False, allow_nan=False)


def _document(text: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def _entry(row: RowMapping) -> LedgerEntry:
    columns = {name: value for name, value in row.items() if name != "revision"}
    return LedgerEntry(**(columns | {"data": _document(row["data"])}))


def _check_entry(entry: LedgerEntry) -> None:
    what = f"{entry.kind} {entry.key!r} of {entry.source}"
    if entry.kind not in LEDGER_KINDS:
        raise InputError(f"{what}: unknown kind; use one of {', '.join(LEDGER_KINDS)}")
    if entry.unit != LEDGER_KINDS[entry.kind]:
        raise InputError(f"{what}: amount in {entry.unit!r}; {entry.kind} is counted in {LEDGER_KINDS[entry.kind]}")
    if not isinstance(entry.amount, int) or not -_INT64_END <= entry.amount < _INT64_END:
        raise InputError(f"{what}: amount {entry.amount!r} is not a whole number of {entry.unit}")
    if not entry.key or not entry.source or not entry.who:
        raise InputError(f"{what}: key, source and who have to be given, since they tell entries apart and say whose they are")
    try:
        data = _text(entry.data)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what}: data that is not JSON: {error}; leave out what is missing or make it null") from error
    _check_texts((entry.plant, entry.key, entry.source, entry.subject, entry.who, entry.document, entry.reason, data), what)
    _check_span(entry.start_ns, entry.end_ns, what)


def _check_texts(texts: Iterable[str], what: str) -> None:
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{what}: found half a character in {text[:60]!r}; use whole Unicode characters") from error
        if "\0" in text:
            raise InputError(f"{what}: found a NUL character in {text[:60]!r}; leave it out")


def _check_span(start_ns: int, end_ns: int, what: str) -> None:
    if not (start_ns >= 2 * QUARTER_NS - _INT64_END and end_ns < _INT64_END - 2 * QUARTER_NS):
        raise InputError(f"{what}: found instants {start_ns} and {end_ns} ns; from 1678 to 2261 can be stored")
    if end_ns < start_ns:
        raise InputError(f"{what}: ends before it starts")
    if end_ns - start_ns > SLOTS_MAX * QUARTER_NS:
        raise InputError(f"{what}: covers more than {SLOTS_MAX // 96} days; split it")


def _superseded(c: Connection, entry: LedgerEntry) -> tuple[LedgerEntry, int]:
    """The entry that this one corrects, and its revision."""
    e = ENTRY.c
    row = c.execute(sa.select(ENTRY).where(e.id == entry.supersedes)).mappings().one_or_none()
    if row is None or (row["plant"], row["kind"]) != (entry.plant, entry.kind):
        raise InputError(
            f"{entry.kind} {entry.key!r} corrects entry {entry.supersedes}, which is no {entry.kind} of {entry.plant}"
        )
    other = c.execute(sa.select(e.id, e.source, e.key, e.amount).where(e.supersedes == entry.supersedes)).one_or_none()
    if other is not None and (other.source, other.key, other.amount) != (entry.source, entry.key, entry.amount):
        raise InputError(f"entry {entry.supersedes} is already corrected by entry {other.id}; correct that one")
    return _entry(row), int(row["revision"])


def _certificates(c: Connection, entry: LedgerEntry) -> list[LedgerEntry]:
    """Certificates of the plant that stand, where the entry states numbers that they might hold too."""
    if "serial_from" not in entry.data:
        return []
    e, later = ENTRY.c, sa.alias(ENTRY)
    corrected = sa.exists().where(later.c.supersedes == e.id)
    rows = c.execute(sa.select(ENTRY).where(e.plant == entry.plant, e.kind == entry.kind, ~corrected)).mappings().all()
    return [_entry(row) for row in rows]


def _touching(table: sa.Table, span: Span) -> tuple[sa.ColumnElement[bool], ...]:
    """[start, end) of a row overlaps the span; a row that is an instant lies in it."""
    t = table.c
    return t.start_ns < span.end_ns, sa.or_(t.end_ns > span.start_ns, t.start_ns >= span.start_ns)
