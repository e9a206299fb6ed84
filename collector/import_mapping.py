"""The mapping file of an import: which column of a table is which quantity of which meter, and what its stamps mean."""

from __future__ import annotations

import tomllib
from datetime import timedelta, timezone, tzinfo
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from plant.errors import ConfigError, Fault
from plant.quality import Quality
from plant.quantities import QUANTITIES, Kind, factor_to_canonical
from plant.site import Site

IN_STAMP = "in_stamp"
ISO_8601 = "iso8601"
POWER_AS = ("interval_energy_import", "interval_energy_export")
_QUALITY = {"good": Quality.GOOD, "questionable": Quality.QUESTIONABLE, "invalid": Quality.INVALID}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileFormat(_Strict):
    """How the text is written. ``missing`` lists the cells that mean "no value"; an empty cell always does."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    quote: Annotated[str, Field(min_length=1, max_length=1)] = '"'
    decimal: Literal[".", ","] = "."
    thousands: Annotated[str, Field(max_length=1)] = ""
    encoding: Literal["utf-8-sig", "utf-8", "gb18030", "latin-1", "utf-16"] = "utf-8-sig"
    lines_before_header: Annotated[int, Field(ge=0, le=1_000)] = 0
    missing: tuple[str, ...] = ("NaN", "nan", "NULL", "null", "-")

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if self.thousands == self.decimal or self.decimal == self.delimiter:
            raise ValueError("decimal, thousands and delimiter have to differ from each other")
        return self


class TimeColumn(_Strict):
    """What a stamp means. ``column`` is a heading or a number from 1 (for a column without a heading).

    ``midnight = "day_closed"``: a stamp of 00:00 carries the date of the day that ends there, not of the one that begins.
    """

    column: str | Annotated[int, Field(ge=1)]
    formats: Annotated[tuple[str, ...], Field(min_length=1)] = (ISO_8601,)
    zone: str
    stamp: Literal["start", "end"]
    interval_s: Annotated[int, Field(ge=1, le=86_400)]
    midnight: Literal["day_begun", "day_closed"] = "day_begun"

    @property
    def states_midnight(self) -> bool:
        """Whether the mapping itself says what midnight is, rather than leaving it at the default."""
        return "midnight" in self.model_fields_set


class ValueColumn(_Strict):
    """One column of numbers. ``quantity`` and ``unit`` are those of the file.

    ``keep = "interval"`` turns a power into the energy of its interval (power times interval, marked estimated, since no
    register proves it); it goes to the long-kept interval series. ``keep = "raw"`` stores the reading as it is.
    ``negative`` is the quality of values below zero, which are kept and reported.
    """

    name: str | Annotated[int, Field(ge=1)]
    meter: str
    quantity: str
    unit: str
    keep: Literal["interval", "raw"] = "interval"
    negative: Literal["good", "questionable", "invalid"] = "questionable"

    @property
    def is_power(self) -> bool:
        """Whether the column is a power."""
        return self.quantity == "active_power"

    @property
    def stored(self) -> tuple[str, ...]:
        """Quantities that the column is stored as: a power kept as intervals becomes both directions of energy."""
        return POWER_AS if self.is_power and self.keep == "interval" else (self.quantity,)

    @property
    def negative_quality(self) -> Quality:
        """Quality bits of a value below zero."""
        return _QUALITY[self.negative]


class ImportMapping(_Strict):
    """A whole mapping file."""

    file: FileFormat = FileFormat()
    time: TimeColumn
    column: Annotated[tuple[ValueColumn, ...], Field(min_length=1)]

    @property
    def zone(self) -> tzinfo | None:
        """Zone of stamps without an offset; None where every stamp has its own."""
        return None if self.time.zone == IN_STAMP else _zone(self.time.zone)


def parse_mapping(text: str, file: str, site: Site) -> ImportMapping:
    """Read a mapping file for a site. Raises ConfigError with every fault."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Fault(file, "TOML", str(error), "mend the syntax at that line")]) from error
    try:
        mapping = ImportMapping.model_validate(raw)
    except ValidationError as error:
        raise ConfigError([_fault(file, e["loc"], e.get("input"), e["type"], e["msg"]) for e in error.errors()]) from None
    faults = [*_time_faults(mapping.time, file), *_column_faults(mapping.column, file, site)]
    if faults:
        raise ConfigError(faults)
    return mapping


def _fault(file: str, place: tuple[str | int, ...], found: object, kind: str, words: str) -> Fault:
    key = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    if kind == "extra_forbidden":
        return Fault(file, key, "an unknown key", "remove it or look up its spelling in docs/import.md")
    return Fault(file, key, "nothing" if kind == "missing" else repr(found), words[:1].lower() + words[1:])


def _zone(name: str) -> tzinfo | None:
    if name in available_timezones():
        return ZoneInfo(name)
    sign, hours, colon, minutes = name[:1], name[1:3], name[3:4], name[4:]
    if sign in ("+", "-") and colon == ":" and (hours + minutes).isdigit() and len(name) == 6 and int(hours) < 24:
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        return timezone(offset if sign == "+" else -offset)
    return None


def _time_faults(time: TimeColumn, file: str) -> list[Fault]:
    faults: list[Fault] = []
    if time.zone != IN_STAMP and _zone(time.zone) is None:
        allowed = f'an IANA zone such as Asia/Shanghai, an offset such as +08:00, or "{IN_STAMP}"'
        faults.append(Fault(file, "time.zone", repr(time.zone), allowed))
    if time.midnight == "day_closed" and time.stamp == "start":
        faults.append(Fault(file, "time.midnight", '"day_closed"', 'this only where stamp = "end"'))
    return faults


def _column_faults(columns: tuple[ValueColumn, ...], file: str, site: Site) -> list[Fault]:
    faults: list[Fault] = []
    taken: set[tuple[str, str]] = set()
    for number, column in enumerate(columns, start=1):
        key = f"column[{number}]"
        if column.meter not in site.meters:
            names = ", ".join(list(site.meters)[:12]) or "none is defined"
            faults.append(Fault(file, f"{key}.meter", repr(column.meter), f"the id of a [[meter]] of the site: {names}"))
        stored = {(column.meter, quantity) for quantity in column.stored}
        if stored & taken:
            allowed = f"one column for each of {', '.join(column.stored)} of {column.meter}"
            faults.append(Fault(file, f"{key}.quantity", repr(column.quantity), allowed))
        taken |= stored
        faults += _quantity_faults(column, file, key)
    return faults


def _quantity_faults(column: ValueColumn, file: str, key: str) -> list[Fault]:
    quantity = QUANTITIES.get(column.quantity)
    if quantity is None or quantity.kind is Kind.EVENT:
        names = ", ".join(name for name, row in QUANTITIES.items() if row.kind is not Kind.EVENT)
        return [Fault(file, f"{key}.quantity", repr(column.quantity), f"one of {names}")]
    faults: list[Fault] = []
    try:
        factor_to_canonical(column.quantity, column.unit)
    except ValueError as error:
        faults.append(Fault(file, f"{key}.unit", repr(column.unit), str(error)))
    if column.keep == "interval" and quantity.kind is not Kind.INTERVAL and not column.is_power:
        allowed = '"raw", since only interval energies and active_power become interval series'
        faults.append(Fault(file, f"{key}.keep", '"interval"', allowed))
    if column.keep == "raw" and quantity.kind is Kind.INTERVAL:
        faults.append(Fault(file, f"{key}.keep", '"raw"', '"interval": an amount of an interval is kept as one'))
    return faults
