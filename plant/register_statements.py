"""What people state of a metering point's registers: readings by eye, and the exchange of a meter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plant.ports import LedgerEntry
from plant.site import MeteringPoint, Site

READING, EXCHANGE = "meter_reading", "meter_exchange"
STATED_KINDS = (READING, EXCHANGE)
WH_PER_KWH = 1000.0
RegisterName = Literal["import", "export"]


class _ReadingData(BaseModel):
    """``register`` is named as the meter names it, before the mounting's direction."""

    model_config = ConfigDict(extra="allow", frozen=True)

    register_name: RegisterName = Field("import", alias="register")


class _ExchangeData(_ReadingData):
    """``first_kwh`` is what the new register showed first, ``meter`` the new meter where it has an id of its own."""

    first_kwh: Annotated[float, Field(ge=0, lt=1e13, allow_inf_nan=False)]
    meter: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")] | None = None


@dataclass(frozen=True, slots=True)
class RegisterStatement:
    """A register of a point as a person read it, kWh on the meter's display, before ratio and direction.

    A reading has ``first_kwh`` None and is of one instant. An exchange closes the old register at ``start_ns`` with
    ``reading_kwh`` and opens the new one at ``end_ns`` with ``first_kwh``; ``meter`` is "" where the id stayed.
    """

    point: str
    register: str
    start_ns: int
    end_ns: int
    reading_kwh: float
    first_kwh: float | None = None
    meter: str = ""
    entry: int | None = None

    @property
    def exchange(self) -> bool:
        """Whether another register took over."""
        return self.first_kwh is not None


def statement_data(kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The data of an entry as the ledger keeps it. Raises ValueError naming each field, what was found and what is allowed."""
    return _read(kind, data).model_dump(exclude_none=True, by_alias=True)


def statement_of(entry: LedgerEntry) -> RegisterStatement:
    """An entry of one of ``STATED_KINDS`` as a value. Raises ValueError where its data do not say what they have to."""
    read = _read(entry.kind, entry.data)
    first, meter = (read.first_kwh, read.meter or "") if isinstance(read, _ExchangeData) else (None, "")
    reading = entry.amount / WH_PER_KWH
    return RegisterStatement(entry.subject, read.register_name, entry.start_ns, entry.end_ns, reading, first, meter, entry.id)


def statements_of(entries: Iterable[LedgerEntry]) -> tuple[RegisterStatement, ...]:
    """Those of the entries that say what they have to, by time; one that does not was written past every check."""
    found = []
    for entry in entries:
        if entry.kind in STATED_KINDS:
            try:
                found.append(statement_of(entry))
            except ValueError:
                continue
    return tuple(sorted(found, key=lambda s: (s.start_ns, s.end_ns, s.register)))


def statement_fault(site: Site, entry: LedgerEntry) -> str:
    """Why an entry cannot be about a register of this site, empty where it can. Raises ValueError as ``statement_of``."""
    stated = statement_of(entry)
    point = site.points.get(stated.point)
    if point is None:
        return f"subject: found {stated.point!r}; a metering point of the site: {', '.join(site.points)}"
    if not point.mountings:
        return f"subject: found {stated.point!r}; a point with a meter, since one by formula has no register"
    if not stated.exchange:
        late = entry.end_ns != entry.start_ns
        return "end: found a span; a reading is of one instant, so leave out end" if late else ""
    return _mounting_fault(point, stated) if stated.meter else ""


def _mounting_fault(point: MeteringPoint, stated: RegisterStatement) -> str:
    starts = [m.valid_from_ns for m in point.mountings if m.meter == stated.meter]
    if any(stated.start_ns <= t <= stated.end_ns for t in starts):
        return ""
    if not starts:
        known = ", ".join(dict.fromkeys(m.meter for m in point.mountings))
        return (
            f"data.meter: found {stated.meter!r}; a meter mounted on {point.id} in the site file ({known}): mount it there first"
        )
    return (
        f"start: {stated.meter} is mounted on {point.id} from another instant on; give the exchange a start and an end that hold "
        "the valid_from of its mounting in the site file"
    )


def _read(kind: str, data: Mapping[str, Any]) -> _ReadingData:
    shape = _ExchangeData if kind == EXCHANGE else _ReadingData
    try:
        return shape.model_validate(dict(data))
    except ValidationError as error:
        raise ValueError("; ".join(_fault(dict(e)) for e in error.errors())) from None


def _fault(error: dict[str, Any]) -> str:
    where = ".".join(("data", *(str(part) for part in error["loc"])))
    found = "nothing" if error["type"] == "missing" else repr(error["input"])[:200]
    return f"{where}: found {found}; {error['msg']}"
