"""Tables of the ledger, the same on SQLite and PostgreSQL. Instants are UTC ns, amounts integers, documents JSON texts."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, MetaData, Table, Text, UniqueConstraint

SCHEMA_VERSION = 1

METADATA = MetaData()

# SQLite numbers rows by itself only where the key is called INTEGER
_Id = BigInteger().with_variant(Integer, "sqlite")

ABOUT = Table("ledger_about", METADATA, Column("name", Text, primary_key=True), Column("value", BigInteger, nullable=False))

ENTRY = Table(
    "ledger_entry",
    METADATA,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("plant", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("revision", Integer, nullable=False),  # corrections before this one: 0 is the first statement
    Column("subject", Text, nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("unit", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("supersedes", ForeignKey("ledger_entry.id"), unique=True),
    Column("recorded_ns", BigInteger, nullable=False),
    UniqueConstraint("plant", "kind", "source", "key", "revision", name="ledger_entry_identity"),
    Index("ledger_entry_span", "plant", "kind", "start_ns"),
)

ANNOTATION = Table(
    "ledger_annotation",
    METADATA,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("plant", Text, nullable=False),
    Column("meter", Text, nullable=False),
    Column("quantity", Text, nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("recorded_ns", BigInteger, nullable=False),
    Index("ledger_annotation_span", "plant", "start_ns"),
)

DIRTY = Table(
    "ledger_dirty",
    METADATA,
    Column("plant", Text, primary_key=True),
    Column("node", Text, primary_key=True),
    Column("slot_ns", BigInteger, primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Index("ledger_dirty_age", "plant", "slot_ns"),
)

STATE = Table(
    "ledger_state",
    METADATA,
    Column("plant", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

REPORT = Table(
    "ledger_report",
    METADATA,
    Column("plant", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("period", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
    Column("interval_hash", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
)

ALERT_EVENT = Table(
    "ledger_alert_event",
    METADATA,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("plant", Text, nullable=False),
    Column("t_ns", BigInteger, nullable=False),
    Column("event", Text, nullable=False),
    Index("ledger_alert_event_span", "plant", "t_ns"),
)

AUDIT = Table(
    "ledger_audit",
    METADATA,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("plant", Text, nullable=False),
    Column("recorded_ns", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("detail", Text, nullable=False),
)
