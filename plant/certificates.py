"""What a ledger entry of kind ``certificate`` has to say in its ``data`` to be counted for the certificate ratio."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from plant.ports import LedgerEntry

LIFE_YEARS = 2  # from the generation month on, that month included
SERIAL = r"^[A-Za-z0-9/_.-]{0,60}[0-9]{1,18}$"


@dataclass(frozen=True, slots=True)
class Serials:
    """Consecutive numbers of one series, first and last included."""

    series: str
    first: int
    last: int

    def overlaps(self, other: Serials) -> bool:
        """Whether a number stands in both."""
        return self.series == other.series and self.first <= other.last and other.first <= self.last


class Certificate(BaseModel):
    """A batch of green certificates. Only cancelled ones count, for the quota year that they were cancelled for; further
    fields (numbers, counterparties) are kept as they come."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: Literal["self_use", "green_trade", "bought"]
    status: Literal["valid", "cancelled", "sold", "expired"]
    quota_year: Annotated[int, Field(ge=2000, lt=2200)] | None = None
    generation_month: Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")] | None = None
    serial_from: Annotated[str, Field(pattern=SERIAL)] | None = None
    serial_to: Annotated[str, Field(pattern=SERIAL)] | None = None

    @model_validator(mode="after")
    def _what_fits_together(self) -> Certificate:
        if self.status == "cancelled" and self.quota_year is None:
            raise ValueError("a cancelled certificate needs the quota_year that it was cancelled for")
        if self.type == "self_use" and self.status == "sold":
            raise ValueError("a certificate of self-used energy cannot be sold: it is not tradable")
        if (self.serial_from is None) != (self.serial_to is None):
            raise ValueError("serial_from and serial_to come together: the first and the last number of the batch")
        if self.serials is not None and self.serials.last < self.serials.first:
            raise ValueError(f"serial_to {self.serial_to} comes before serial_from {self.serial_from}")
        return self

    @property
    def serials(self) -> Serials | None:
        """The numbers of the batch; None where they are not stated."""
        if self.serial_from is None or self.serial_to is None:
            return None
        first, last = _split(self.serial_from), _split(self.serial_to)
        if first[0] != last[0]:
            raise ValueError(f"serial_from {self.serial_from} and serial_to {self.serial_to} belong to different series")
        return Serials(first[0], first[1], last[1])

    @property
    def ends_month(self) -> str:
        """First month in which it is no longer valid, as 2028-03; empty where its generation month is not stated."""
        return (
            "" if self.generation_month is None else f"{int(self.generation_month[:4]) + LIFE_YEARS}{self.generation_month[4:]}"
        )


def read_certificate(data: Mapping[str, Any]) -> Certificate:
    """The data of an entry as a value. Raises ValueError naming each field at fault, what was found and what is allowed."""
    try:
        return Certificate.model_validate(dict(data))
    except ValidationError as error:
        raise ValueError("; ".join(fault_text(dict(e)) for e in error.errors())) from None


def certificate_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data as the ledger keeps it: checked, years as numbers. Raises ValueError as ``read_certificate``."""
    return read_certificate(data).model_dump(exclude_none=True)


def serials_fault(entry: LedgerEntry) -> str:
    """Why the numbers of a batch do not fit its amount; empty where they do, or none are stated."""
    serials = read_certificate(entry.data).serials
    count = 0 if serials is None else serials.last - serials.first + 1
    if serials is None or count == entry.amount:
        return ""
    data = entry.data
    return f"amount: found {entry.amount} MWh; numbers {data['serial_from']} to {data['serial_to']} are {count} certificates"


def serials_taken(entry: LedgerEntry, others: Iterable[LedgerEntry]) -> str:
    """Why a batch cannot be entered beside ``others``, which hold some of its numbers; empty where none does.

    A repeat of an entry under its own key is none, nor what the entry itself corrects.
    """
    mine = _serials(entry)
    for other in others:
        theirs = _serials(other)
        if mine is None or theirs is None or not theirs.overlaps(mine):
            continue
        if (other.source, other.key) != (entry.source, entry.key) and (other.id is None or other.id != entry.supersedes):
            place = f"entry {other.id} ({other.document or other.key})"
            return (
                f"certificates {entry.data['serial_from']} to {entry.data['serial_to']}: {place} holds "
                f"{other.data['serial_from']} to {other.data['serial_to']} already; a certificate is entered once: "
                f"to change its status send supersedes = {other.id}"
            )
    return ""


def _serials(entry: LedgerEntry) -> Serials | None:
    if entry.kind != "certificate":
        return None
    try:
        return read_certificate(entry.data).serials
    except ValueError:
        return None


def _split(serial: str) -> tuple[str, int]:
    """Series and number of a serial: its last digits count."""
    digits = len(serial) - len(serial.rstrip("0123456789"))
    return serial[: len(serial) - digits], int(serial[len(serial) - digits :])


def fault_text(error: dict[str, Any]) -> str:
    """Field at fault, what was found and what is allowed, of one error of pydantic."""
    where = ".".join(("data", *(str(part) for part in error["loc"])))
    found = "nothing" if error["type"] == "missing" else repr(error["input"])[:200]
    return f"{where}: found {found}; {error['msg']}"
